import math

import pytest
import torch

from lit_genre.errors import LitGenreError
from lit_genre.model.metrics import (
    TrackAverage,
    TrackScores,
    average_precision_of,
    calibration_error,
    calibration_error_of,
    score,
)

CLASSES = ["Folk", "Pop", "Rock"]


def test_clips_of_a_track_are_averaged_across_batches() -> None:
    average = TrackAverage()
    average.update(torch.tensor([5, 5, 2]), torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.0, 1.0]]), torch.tensor([0, 0, 1]))
    average.update(torch.tensor([5]), torch.tensor([[0.7, 0.3]]), torch.tensor([0]))
    scores = average.scores()
    assert scores.track_id.tolist() == [2, 5]
    assert scores.label.tolist() == [1, 0]
    torch.testing.assert_close(scores.probs, torch.tensor([[0.0, 1.0], [0.6, 0.4]]))


def test_a_single_track_keeps_its_shapes() -> None:
    average = TrackAverage()
    average.update(torch.tensor([5]), torch.tensor([[0.9, 0.1]]), torch.tensor([0]))
    assert [column.shape for column in average.scores()] == [(1,), (1, 2), (1,)]


def test_a_perfect_score_is_one() -> None:
    average = TrackAverage()
    label = torch.tensor([0, 1, 2, 1])
    average.update(torch.arange(4), torch.eye(3)[label], label)
    assert all(float(value) == 1 for value in score(average.scores(), CLASSES).values())


def test_scores_by_hand() -> None:
    average = TrackAverage()
    # Predicted 0, 0, 1, 2 of true 0, 1, 1, 2: precision of 0 is 1/2, recall of 1 is 1/2.
    average.update(torch.arange(4), torch.eye(3)[[0, 0, 1, 2]], torch.tensor([0, 1, 1, 2]))
    scored = {name: float(value) for name, value in score(average.scores(), CLASSES).items()}
    expected = {"accuracy": 0.75, "f1/Folk": 2 / 3, "f1/Pop": 2 / 3, "f1/Rock": 1.0, "f1_macro": 7 / 9}
    assert scored == pytest.approx(expected, abs=1e-6)


def test_a_genre_without_a_track_has_no_f1_and_is_left_out_of_the_mean() -> None:
    # Predicted 0, 2, 1 of true 0, 1, 1: one track is taken for the genre that none has.
    scores = TrackScores(torch.arange(3), torch.eye(3)[[0, 2, 1]], torch.tensor([0, 1, 1]))
    rated = {name: float(value) for name, value in score(scores, CLASSES).items()}
    assert math.isnan(rated.pop("f1/Rock"))
    assert rated == pytest.approx({"accuracy": 2 / 3, "f1/Folk": 1, "f1/Pop": 2 / 3, "f1_macro": 5 / 6})


@pytest.mark.parametrize("label", [torch.tensor([0, 1, 0]), torch.tensor([[1, 0], [0, 1], [1, 1]])])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_probabilities_that_are_not_finite_are_not_rated(label: torch.Tensor, value: float) -> None:
    average, probs = TrackAverage(), torch.full((3, 2), 0.5)
    probs[1] = value
    track_id = torch.tensor([7, 8, 9])
    average.update(track_id, probs, label)
    message = "The probabilities of 1 of 3 tracks, such as 8, are not finite"
    with pytest.raises(LitGenreError, match=message):
        average.scores()
    with pytest.raises(LitGenreError, match=message):
        score(TrackScores(track_id, probs, label), ["Folk", "Pop"])


def several(probs: list[list[float]], label: list[list[int]]) -> TrackScores:
    return TrackScores(torch.arange(len(probs)), torch.tensor(probs), torch.tensor(label))


def test_scores_of_several_genres_by_hand() -> None:
    scores = several(
        [[0.9, 0.2, 0.5], [0.8, 0.6, 0.5], [0.1, 0.7, 0.5], [0.3, 0.1, 0.5]],
        [[1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 1, 0]],
    )
    rated = {name: float(value) for name, value in score(scores, CLASSES).items()}
    # Folk: ranked 1, 0, 0, 1 of two: precision 1 and 2/4. Pop: ranked 0, 1, 0, 1: 1/2 and 2/4. Nothing is Rock.
    folk, pop = (1 + 2 / 4) / 2, (1 / 2 + 2 / 4) / 2
    assert rated["average_precision_macro"] == pytest.approx((folk + pop) / 2)
    # Of the four pairs of a track with and one without, two are in order for Folk, one for Pop.
    assert rated["roc_auc_macro"] == pytest.approx((2 / 4 + 1 / 4) / 2)
    assert average_precision_of(scores)[:2].tolist() == pytest.approx([folk, pop])
    assert average_precision_of(scores)[2].isnan()
    assert 0 < rated["average_precision_micro"] < 1


def test_one_genre_that_tracks_differ_in_is_rated() -> None:
    # Every track has the second genre, so the means are those of the first.
    scores = several([[0.9, 0.5], [0.8, 0.5], [0.1, 0.5]], [[1, 1], [0, 1], [1, 1]])
    rated = {name: float(value) for name, value in score(scores, ["Folk", "Pop"]).items()}
    assert rated["average_precision_macro"] == pytest.approx((1 + 2 / 3) / 2)
    assert rated["roc_auc_macro"] == pytest.approx(1 / 2)


def test_clips_of_a_track_of_several_genres_are_averaged() -> None:
    average = TrackAverage()
    label = torch.tensor([[1, 1, 0], [0, 1, 0], [1, 1, 0]])
    average.update(torch.tensor([5, 2, 5]), torch.tensor([[0.9, 0.1, 0], [0.5, 0.5, 0], [0.7, 0.3, 0]]), label)
    scores = average.scores()
    assert scores.several
    assert scores.label.tolist() == [[0, 1, 0], [1, 1, 0]]
    torch.testing.assert_close(scores.probs[1], torch.tensor([0.8, 0.2, 0.0]))


def test_a_single_track_of_several_genres_keeps_its_shapes() -> None:
    average = TrackAverage()
    average.update(torch.tensor([5]), torch.tensor([[0.9, 0.1]]), torch.tensor([[1, 0]]))
    assert [column.shape for column in average.scores()] == [(1,), (1, 2), (1, 2)]
    assert score(average.scores(), ["Folk", "Pop"]) == {}


def test_the_calibration_error_of_confidences_is_that_of_the_probabilities() -> None:
    random = torch.Generator().manual_seed(0)
    probs = (2 * torch.randn(500, 4, generator=random)).softmax(-1)
    label = torch.randint(0, 4, (500,), generator=random)
    confidence, predicted = probs.max(1)
    expected = calibration_error(TrackScores(torch.arange(500), probs, label), list("abcd"))
    assert calibration_error_of(confidence, predicted == label) == pytest.approx(expected, abs=1e-6)
