"""MuQ: the network of Zhu et al. (2025), pretrained on the songs of the Million Song Dataset."""

import json
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_genre.errors import LitGenreError
from lit_genre.model.backbone import InputShape
from lit_genre_encoders.encoder import Encoder, import_published, read_weights
from lit_genre_encoders.weights import download_from_hub, load_tensors

_SIZES: Final = {
    "conv_dim": 512, "encoder_dim": 1024, "encoder_depth": 12, "num_attention_heads": 16, "intermediate_size": 4096,
}  # fmt: skip
"""Sizes of the published network, by their names in its config.json."""

_CONFORMER: Final = {"hidden_act": "swish", "position_embeddings_type": "rotary", "conv_depthwise_kernel_size": 31}
_FRAMES: Final = {"n_mels": 128, "hop_length": 240, "label_rate": 25}
"""Other settings in config.json; weights that were trained with others might be loaded without an error."""

_LEAST_SAMPLES: Final = 2048
"""Size of the Fourier transform, in samples. Half of it or less cannot be padded by reflection."""


class MuQ(Encoder):
    """A Conformer on mel spectrograms, pretrained to predict the codes of masked frames.

    Use it with `frontend: torch.nn.Identity`: the published package computes the spectrogram, 128 mel bands in
    decibels, 100 frames a second. Two convolutions reduce it to 25 steps a second; 12 Conformer layers follow. Layers
    0 to 12 of `model.layers` are the `hidden_states` of the published package.

    An input of fewer than 2048 samples (0.09 s) is padded with zeros. There is no maximum; the network was trained on
    clips of 30 s. With transformers 4, the memory grows with the square of the length: 8 GB for a clip of 5 minutes.

    The forward method of muq 0.1.0 (MIT license) fails with transformers 5, whose Conformer does not return all states.
    Therefore this class builds the network from its parts, without those that only pretraining needs.

    Args:
        input_shape: (n_samples,).
        weights: "OpenMuQ/MuQ-large-msd-iter" downloads the weights from the Hugging Face hub (1.3 GB, CC BY-NC 4.0
            license). Or path of a file of weights, with the config.json of the model in the same folder. null for
            random weights.
        freeze: Train the head (and the weights of the layers) only.
        settings: Sizes of another network than the published one: conv_dim, encoder_dim, encoder_depth,
            num_attention_heads, intermediate_size.

    Shape:
        - mel: (b, n), samples of full scale 1
        - Output: (b, encoder_dim), the mean over time of the last layer; 1024 in the published size

    Raises:
        LitGenreError: The package is not installed, a setting is unknown, or the weights cannot be read or do not fit.

    Reference:
        H. Zhu et al., "MuQ: Self-Supervised Music Representation Learning with Mel Residual Vector Quantization",
        arXiv:2501.01108, 2025.
    """

    sample_rate = 24000
    published: ClassVar[Mapping[str, tuple[str, str, str]]] = {
        "OpenMuQ/MuQ-large-msd-iter": ("OpenMuQ/MuQ-large-msd-iter", "model.safetensors", "config.json")
    }
    """For each name of weights the repository on the hub, the file of weights, and the file of statistics."""

    mel_mean: Tensor
    mel_std: Tensor

    def __init__(
        self,
        input_shape: InputShape,
        weights: str | None = "OpenMuQ/MuQ-large-msd-iter",
        freeze: bool = True,
        settings: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.freeze = freeze
        self.sizes = _check_settings(settings)
        self.embedding_dim = self.sizes["encoder_dim"]
        # The spectrogram is not an nn.Module, so it stays in float32 when the network is converted.
        self.spectrogram, self.conv, self.conformer = import_published(self._build, "muq", "pip install muq")
        # In decibels. Those of the training data are in a file next to the weights; a checkpoint contains the buffers.
        self.register_buffer("mel_mean", torch.tensor(0.0))
        self.register_buffer("mel_std", torch.tensor(20.0))
        if weights is not None and torch.get_default_device().type != "meta":
            self._load(weights)
        self.requires_grad_(not freeze).train()

    def encode(self, waveform: Tensor) -> Tensor:
        """Compute the states of the last layer.

        Args:
            waveform: Samples of full scale 1 at 24,000 Hz, shape (b, n).

        Returns:
            States, shape (b, steps, encoder_dim), 25 steps a second.
        """
        # transformers reuses the position embedding of the last call, even one on another device or in inference mode.
        self.conformer.embed_positions.cached_rotary_positional_embedding = None
        mel = (self._decibels(waveform) - self.mel_mean) / self.mel_std
        states: Tensor = self.conformer(self.conv(mel.to(waveform.dtype))).last_hidden_state
        return states

    def layer_blocks(self) -> Sequence[nn.Module]:
        """Return the Conformer layers."""
        return list(self.conformer.layers)

    def layer_outputs(self, mel: Tensor, layers: Sequence[int]) -> list[Tensor]:
        """Compute the states of some layers; those of the last are after the final norm.

        Args:
            mel: Waveforms, shape (b, n), full scale 1, at 24,000 Hz.
            layers: Numbers of the layers; 0 is the output of the convolutions.

        Returns:
            States, shape (b, steps, encoder_dim) each.
        """
        with self.collect_states(layers) as states:
            states[len(self.layer_blocks())] = self.encode(mel)
        return [states[layer] for layer in layers]

    def _build(self) -> tuple[Any, nn.Module, Any]:
        """Build spectrogram, convolutions and Conformer from the parts in the published packages."""
        sizes = self.sizes
        features, conv = (import_module(f"muq.muq.modules.{name}") for name in ("features", "conv"))
        conformer = import_module("transformers.models.wav2vec2_conformer.modeling_wav2vec2_conformer")
        config = conformer.Wav2Vec2ConformerConfig(
            hidden_size=sizes["encoder_dim"],
            num_hidden_layers=sizes["encoder_depth"],
            num_attention_heads=sizes["num_attention_heads"],
            intermediate_size=sizes["intermediate_size"],
            layerdrop=0.0,
            attn_implementation="sdpa",
            **_CONFORMER,
        )
        layers = conformer.Wav2Vec2ConformerEncoder(config)
        # It is part of the published weights, but nothing is computed with it.
        del layers.pos_conv_embed
        convolutions = conv.Conv2dSubsampling(1, sizes["conv_dim"], sizes["encoder_dim"], strides=[2, 2], n_bands=128)
        # torchaudio reads the values of its filters, which tensors on the meta device do not have.
        with torch.device("cpu"):
            spectrogram = features.MelSTFT(is_db=True)
        return spectrogram, convolutions, layers

    def _decibels(self, waveform: Tensor) -> Tensor:
        """Compute mel spectrograms in decibels, float32, shape (b, 128, n // 240)."""
        with torch.autocast("cpu" if waveform.is_meta else waveform.device.type, enabled=False):
            padded = F.pad(waveform.float(), (0, max(0, _LEAST_SAMPLES - waveform.shape[-1])))
            decibels: Tensor = self.spectrogram.to(waveform.device)(padded)
        # The network was trained without the last frame.
        return decibels[..., :-1]

    def _load(self, weights: str) -> None:
        """Load weights, and the statistics of the spectrograms that they were trained on.

        Raises:
            LitGenreError: A file is missing or damaged, or of another network.
        """
        path, statistics_path = self._locate(weights)
        mean, std = self._read_statistics(statistics_path)
        # The frequencies of the position embedding are missing in files of some releases of transformers.
        defaults = {name: tensor for name, tensor in self.state_dict().items() if name.endswith(".inv_freq")}
        statistics = {"mel_mean": torch.tensor(mean), "mel_std": torch.tensor(std)}
        tensors = {**defaults, **_network_tensors(read_weights(str(path))), **statistics}
        load_tensors(self, tensors, str(path))

    def _locate(self, weights: str) -> tuple[Path, Path]:
        """Return the file of weights and the file of statistics."""
        if weights in self.published:
            repository, *names = self.published[weights]
            path, statistics_path = (download_from_hub(repository, name) for name in names)
            return path, statistics_path
        path = Path(weights)
        if not path.is_file():
            known = " or ".join(self.published)
            raise LitGenreError(f"There is no file of weights {weights}. Set weights to a file, or to {known}.")
        return path, path.with_name(self._statistics_name(path))

    def _read_statistics(self, path: Path) -> tuple[float, float]:
        """Return mean and deviation of the spectrograms that weights were trained on, in decibels."""
        try:
            statistics = self._find_statistics(json.loads(path.read_text(encoding="utf-8")))
            return float(statistics["melspec_2048_mean"]), float(statistics["melspec_2048_std"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise LitGenreError(
                f"The statistics of the weights cannot be read from {path} ({type(error).__name__}: {error}). "
                "Download this file from the place of the weights to the same folder."
            ) from error

    def _statistics_name(self, path: Path) -> str:
        """Return the name of the file of statistics for a file of weights."""
        return "config.json"

    def _find_statistics(self, content: dict[str, Any]) -> dict[str, Any]:
        """Return the statistics in config.json, after a check that it is of this network."""
        config = {**content["w2v2_config"], **content}
        expected: dict[str, Any] = {**_CONFORMER, **_FRAMES, **self.sizes}
        other = {key: config[key] for key, value in expected.items() if config.get(key, value) != value}
        if other:
            ours = {key: expected[key] for key in other}
            raise LitGenreError(
                f"The weights are of a network with {other}, but this one has {ours}. Set the sizes among these by "
                "settings; if other values differ, use other weights."
            )
        statistics: dict[str, Any] = content["stat"]
        return statistics


def _check_settings(settings: dict[str, Any] | None) -> dict[str, int]:
    """Return all sizes of the network."""
    sizes = {**_SIZES, **(settings or {})}
    unknown = sorted({*sizes} - {*_SIZES})
    if unknown:
        raise LitGenreError(f"settings has {', '.join(unknown)}, but can have {', '.join(_SIZES)} only.")
    return sizes


def _network_tensors(content: Any) -> dict[str, Tensor]:
    """Return the tensors of convolutions and Conformer, without those that are used in pretraining only."""
    tensors = content.get("state_dict", content) if isinstance(content, Mapping) else {}
    named = {str(name).removeprefix("model."): tensor for name, tensor in tensors.items()}
    return {
        name: tensor
        for name, tensor in named.items()
        if name.startswith(("conv.", "conformer.")) and not name.startswith("conformer.pos_conv_embed.")
    }
