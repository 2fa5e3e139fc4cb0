"""CNN14: the convolutional network of Kong et al. (2020), PANNs, pretrained on AudioSet."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from itertools import pairwise
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_genre.errors import LitGenreError
from lit_genre.model.backbone import InputShape
from lit_genre_encoders.encoder import Encoder, import_published, read_weights
from lit_genre_encoders.weights import find_weights, load_tensors

_INSTALL: Final = "pip install panns-inference"

_ADDRESSES: Final = {"Cnn14_mAP=0.431": "https://zenodo.org/records/3987831/files/Cnn14_mAP%3D0.431.pth"}

_CHANNELS: Final = [64, 128, 256, 512, 1024, 2048]

_BANDS: Final = 64

_N_FFT: Final = 1024

_HOP: Final = 320

_LEAST_SAMPLES: Final = 31 * _HOP
"""32 frames, which five poolings reduce to one."""

_NOT_USED: Final = ("spectrogram_extractor.", "logmel_extractor.", "fc_audioset.")
"""Weights in the published file that are constants of the front-end, or belong to the tags."""


class PANNsCNN14(Encoder):
    """Six blocks of two convolutions each on a mel spectrogram, pretrained on the tags of AudioSet.

    The published package computes the spectrogram: 64 mel bands within 50 Hz .. 14 kHz, 100 frames a second, in
    decibels. Five poolings reduce it to 3 steps a second and 2 bands. Use it with `frontend: torch.nn.Identity`.

    An input shorter than 9920 samples (0.31 s) is padded with zeros. There is no maximum. Dropout is that of the
    published network; its masks on the spectrogram, an augmentation, are left out.

    `model.layers` embeds by the mean over time and bands of a block, 0 is the normalised spectrogram. The layers have
    different sizes, so that they cannot be averaged.

    Args:
        input_shape: (n_samples,).
        weights: "Cnn14_mAP=0.431" is downloaded (327 MB, CC BY 4.0 license). Or a file, such as
            Cnn14_mAP=0.431.pth in the folder panns_data, where the published package stores it. null for random
            weights.
        freeze: Train the head only.
        settings: channels, the numbers of channels of the six blocks, for a smaller network.

    Shape:
        - mel: (b, n), samples of full scale 1
        - Output: (b, 2048), the dense layer on mean plus maximum over time

    Raises:
        LitGenreError: The package is not installed, a setting is unknown, or the weights cannot be read or do not fit.

    Reference:
        Q. Kong et al., "PANNs: Large-Scale Pretrained Audio Neural Networks for Audio Pattern Recognition", IEEE/ACM
        Transactions on Audio, Speech, and Language Processing, 2020.
    """

    sample_rate = 32000

    def __init__(
        self,
        input_shape: InputShape,
        weights: str | None = "Cnn14_mAP=0.431",
        freeze: bool = True,
        settings: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.freeze = freeze
        channels = _channels(settings or {})
        self.embedding_dim = channels[-1]
        # Not a submodule: its constants are not part of a checkpoint, and stay in float32.
        self._log_mel, blocks = import_published(lambda: _build(channels), "panns-inference", _INSTALL)
        self.bn0 = nn.BatchNorm2d(_BANDS)
        # The names in the published file.
        for number, block in enumerate(blocks, start=1):
            self.add_module(f"conv_block{number}", block)
        self.fc1 = nn.Linear(self.embedding_dim, self.embedding_dim)
        if weights is not None and torch.get_default_device().type != "meta":
            self._load(weights)
        self.requires_grad_(not freeze).train()

    def forward(self, mel: Tensor) -> Tensor:
        """Compute embeddings.

        Args:
            mel: Waveforms, shape (b, n), full scale 1, at 32,000 Hz.

        Returns:
            Embeddings, shape (b, embedding_dim), at least 0.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.freeze):
            states = self.encode(mel)
            pooled = self._dropout(states.amax(1) + states.mean(1), 0.5)
            return self._dropout(self.fc1(pooled).relu(), 0.5)

    def encode(self, waveform: Tensor) -> Tensor:
        """Compute the feature maps of the last block, averaged over bands.

        Args:
            waveform: Samples of full scale 1, shape (b, n), at 32,000 Hz.

        Returns:
            Feature maps, shape (b, steps, embedding_dim), 3 steps a second.
        """
        maps = self.bn0(self._decibels(waveform).transpose(1, 3)).transpose(1, 3)
        *blocks, last = self.layer_blocks()
        for block in blocks:
            maps = self._dropout(block(maps), 0.2)
        return _over_time(self._dropout(last(maps, pool_size=(1, 1)), 0.2))

    def layer_blocks(self) -> Sequence[nn.Module]:
        """Return the six blocks of two convolutions."""
        return [module for name, module in self.named_children() if name.startswith("conv_block")]

    def layer_outputs(self, mel: Tensor, layers: Sequence[int]) -> list[Tensor]:
        """Compute the feature maps of some blocks, averaged over bands.

        Args:
            mel: Waveforms, shape (b, n), full scale 1, at 32,000 Hz.
            layers: Numbers of the blocks, 1 to 6; 0 is the normalised spectrogram.

        Returns:
            Feature maps, shape (b, steps, channels) each; (b, frames, 64) of layer 0.
        """
        with self.collect_states(layers) as states:
            self.encode(mel)
        return [_over_time(states[layer]) if layer else states[layer].squeeze(1) for layer in layers]

    def _dropout(self, states: Tensor, probability: float) -> Tensor:
        return F.dropout(states, probability, self.training)

    def _decibels(self, waveform: Tensor) -> Tensor:
        """Compute mel spectrograms in decibels, shape (b, 1, frames, 64)."""
        device = waveform.device
        with torch.autocast("cpu" if device.type == "meta" else device.type, enabled=False):
            padded = F.pad(waveform.float(), (0, max(0, _LEAST_SAMPLES - waveform.shape[-1])))
            for module in self._log_mel:
                padded = module.to(device)(padded)
        return padded.to(self.fc1.weight.dtype)

    def _load(self, weights: str) -> None:
        content = read_weights(find_weights(weights, _ADDRESSES))
        tensors = content.get("model") if isinstance(content, Mapping) else None
        if isinstance(tensors, Mapping):
            tensors = {name: value for name, value in tensors.items() if not name.startswith(_NOT_USED)}
        load_tensors(self, tensors, weights)


