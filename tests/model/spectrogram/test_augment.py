import pytest
import torch
from torch import nn

from lit_genre.errors import LitGenreError
from lit_genre.model.spectrogram.augment import Augmentation, FilterAugment, Mixup, SpecAugment
from tests.helpers.reference import import_torchaudio


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.randn(16, 32, 100), nn.functional.one_hot(torch.arange(16) % 4, 4).float()


@pytest.mark.parametrize("augment", [SpecAugment(), FilterAugment(), Mixup()])
def test_identity_in_evaluation(augment: Augmentation) -> None:
    mel, target = batch()
    for before, after in zip((mel, target), augment.eval()(mel, target), strict=True):
        assert torch.equal(before, after)


@pytest.mark.parametrize("augment", [SpecAugment(), FilterAugment(), Mixup()])
def test_leaves_its_input_alone_and_follows_the_seed(augment: Augmentation) -> None:
    mel, target = batch()
    copy = mel.clone()
    outputs = []
    for _ in range(2):
        torch.manual_seed(1)
        outputs.append(augment(mel, target)[0])
    assert torch.equal(mel, copy)
    assert torch.equal(*outputs)
    assert not torch.equal(outputs[0], mel)


def test_masks_differ_between_clips_and_stay_within_their_sizes() -> None:
    mel, target = batch()
    masked, same = SpecAugment(n_time_masks=1, time_mask_frames=20, n_mel_masks=1, mel_mask_bands=8)(mel, target)
    changed = masked != mel
    frames, bands = changed.all(dim=1).sum(1), changed.all(dim=2).sum(1)
    assert torch.equal(same, target)
    assert frames.max() <= 20
    assert bands.max() <= 8
    assert len({tuple(row.tolist()) for row in changed.all(dim=1)}) > 1


@pytest.mark.parametrize("max_masked", [0.05, 0.5, 1.0])
@pytest.mark.parametrize(("n_time_masks", "n_mel_masks"), [(2, 2), (3, 0), (0, 1)])
def test_masks_are_those_of_torchaudio(n_time_masks: int, n_mel_masks: int, max_masked: float) -> None:
    torchaudio = import_torchaudio()
    mel, target = batch()
    reference = torchaudio.transforms.SpecAugment(n_time_masks, 40, n_mel_masks, 16, p=max_masked)
    augment = SpecAugment(n_time_masks, 40, n_mel_masks, 16, max_masked)
    torch.manual_seed(1)
    expected = reference(mel)
    torch.manual_seed(1)
    assert torch.equal(augment(mel, target)[0], expected)


def test_masks_are_filled_with_the_mean_and_cover_a_limited_part() -> None:
    mel, target = batch()
    masked, _ = SpecAugment(1, 100, 1, 32, max_masked=0.1)(mel, target)
    changed = masked != mel
    assert (masked[changed] == mel.mean()).all()
    # A tenth of 100 frames and of 32 bands.
    assert changed.all(dim=1).sum(1).max() <= 10
    assert changed.all(dim=2).sum(1).max() <= 3
    assert changed.any()
    assert torch.equal(SpecAugment(0, 40, 2, 0)(mel, target)[0], mel)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_mel_masks": -1}, "n_mel_masks is -1, but must be at least 0"),
        ({"max_masked": -0.1}, "max_masked is -0.1, but must be at least 0"),
        ({"max_masked": 50}, "max_masked is 50, but must be at most 1"),
    ],
)
def test_masks_of_impossible_sizes_are_refused(settings: dict[str, int], message: str) -> None:
    with pytest.raises(LitGenreError, match=message):
        SpecAugment(**settings)


def test_mixup_mixes_clip_and_target_in_one_share() -> None:
    # Clips that are their own targets must still be so when both are mixed.
    target = torch.eye(8)
    mel = target[:, :, None].repeat(1, 1, 5)
    torch.manual_seed(0)
    mixed, mixed_target = Mixup(alpha=1.0)(mel, target)
    torch.testing.assert_close(mixed[:, :, 0], mixed_target)
    torch.testing.assert_close(mixed_target.sum(1), torch.ones(8))
    assert ((mixed_target > 0).sum(1) == 2).any()


def test_a_filter_turns_a_band_by_one_gain_at_all_times() -> None:
    quiet, target = torch.zeros(64, 32, 10), torch.full((64, 4), 0.25)
    torch.manual_seed(0)
    filtered, same = FilterAugment(gain_db=4, points=3, top_db=80)(quiet, target)
    assert torch.equal(same, target)
    assert torch.equal(filtered, filtered[..., :1].expand_as(filtered))
    decibels = filtered[..., 0] * 40  # -1 .. 1 stands for 80 dB
    # At the ends and in the middle, where the points are, the gains are as strong as they were asked to be.
    assert decibels[:, [0, -1]].std().item() == pytest.approx(4, rel=0.2)
    # Between two points there is a straight line.
    torch.testing.assert_close(decibels[:, 4], (decibels[:, 2] + decibels[:, 6]) / 2)
    with pytest.raises(LitGenreError, match="points is 1, but must be at least 2"):
        FilterAugment(points=1)


def test_a_filter_stays_in_the_range_of_the_front_end() -> None:
    mel, target = torch.rand(8, 32, 10) * 2 - 1, torch.full((8, 4), 0.25)
    assert FilterAugment(gain_db=60)(mel, target)[0].abs().max() <= 1
    wider = 2 + 2 * mel
    torch.testing.assert_close(FilterAugment(gain_db=0)(wider, target)[0], wider)
    assert FilterAugment(gain_db=60)(wider, target)[0].max() <= wider.max()
