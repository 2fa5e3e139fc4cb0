import pytest
import torch

from lit_genre.model.metrics import TrackAverage, score

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
