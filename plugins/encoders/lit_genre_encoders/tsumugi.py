"""Tsumugi-MRL: a pretrained transformer on mel spectrograms of music."""

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_genre.errors import LitGenreError
from lit_genre.model.backbone import InputShape
from lit_genre_encoders.encoder import Encoder, import_published, read_weights
from lit_genre_encoders.weights import download_from_hub, load_tensors

_INSTALL: Final = "pip install tsumugi-mrl"

_PUBLISHED: Final = "anime-song/tsumugi-mrl"

_ENCODER: Final = "audio_encoder."

_STATISTICS: Final = "frontend."
"""Begin of the names of the mean and the deviation of mel spectrograms, in a file of weights."""

_COMPUTED: Final = ("mask_token", "frontend.mel.")
"""Begins of the names of tensors that are not needed, or that the front-end computes itself."""


class Tsumugi(Encoder):
    """A transformer with rotary positions on mel spectrograms, pretrained on music.

    The published package computes the spectrogram, 128 mel bands in decibels of each of two channels, 50 frames a
    second. Use it with `frontend: torch.nn.Identity`. A clip is mono and is used for both channels, as the authors
    recommend. Two frames are one step, so that there are 25 steps a second.

    An input of fewer than 2489 samples (0.11 s) is padded with zeros. There is no maximum. The configuration of the
    network names clips of 30 s, and longer ones have positions that it may not have been trained on.

    Args:
        input_shape: (n_samples,).
        weights: "anime-song/tsumugi-mrl" downloads the weights from the Hugging Face hub (CC BY-NC 4.0 license). Or
            path of a file of weights, with the config.json of the model in the same folder. null for random weights.
        freeze: Train the head (and the weights of the layers) only.
        settings: Values of config.json that differ from those of the weights, such as d_model, n_heads, num_layers,
            dim_feedforward or dropout.

    Shape:
        - mel: (b, n), samples of full scale 1
        - Output: (b, d_model), the mean over time of the last layer; 512 in the published size

    Raises:
        LitGenreError: The package is not installed, a setting is unknown or unsuitable, or the weights cannot be read
            or do not fit.

    Reference:
        anime-song, "Tsumugi-MRL", https://github.com/anime-song/Tsumugi-MRL, 2026.
    """

    sample_rate = 22050

    mel_mean: Tensor
    mel_std: Tensor

    def __init__(
        self,
        input_shape: InputShape,
        weights: str | None = _PUBLISHED,
        freeze: bool = True,
        settings: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.freeze = freeze
        package = import_published(_import, "tsumugi_mrl", _INSTALL)
        reads = weights is not None and torch.get_default_device().type != "meta"
        path, stored = _find(str(weights)) if reads else (None, {})
        self.settings = {**stored, **(settings or {})}
        config = _configure(package, self.settings)
        self.embedding_dim = config.d_model
        # The rest of the published model is a projection that was not trained.
        self.net = _build(package, config)
        # Not a submodule, so that it stays in float32 when the network is converted.
        self._frontend = (self.net.frontend,)
        self.least_samples = config.n_fft + (config.temporal_fold - 1) * config.hop_length
        self.net.frontend = nn.Identity()
        # In decibels. The file of weights contains those of the training data.
        self.register_buffer("mel_mean", torch.zeros(1))
        self.register_buffer("mel_std", torch.ones(1))
        # It replaces masked steps in pretraining. A parameter without a gradient stops training on several GPUs.
        del self.net.mask_token
        if path is not None:
            load_tensors(self, _rename(read_weights(str(path)), path), str(weights))
        self.requires_grad_(not freeze).train()

    def encode(self, waveform: Tensor) -> Tensor:
        """Compute the states of the last layer, after the final norm.

        Args:
            waveform: Samples of full scale 1 at 22,050 Hz, shape (b, n).

        Returns:
            States, shape (b, steps, d_model), 25 steps a second.
        """
        frontend = self._frontend[0].to(waveform.device)
        with torch.autocast("cpu" if waveform.is_meta else waveform.device.type, enabled=False):
            padded = F.pad(waveform.float(), (0, max(0, self.least_samples - waveform.shape[-1])))
            mel = frontend(padded.unsqueeze(1).expand(-1, 2, -1))
            mel = (mel - self.mel_mean) / self.mel_std.clamp_min(1e-6)
        states: Tensor = self.net(None, mel_features=mel.to(self.net.input_projection.weight.dtype))
        return states

    def layer_blocks(self) -> Sequence[nn.Module]:
        """Return the layers of the transformer, each a list of its attention and its feed-forward network."""
        layers: Sequence[nn.Module] = self.net.encoder.layers
        return layers

    def layer_outputs(self, mel: Tensor, layers: Sequence[int]) -> list[Tensor]:
        """Compute the states of some layers; those of the last are after the final norm.

        Args:
            mel: Waveforms, shape (b, n), full scale 1, at 22,050 Hz.
            layers: Numbers of the layers; 0 is the projected spectrogram.

        Returns:
            States, shape (b, steps, d_model) each.
        """
        inputs: list[Tensor] = []
        # A layer itself is never called. Its attention takes the states that the layer before returns.
        with ExitStack() as hooks:
            for attention, _ in self.net.encoder.layers:
                hooks.enter_context(attention.register_forward_pre_hook(lambda _, args: inputs.append(args[0])))
            states = self.encode(mel)
        return [[*inputs, states][layer] for layer in layers]

    def restore_args(self) -> dict[str, Any]:
        """Return weights=None and all settings, which a checkpoint has instead of the name or file of the weights."""
        return {"weights": None, "settings": self.settings}


def _import() -> Any:
    """Return the module of the published package."""
    # By name: mypy fails where tsumugi-mrl is not installed.
    return import_module("tsumugi_mrl.model")


def _configure(package: Any, settings: dict[str, Any]) -> Any:
    """Return the configuration of the network.

    Raises:
        LitGenreError: A setting is unknown.
    """
    names = [field.name for field in fields(package.ModelConfig)]
    unknown = sorted(settings.keys() - {*names})
    if unknown:
        raise LitGenreError(f"Tsumugi has no settings {', '.join(unknown)}. Its settings are {', '.join(names)}.")
    try:
        return package.ModelConfig(**settings)
    except (ValueError, TypeError, ArithmeticError) as error:
        raise LitGenreError(f"The settings {settings} do not fit Tsumugi: {error} Set other numbers.") from error


def _build(package: Any, config: Any) -> Any:
    """Build the published network with random weights, on the default device."""
    try:
        # The front-end reads values of tensors, which the meta device does not have.
        with torch.device("cpu"):
            network = package.MaskedAudioEncoder(config)
    # What an unsuitable setting raises depends on where the package uses it.
    except Exception as error:
        raise LitGenreError(f"The settings {config} do not fit Tsumugi: {error}. Set positive numbers.") from error
    return network.to(torch.get_default_device())


def _find(weights: str) -> tuple[Path, dict[str, Any]]:
    """Return the file of weights, and the settings in the config.json next to it."""
    if weights == _PUBLISHED:
        path, config_path = (download_from_hub(_PUBLISHED, name) for name in ("model.safetensors", "config.json"))
    else:
        path = Path(weights)
        config_path = path.with_name("config.json")
    if not path.is_file():
        raise LitGenreError(f"There is no file of weights {weights}. Set weights to a file, or to {_PUBLISHED}.")
    try:
        return path, dict(json.loads(config_path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise LitGenreError(
            f"The configuration of the weights cannot be read from {config_path} ({type(error).__name__}: {error}). "
            "Download this file from the place of the weights to the same folder."
        ) from error


def _rename(content: Any, path: Path) -> dict[str, Tensor]:
    """Return the tensors of the encoder, by their names in this module."""
    if not isinstance(content, Mapping):
        raise LitGenreError(f"The weights {path} are of another network: they are no state_dict. Use other weights.")
    encoder = {
        str(name).removeprefix(_ENCODER): tensor
        for name, tensor in content.items()
        if str(name).startswith(_ENCODER) and not str(name).removeprefix(_ENCODER).startswith(_COMPUTED)
    }
    return {
        name.removeprefix(_STATISTICS) if name.startswith(_STATISTICS) else f"net.{name}": tensor
        for name, tensor in encoder.items()
    }
