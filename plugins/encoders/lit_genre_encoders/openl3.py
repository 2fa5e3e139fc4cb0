"""OpenL3: the audio network of Cramer et al. (2019), pretrained to match sound and picture of videos."""

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_genre.errors import LitGenreError
from lit_genre.model.backbone import InputShape
from lit_genre_encoders.encoder import Encoder, import_published, read_weights
from lit_genre_encoders.weights import find_weights, load_tensors

# --no-deps: the package requires resampy before 0.3, which cannot be built on Python 3.12 and newer.
_INSTALL: Final = "pip install julius librosa resampy six, then pip install --no-deps torchopenl3"

_RELEASES: Final = "https://github.com/torchopenl3/torchopenl3-models/raw/master/torchopenl3"

_BANDS: Final = {"mel128": 128, "mel256": 256}

_EMBEDDING_SIZES: Final = (512, 6144)

_ADDRESSES: Final = {
    f"{bands}_{content}_{size}": f"{_RELEASES}_{bands}_{content}_{size}.pth.tar"
    for bands in _BANDS
    for content in ("music", "env")
    for size in _EMBEDDING_SIZES
}

_SETTINGS: Final[dict[str, Any]] = {"input_repr": "mel256", "embedding_size": 6144, "hop_size": 0.5}
"""Settings by their names in the package. The windows of the package begin every 0.1 s."""

_WINDOW: Final = 48000
"""Samples of a window, 1 s."""

_BATCH: Final = 32
"""Most windows that are computed at once, as in the package: the feature maps of a window have 13 million numbers."""

_KERAS_MOMENTUM: Final = 0.01
"""Momentum of batch normalisation. The package has 0.99, which is the same in Keras, but the opposite in torch."""

_CONVOLUTIONS: Final = 7
"""Number of convolutions before that of the embedding."""


