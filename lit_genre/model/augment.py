"""Augmentations of a batch of spectrograms and their targets; each is the identity in evaluation."""

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_genre.errors import check_at_least


class Augmentation(nn.Module, ABC):
    """Changes a training batch: spectrograms and the probabilities that they are labelled with.

    Shape:
        - mel: (b, m, f)
        - target: (b, c), rows sum to 1
        - Output: the same two shapes
    """

    def forward(self, mel: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Augment in training, pass on in evaluation."""
        return self.augment(mel, target) if self.training else (mel, target)

    @abstractmethod
    def augment(self, mel: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Augment a batch."""


class SpecAugment(Augmentation):
    """Masks bands of mels and runs of frames, each clip its own, with the batch's mean.

    Args:
        n_time_masks: Runs of frames masked in each clip.
        time_mask_frames: Longest run, frames.
        n_mel_masks: Bands masked in each clip.
        mel_mask_bands: Widest band, mel bands.
        max_masked: Largest part of the frames, 0 to 1, that one mask covers.

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
        from torchaudio.transforms import SpecAugment as Masks

        super().__init__()
        self.masks = Masks(
            n_time_masks=n_time_masks,
            time_mask_param=time_mask_frames,
            n_freq_masks=n_mel_masks,
            freq_mask_param=mel_mask_bands,
            p=max_masked,
        )

    def augment(self, mel: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Mask the spectrograms; the targets stay."""
        return self.masks(mel), target


class FilterAugment(Augmentation):
    """Plays each clip through a filter of its own, as another room, mix or microphone would.

    Random gains at some places of the mel axis, with straight lines between them: what a filter on the waveform does to
    the power in each band, for none of its cost.

    Args:
        gain_db: Standard deviation of the gains, dB.
        points: Places with a gain, evenly spaced from the lowest band to the highest, 2 or more.
        top_db: Range of the front-end, dB, which -1 .. 1 stands for.

    Reference:
        H. Nam et al., "FilterAugment: An Acoustic Environmental Data Augmentation Method", ICASSP 2022.
    """

    def __init__(self, gain_db: float = 6.0, points: int = 6, top_db: float = 80.0) -> None:
        super().__init__()
        check_at_least(gain_db=(gain_db, 0), points=(points, 2), top_db=(top_db, 1))
        self.scale = gain_db * 2 / top_db
        self.points = points

    def augment(self, mel: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Filter the spectrograms; the targets stay."""
        gains = torch.randn(len(mel), 1, self.points, device=mel.device, dtype=mel.dtype) * self.scale
        curve = F.interpolate(gains, mel.shape[1], mode="linear", align_corners=True)
        # LogMel's range is -1 .. 1, others have more.
        low, high = mel.amin().clamp(max=-1), mel.amax().clamp(min=1)
        return (mel + curve.transpose(1, 2)).clamp(low, high), target


class Mixup(Augmentation):
    """Mixes each clip, and its target, with another of the batch.

    With several processes the other clip is one of the same process: its share of the batch, not the whole batch. Runs
    on other numbers of processes therefore draw other pairs.

    Args:
        alpha: Both parameters of the Beta distribution that the share of the other clip is drawn from; small
            values mix little.

    Reference:
        H. Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018.
    """

    def __init__(self, alpha: float = 0.2) -> None:
        super().__init__()
        self.alpha = alpha

    def augment(self, mel: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Mix spectrograms and targets in the same shares."""
        # float32 where Lightning makes bfloat16 the default, in which torch draws no such numbers.
        alpha = torch.tensor(self.alpha, dtype=torch.float32)
        share = torch.distributions.Beta(alpha, alpha).sample((len(mel), 1, 1)).to(mel)
        other = torch.randperm(len(mel), device=mel.device)
        return mel.lerp(mel[other], share), target.lerp(target[other], share[:, 0])
