"""Augment a batch of spectrograms and its targets in training."""

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_genre.errors import LitGenreError, check_at_least


class Augmentation(nn.Module, ABC):
    """Base class: changes the spectrograms and the targets of a training batch, and nothing in evaluation.

    Shape:
        - mel: (b, m, f)
        - target: (b, c), rows sum to 1
        - Output: the same two shapes
    """

    def forward(self, mel: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Augment a batch in training; return it unchanged in evaluation.

        Args:
            mel: Spectrograms, shape (b, m, f).
            target: Probability of each class, shape (b, c).

        Returns:
            Spectrograms and targets, of the same shapes.
        """
        return self.augment(mel, target) if self.training else (mel, target)

    @abstractmethod
    def augment(self, mel: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Augment a batch; arguments and results are those of `forward`."""


class SpecAugment(Augmentation):
    """Replaces random mel bands and frames of each clip by the mean of the batch.

    Args:
        n_time_masks: Number of time masks in each clip.
        time_mask_frames: Longest time mask, frames.
        n_mel_masks: Number of frequency masks in each clip.
        mel_mask_bands: Widest frequency mask, mel bands.
        max_masked: Largest part of the frames, or of the mel bands, 0 to 1, that one mask covers.

    Raises:
        LitGenreError: A number or a size is negative, or max_masked is not within 0 to 1.

    Reference:
        D. S. Park et al., "SpecAugment: A Simple Data Augmentation Method for Automatic Speech Recognition",
        Interspeech 2019.
    """

    def __init__(
        self,
        n_time_masks: int = 2,
        time_mask_frames: int = 40,
        n_mel_masks: int = 2,
        mel_mask_bands: int = 16,
        max_masked: float = 0.5,
    ) -> None:
        super().__init__()
        check_at_least(
            n_time_masks=(n_time_masks, 0),
            time_mask_frames=(time_mask_frames, 0),
            n_mel_masks=(n_mel_masks, 0),
            mel_mask_bands=(mel_mask_bands, 0),
            max_masked=(max_masked, 0),
        )
        if max_masked > 1:
            raise LitGenreError(f"max_masked is {max_masked}, but must be at most 1, which is all frames.")
        self.n_time_masks, self.time_mask_frames = n_time_masks, time_mask_frames
        self.n_mel_masks, self.mel_mask_bands = n_mel_masks, mel_mask_bands
        self.max_masked = max_masked

    def augment(self, mel: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return masked spectrograms, shape (b, m, f), and the targets unchanged."""
        frames = self._spans(mel, 2, self.n_time_masks, self.time_mask_frames)
        bands = self._spans(mel, 1, self.n_mel_masks, self.mel_mask_bands)
        return torch.where(frames[:, None] | bands[:, :, None], mel.mean(), mel), target

    def _spans(self, mel: Tensor, axis: int, count: int, longest: int) -> Tensor:
        """Return which positions along an axis of length a are in one of some random spans, shape (b, a)."""
        length = mel.shape[axis]
        # The order of the draws is torchaudio's, so that a test can compare the masks. float32 also for spectrograms in
        # bfloat16, which cannot count beyond 256.
        widths, starts = torch.rand(count, 2, len(mel), 1, device=mel.device, dtype=torch.float32).unbind(1)
        widths = widths * min(longest, int(length * self.max_masked))
        first = (starts * (length - widths)).long()
        position = torch.arange(length, device=mel.device)
        return ((position >= first) & (position < first + widths.long())).any(dim=0)


class FilterAugment(Augmentation):
    """Applies a random filter to each clip, as a different room, mix or microphone would.

    Draws random gains at some points of the mel axis and interpolates linearly between them. This has the effect of a
    filter of the waveform on the power in each band, at a fraction of its cost.

    Args:
        gain_db: Standard deviation of the gains, dB.
        points: Number of gains, evenly spaced from the lowest band to the highest, 2 or more.
        top_db: Range of the front-end, dB, which corresponds to -1 .. 1.

    Reference:
        H. Nam et al., "FilterAugment: An Acoustic Environmental Data Augmentation Method", ICASSP 2022.
    """

    def __init__(self, gain_db: float = 6.0, points: int = 6, top_db: float = 80.0) -> None:
        super().__init__()
        check_at_least(gain_db=(gain_db, 0), points=(points, 2), top_db=(top_db, 1))
        self.scale = gain_db * 2 / top_db
        self.points = points

    def augment(self, mel: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return filtered spectrograms, shape (b, m, f), and the targets unchanged."""
        gains = torch.randn(len(mel), 1, self.points, device=mel.device, dtype=mel.dtype) * self.scale
        curve = F.interpolate(gains, mel.shape[1], mode="linear", align_corners=True)
        # Clipped to the range of LogMel, -1 .. 1, or to the batch's own if another front-end exceeds it.
        low, high = mel.amin().clamp(max=-1), mel.amax().clamp(min=1)
        return (mel + curve.transpose(1, 2)).clamp(low, high), target


class Mixup(Augmentation):
    """Mixes each clip, and its target, with another of the batch.

    With several processes both clips are from the part of the batch of one process. Runs with different numbers of
    processes therefore draw different pairs.

    Args:
        alpha: Both parameters of the Beta distribution of the other clip's proportion; with small values it is mostly
            near 0 or 1.

    Reference:
        H. Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018.
    """

    def __init__(self, alpha: float = 0.2) -> None:
        super().__init__()
        self.alpha = alpha

    def augment(self, mel: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return spectrograms, shape (b, m, f), and targets, (b, c), mixed in the same proportion."""
        # float32, as torch cannot draw from a Beta distribution in bfloat16, which Lightning may make the default.
        alpha = torch.tensor(self.alpha, dtype=torch.float32)
        share = torch.distributions.Beta(alpha, alpha).sample((len(mel), 1, 1)).to(mel)
        other = torch.randperm(len(mel), device=mel.device)
        return mel.lerp(mel[other], share), target.lerp(target[other], share[:, 0])