class OpenL3(Encoder):
    """A convolutional network on mel spectrograms of 1 s, pretrained on the videos of AudioSet.

    The network is that of the package torchopenl3, which computes the spectrogram, 128 or 256 bands. Use it with
    `frontend: torch.nn.Identity`.

    As in the package, the first window is centred on the beginning of the clip, and silence is added at both ends. A
    window begins every 0.5 s; with the 0.1 s of the package the computation takes five times as long. The embedding is
    the mean over windows. A clip of any length can be embedded.

    Layers 1 to 8 of `model.layers` are the outputs of the convolutions, before batch normalisation.

    Args:
        input_shape: (n_samples,).
        weights: A file, or a name such as "mel256_music_6144", which is downloaded (36 MB): mel128 or mel256; "music"
            for videos of music, or "env" for those of environmental sounds; 512 or 6144, the size of the embedding.
            null for random weights.
        freeze: Train the head (and the weights of the layers) only.
        settings: input_repr, "mel128" or "mel256"; embedding_size, 512 or 6144; hop_size, s, from one window to the
            next. By default those in the name of the weights.

    Shape:
        - mel: (b, n), samples of full scale 1
        - Output: (b, embedding_size)

    Raises:
        LitGenreError: The package is not installed, a setting is unknown or unsuitable, or the weights cannot be read
            or do not fit.

    Reference:
        A. L. Cramer, H.-H. Wu, J. Salamon and J. P. Bello, "Look, Listen, and Learn More: Design Choices for Deep Audio
        Embeddings", ICASSP 2019.
    """

    sample_rate = 48000
    mel_basis: Tensor

    def __init__(
        self,
        input_shape: InputShape,
        weights: str | None = "mel256_music_6144",
        freeze: bool = True,
        settings: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.freeze = freeze
        self.settings = _check_settings({**_named_settings(weights), **(settings or {})})
        self.embedding_dim = self.settings["embedding_size"]
        self.net, spectrogram = import_published(lambda: _build(self.settings), "torchopenl3", _INSTALL)
        # In a file of weights, because they differ between versions of librosa.
        self.register_buffer("mel_basis", spectrogram.mel_basis.to(torch.get_default_device()))
        # Not a submodule: it stays in float32 when the model is converted.
        self._spectrogram = (spectrogram,)
        if weights is not None and torch.get_default_device().type != "meta":
            load_tensors(self, _own_tensors(read_weights(find_weights(weights, _ADDRESSES))), weights)
        self.requires_grad_(not freeze).train()

    def encode(self, waveform: Tensor) -> Tensor:
        """Compute the embeddings of windows.

        Args:
            waveform: Samples of full scale 1, shape (b, n), at 48,000 Hz.

        Returns:
            Embeddings, shape (b, windows, embedding_dim).
        """
        windows = torch.split(self._windows(waveform), _BATCH)
        embeddings = torch.cat([self.net(self._mel(part)) for part in windows])
        return embeddings.reshape(len(waveform), -1, self.embedding_dim)

    def layer_blocks(self) -> Sequence[nn.Module]:
        """Return the convolutions; the last one is that of the embedding, before it is pooled."""
        return [getattr(self.net, f"conv2d_{number + 1}") for number in range(_CONVOLUTIONS)] + [
            self.net.audio_embedding_layer
        ]

    def layer_outputs(self, mel: Tensor, layers: Sequence[int]) -> list[Tensor]:
        """Compute the feature maps of some layers, as means over mel bands.

        Args:
            mel: Waveforms, shape (b, n), full scale 1, at 48,000 Hz.
            layers: Numbers of the layers; 0 is the spectrogram.

        Returns:
            States, shape (b, steps of all windows, channels) each; number of steps and channels depend on the layer.
        """
        parts = []
        for part in torch.split(self._windows(mel), _BATCH):
            with self.collect_states(layers) as states:
                self.net(self._mel(part))
            parts.append([states[layer].mean(2).transpose(1, 2) for layer in layers])
        joined = [torch.cat(steps) for steps in zip(*parts, strict=True)]
        return [steps.reshape(len(mel), -1, steps.shape[-1]) for steps in joined]

    def restore_args(self) -> dict[str, Any]:
        """Return weights=None, and the settings, which the name of the weights may have set."""
        return {"weights": None, "settings": self.settings}

    def _windows(self, waveform: Tensor) -> Tensor:
        """Cut clips into windows of 1 s, shape (b windows, 1, n)."""
        hop = int(self.settings["hop_size"] * self.sample_rate)
        missing = _WINDOW // 2
        hops = max(0, math.ceil((waveform.shape[-1] + missing - _WINDOW) / hop))
        end = hops * hop + _WINDOW - missing - waveform.shape[-1]
        return F.pad(waveform, (missing, end)).unfold(-1, _WINDOW, hop).flatten(0, 1).unsqueeze(1)

    def _mel(self, windows: Tensor) -> Tensor:
        """Compute spectrograms in decibels below the maximum, shape (b, bands, 199, 1)."""
        spectrogram = self._spectrogram[0].to(windows.device)
        spectrogram.mel_basis = self.mel_basis.float()
        # The meta device has no autocast.
        with torch.autocast("cpu" if windows.is_meta else windows.device.type, enabled=False):
            mel: Tensor = spectrogram(windows.float())
        return mel.to(windows.dtype)


def _build(settings: Mapping[str, Any]) -> tuple[Any, Any]:
    """Build the network on the default device, and its spectrogram on the CPU."""
    from torchopenl3.models import PytorchOpenl3

    # The package makes some tensors on the CPU in any case.
    with torch.device("cpu"), warnings.catch_warnings():
        # librosa warns that the lowest of the 256 bands are empty; the published weights have them, too.
        warnings.filterwarnings("ignore", message="Empty filters")
        net = PytorchOpenl3("music", settings["input_repr"], settings["embedding_size"])
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = _KERAS_MOMENTUM
    spectrogram = net.speclayer
    net.speclayer = nn.Identity()
    return net.to(torch.get_default_device()), spectrogram


def _named_settings(weights: str | None) -> dict[str, Any]:
    """Return the settings in a published name."""
    if weights not in _ADDRESSES:
        return {}
    bands, _, size = str(weights).split("_")
    return {"input_repr": bands, "embedding_size": int(size)}


def _check_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return all settings, after a check."""
    if unknown := sorted(settings.keys() - _SETTINGS.keys()):
        raise LitGenreError(f"OpenL3 has no settings {unknown}. Its settings are {', '.join(_SETTINGS)}.")
    full = {**_SETTINGS, **settings}
    choices: dict[str, Sequence[Any]] = {"input_repr": tuple(_BANDS), "embedding_size": _EMBEDDING_SIZES}
    for name, values in choices.items():
        if full[name] not in values:
            raise LitGenreError(f"settings {name} is {full[name]!r}, but must be {' or '.join(map(str, values))}.")
    if not 1 / OpenL3.sample_rate <= full["hop_size"] <= 1:
        raise LitGenreError(f"settings hop_size is {full['hop_size']}, but must be more than 0 and at most 1 s.")
    return full


def _own_tensors(content: Any) -> Any:
    """Return the tensors of a file of weights by the names in OpenL3, without the Fourier kernels, which are fixed."""
    if not isinstance(content, Mapping):
        return content
    net = {f"net.{name}": value for name, value in content.items() if not str(name).startswith("speclayer.")}
    basis = content.get("speclayer.mel_basis")
    return net if basis is None else {**net, "mel_basis": basis}