def _channels(settings: Mapping[str, Any]) -> list[int]:
    """Return the numbers of channels, after a check of the settings."""
    if unknown := sorted(settings.keys() - {"channels"}):
        raise LitGenreError(f"PANNsCNN14 has no settings {unknown}. Its only setting is channels.")
    channels: list[int] = settings.get("channels", _CHANNELS)
    if not isinstance(channels, list) or len(channels) != 6 or not all(isinstance(n, int) and n > 0 for n in channels):
        raise LitGenreError(f"The setting channels is {channels!r}, but must be a list of 6 integers of at least 1.")
    return channels


def _build(channels: Sequence[int]) -> tuple[tuple[nn.Module, nn.Module], list[nn.Module]]:
    """Build front-end and blocks from parts of the published packages."""
    stft = import_module("torchlibrosa.stft")
    models = import_module("lit_genre_encoders.panns_package.models")
    # The constants of the front-end are computed by NumPy, whatever the default device.
    with torch.device("cpu"):
        spectrogram = stft.Spectrogram(n_fft=_N_FFT, hop_length=_HOP)
        log_mel = stft.LogmelFilterBank(
            sr=PANNsCNN14.sample_rate, n_fft=_N_FFT, n_mels=_BANDS, fmin=50, fmax=14000, amin=1e-10, top_db=None
        )
    blocks = [models.ConvBlock(inputs, outputs) for inputs, outputs in pairwise([1, *channels])]
    return (spectrogram, log_mel), blocks


def _over_time(maps: Tensor) -> Tensor:
    """Return the mean over bands, shape (b, steps, channels), of maps of shape (b, channels, steps, bands)."""
    return maps.mean(3).transpose(1, 2)
