"""Dasheng: the masked autoencoder of Dinkel et al. (2024), pretrained on general audio."""

import inspect
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import PurePath
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_genre.errors import LitGenreError
from lit_genre.model.backbone import InputShape
from lit_genre_encoders.encoder import Encoder, import_published, read_weights
from lit_genre_encoders.weights import find_weights, load_tensors

_INSTALL: Final = "pip install dasheng"

_SIZES: Final[dict[str, dict[str, Any]]] = {
    "base": {"embed_dim": 768, "depth": 12, "num_heads": 12},
    "06B": {"embed_dim": 1280, "depth": 32, "num_heads": 16},
    "12B": {"embed_dim": 1536, "depth": 40, "num_heads": 24},
}
"""Sizes of the published networks."""

_RECORD: Final = "https://zenodo.org/records/11511780/files"

_ADDRESSES: Final = {name: f"{_RECORD}/dasheng_{name.lower()}.pt" for name in _SIZES}

_PATHS: Final = ("pathlib.PosixPath", "pathlib._local.PosixPath", "pathlib.WindowsPath")
"""Classes of the path that the training script of the package stores with the weights."""

_PLAIN: Final = (bool, int, float, str, list, tuple)
"""Types of the settings in a file of weights that a checkpoint can store."""


class Dasheng(Encoder):
    """A vision transformer on 64 mel bands, pretrained to reconstruct masked parts of 272,000 hours of audio.

    The published package computes the spectrogram, 100 frames a second, in decibels. Use it with
    `frontend: torch.nn.Identity`. A step of the transformer is 4 frames, so that there are 25 steps a second.

    The network takes 1008 frames (10.08 s) at most. A longer clip is cut into windows of this length, the last of which
    is shorter, as in the published code. An input of fewer than 1152 samples (0.07 s) is padded with zeros.

    The published code limits the decibels of a batch to 120 below its maximum. Here this is done for each clip, so that
    the embedding of a clip does not depend on the others. For a single clip both are equal.

    Args:
        input_shape: (n_samples,).
        weights: "base" (85 million parameters), "06B" (630 million) or "12B" (1.1 billion) are downloaded from Zenodo.
            Or a file of such weights, which contains the sizes of its network. null for random weights.
        freeze: Train the head (and the weights of the layers) only.
        settings: Arguments of the published network that differ from those of the weights, such as embed_dim, depth,
            num_heads, drop_rate, or target_length, the frames of a window.

    Shape:
        - mel: (b, n), samples of full scale 1
        - Output: (b, embed_dim), the mean over time of the last layer; 768, 1280 or 1536 in the published sizes

    Raises:
        LitGenreError: The package is not installed, a setting is unknown or unsuitable, or the weights cannot be read
            or do not fit.

    Reference:
        H. Dinkel et al., "Scaling up masked audio encoder learning for general audio classification", Interspeech 2024.
    """

    sample_rate = 16000

    def __init__(
        self,
        input_shape: InputShape,
        weights: str | None = "base",
        freeze: bool = True,
        settings: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.freeze = freeze
        published = import_published(_import, "dasheng", _INSTALL)
        tensors: dict[str, Tensor] | None = None
        stored: dict[str, Any] = {}
        if weights is not None and torch.get_default_device().type != "meta":
            tensors, stored = _read(find_weights(weights, _ADDRESSES))
        # As in the published code, sizes that are given replace those in the file.
        given = {**_SIZES.get(str(weights), {}), **(settings or {})}
        self.settings = _checked({**_SIZES["base"], **stored, **given}, published)
        self.net = _build(published, self.settings)
        # Not a submodule, so that it stays in float32 when the network is converted.
        self._spectrogram = (self.net.front_end,)
        self.net.front_end = nn.Identity()
        self.embedding_dim = self.net.embed_dim
        if tensors is not None:
            load_tensors(self.net, tensors, str(weights))
        self.requires_grad_(not freeze).train()

    def encode(self, waveform: Tensor) -> Tensor:
        """Compute the states of the last layer, after the final norm.

        Args:
            waveform: Samples of full scale 1 at 16,000 Hz, shape (b, n).

        Returns:
            States, shape (b, steps, embed_dim), 25 steps a second.
        """
        return torch.cat([self.net.forward_features(window) for window in self._windows(waveform)], 1)

    def layer_blocks(self) -> Sequence[nn.Module]:
        """Return the layers of the transformer."""
        return list(self.net.blocks)

    def layer_outputs(self, mel: Tensor, layers: Sequence[int]) -> list[Tensor]:
        """Compute the states of some layers, of all windows; those of the last layer are after the final norm.

        Args:
            mel: Waveforms, shape (b, n), full scale 1, at 16,000 Hz.
            layers: Numbers of the layers; 0 is the patches with their positions.

        Returns:
            States, shape (b, steps, embed_dim) each.
        """
        windows: list[list[Tensor]] = []
        for window in self._windows(mel):
            with self.collect_states(layers) as states:
                states[len(self.net.blocks)] = self.net.forward_features(window)
            windows.append([states[layer] for layer in layers])
        return [torch.cat(states, 1) for states in zip(*windows, strict=True)]

    def restore_args(self) -> dict[str, Any]:
        """Return weights=None and all settings, which a checkpoint has instead of the name or file of the weights."""
        return {"weights": None, "settings": self.settings}

    def _windows(self, waveform: Tensor) -> tuple[Tensor, ...]:
        """Compute the patches of windows, shape (b, embed_dim, bands, steps) each."""
        spectrogram, device = self._spectrogram[0], waveform.device
        # Enough for the Fourier transform and for one patch.
        least = spectrogram[0].n_fft + self.net.hop_size * self.net.patch_size[1]
        with torch.autocast("cpu" if device.type == "meta" else device.type, enabled=False):
            padded = F.pad(waveform.float(), (0, max(0, least - waveform.shape[-1])))
            # With a channel axis the limit of decibels is that of each clip; without, that of the batch.
            mel = spectrogram.to(device)(padded.unsqueeze(1))
            mel = self.net.init_bn(mel.to(self.net.time_pos_embed.dtype))
        steps = self.net.target_length // self.net.patch_stride[-1]
        windows: tuple[Tensor, ...] = self.net.patch_embed(mel).split(steps, -1)
        return windows


def _import() -> Any:
    """Return the class of the published package."""
    # By name: dasheng ships no types.
    return import_module("dasheng.pretrained.pretrained").Dasheng


def _read(path: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors and the settings in a file of weights."""
    with torch.serialization.safe_globals([(PurePath, name) for name in _PATHS]):
        content = read_weights(path)
    tensors = content.get("model", content) if isinstance(content, Mapping) else content
    stored = content.get("config") if isinstance(content, Mapping) else None
    if not isinstance(tensors, Mapping):
        raise LitGenreError(f"The weights {path} are of another network: they are no state_dict. Use other weights.")
    names = inspect.signature(import_published(_import, "dasheng", _INSTALL)).parameters
    known = stored if isinstance(stored, Mapping) else {}
    return (
        {name: value for name, value in tensors.items() if not str(name).startswith("front_end.")},
        {name: value for name, value in known.items() if name in names and isinstance(value, _PLAIN)},
    )


def _checked(settings: dict[str, Any], published: Any) -> dict[str, Any]:
    """Return the settings, after a check of their names."""
    names = [name for name in inspect.signature(published).parameters if name != "kwargs"]
    unknown = sorted(settings.keys() - {*names})
    if unknown:
        raise LitGenreError(f"Dasheng has no settings {', '.join(unknown)}. Its settings are {', '.join(names)}.")
    return settings


def _build(published: Any, settings: dict[str, Any]) -> Any:
    """Build the published network with random weights, on the default device.

    Raises:
        LitGenreError: The settings have no network.
    """
    try:
        # The package reads values of tensors, which the meta device does not have.
        with torch.device("cpu"):
            network = published(**settings)
    # What an unsuitable setting raises depends on where the package uses it.
    except Exception as error:
        raise LitGenreError(
            f"The settings {settings} do not fit Dasheng: {type(error).__name__} {error}. "
            "Set embed_dim to a multiple of num_heads, and numbers to positive ones."
        ) from error
    return network.to(torch.get_default_device())
