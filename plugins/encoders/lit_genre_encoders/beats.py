"""BEATs: the audio transformer of Chen et al. (2023), pretrained on AudioSet by predicting acoustic tokens."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_genre.errors import LitGenreError
from lit_genre.model.backbone import InputShape
from lit_genre_encoders.encoder import Encoder, import_published, read_weights
from lit_genre_encoders.weights import find_weights, load_tensors

_INSTALL: Final = "pip install speechbrain"

_PAGE: Final = "https://github.com/microsoft/unilm/tree/master/beats"

_SETTINGS: Final = {
    "relative_position_embedding": True,
    "num_buckets": 320,
    "max_distance": 800,
    "gru_rel_pos": True,
    "deep_norm": True,
}
"""Settings of the base network that differ from the defaults of the package; a file of weights contains its own."""

_TAGS: Final = ("finetuned_model", "predictor_dropout", "predictor_class")
"""Settings of the layer for AudioSet's tags, which is not used."""

_PATCH_SAMPLES: Final = 400 + 15 * 160
"""Samples of one patch: 16 frames of 25 ms, each 10 ms after the one before."""


class BEATs(Encoder):
    """A transformer on patches of a mel spectrogram, pretrained on AudioSet to predict the tokens of a tokenizer.

    The code is that of the package SpeechBrain, which computes the spectrogram: 128 mel bands, 100 frames a second. Use
    it with `frontend: torch.nn.Identity`. A patch has 16 bands and 16 frames, so that there are 8 patches each 0.16 s,
    50 a second. There is no maximum length, but the network was trained on 10 s. An input of fewer than 2800 samples
    (0.18 s) is padded with zeros.

    Args:
        input_shape: (n_samples,).
        weights: A file of weights from the authors' page, https://github.com/microsoft/unilm/tree/master/beats, such as
            BEATs_iter3_plus_AS2M.pt; one that was fine-tuned on AudioSet's tags is accepted too. It contains the sizes
            of its network. null for random weights.
        freeze: Train the head (and the weights of the layers) only.
        settings: Settings of the published network that differ from those of the weights, such as encoder_layers,
            encoder_embed_dim, or dropout.

    Shape:
        - mel: (b, n), samples of full scale 1
        - Output: (b, encoder_embed_dim), the mean over patches of the last layer; 768 in the published size

    Raises:
        LitGenreError: The package is not installed, a setting is unknown or unsuitable, or the weights cannot be read
            or do not fit.

    Reference:
        S. Chen et al., "BEATs: Audio Pre-Training with Acoustic Tokenizers", ICML 2023.
    """

    sample_rate = 16000

    def __init__(
        self,
        input_shape: InputShape,
        weights: str | None = "BEATs_iter3_plus_AS2M.pt",
        freeze: bool = True,
        settings: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.freeze = freeze
        published = import_published(_import, "speechbrain", _INSTALL)
        tensors: dict[str, Tensor] | None = None
        stored: dict[str, Any] = {}
        if weights is not None and torch.get_default_device().type != "meta":
            tensors, stored = _read(weights)
        self.settings = _checked({**_SETTINGS, **stored, **(settings or {})}, published)
        config = published.BEATsConfig(self.settings)
        self.embedding_dim = config.encoder_embed_dim
        # The names in a published file.
        self.patch_embedding, self.layer_norm, self.post_extract_proj, self.encoder = _build(published, config)
        self.dropout_input = nn.Dropout(config.dropout_input)
        self._spectrogram = published.BEATs.preprocess
        if tensors is not None:
            load_tensors(self, tensors, str(weights))
        self.requires_grad_(not freeze).train()

    def encode(self, waveform: Tensor) -> Tensor:
        """Compute the states of the last layer.

        Args:
            waveform: Samples of full scale 1 at 16,000 Hz, shape (b, n).

        Returns:
            States, shape (b, patches, encoder_embed_dim), 50 a second.
        """
        states: Tensor = self._run(waveform)[0]
        return states

    def layer_blocks(self) -> Sequence[nn.Module]:
        """Return the layers of the transformer."""
        return list(self.encoder.layers)

    def layer_outputs(self, mel: Tensor, layers: Sequence[int]) -> list[Tensor]:
        """Compute the states of some layers.

        Args:
            mel: Waveforms, shape (b, n), full scale 1, at 16,000 Hz.
            layers: Numbers of the layers; 0 is the patches with their positions.

        Returns:
            States, shape (b, patches, encoder_embed_dim) each; those of the last layer are those of `encode`.
        """
        last, of_layers = self._run(mel)
        return [last if layer == len(of_layers) - 1 else of_layers[layer].transpose(0, 1) for layer in layers]

    def restore_args(self) -> dict[str, Any]:
        """Return weights=None and all settings, which a checkpoint has instead of the file of the weights."""
        return {"weights": None, "settings": self.settings}

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle settings and weights: torch refuses to pickle its weight normalisation."""
        arguments = {"input_shape": (0,), "weights": None, "freeze": self.freeze, "settings": self.settings}
        return self.reduce_to_arguments(arguments)

    def _run(self, waveform: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the states of the last layer, (b, patches, d), and of each, (patches, b, d); 0 is the input."""
        features = self.patch_embedding(self._mel(waveform).unsqueeze(1)).flatten(2).transpose(1, 2)
        features = self.post_extract_proj(self.layer_norm(features))
        # Otherwise the list lacks the input, and a network with layer_norm_first its final norm.
        states, of_layers = self.encoder(self.dropout_input(features), output_all_hiddens=True)
        return states, of_layers

    def _mel(self, waveform: Tensor) -> Tensor:
        """Compute normalised spectrograms, shape (b, frames, 128)."""
        device = waveform.device.type
        with torch.autocast("cpu" if device == "meta" else device, enabled=False):
            padded = F.pad(waveform.float(), (0, max(0, _PATCH_SAMPLES - waveform.shape[-1])))
            mel: Tensor = self._spectrogram(self, padded)
        return mel.to(self.patch_embedding.weight.dtype)


def _import() -> Any:
    """Return the module of the published package."""
    # By name: speechbrain ships no types.
    return import_module("speechbrain.lobes.models.beats")


def _read(weights: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors and the settings in a file of weights, without the layer for tags."""
    try:
        path = find_weights(weights, {})
    except LitGenreError as error:
        raise LitGenreError(
            f"There is no file of weights {weights}. Download one from {_PAGE}, and set weights to it."
        ) from error
    content = read_weights(path)
    if not isinstance(content, Mapping) or not all(isinstance(content.get(key), Mapping) for key in ("cfg", "model")):
        raise LitGenreError(
            f"The weights {path} are of another network: they have no cfg and model. Download others from {_PAGE}."
        )
    tensors = {str(name): value for name, value in content["model"].items() if not str(name).startswith("predictor.")}
    names = vars(import_published(_import, "speechbrain", _INSTALL).BEATsConfig())
    stored = {
        name: value
        for name, value in content["cfg"].items()
        if name in names and name not in _TAGS and isinstance(value, bool | int | float | str)
    }
    return tensors, stored


def _checked(settings: dict[str, Any], published: Any) -> dict[str, Any]:
    """Return the settings, after a check of their names."""
    names = [name for name in vars(published.BEATsConfig()) if name not in _TAGS]
    if unknown := sorted(settings.keys() - {*names}):
        raise LitGenreError(f"BEATs has no settings {', '.join(unknown)}. Its settings are {', '.join(names)}.")
    return settings


def _build(published: Any, config: Any) -> tuple[nn.Module, ...]:
    """Build the parts of the published network with random weights, on the default device.

    Raises:
        LitGenreError: The settings have no network.
    """
    size, width = config.embed_dim, config.encoder_embed_dim
    try:
        # The package sets weights by values, which the meta device does not have.
        with torch.device("cpu"):
            patch = config.input_patch_size
            parts = (
                nn.Conv2d(1, size, kernel_size=patch, stride=patch, bias=config.conv_bias),
                nn.LayerNorm(size),
                nn.Linear(size, width) if size != width else nn.Identity(),
                published.TransformerEncoder(config),
            )
    # What an unsuitable setting raises depends on where the package uses it.
    except Exception as error:
        raise LitGenreError(
            f"The settings do not fit BEATs: {type(error).__name__} {error}. Set encoder_embed_dim to a multiple of "
            "encoder_attention_heads and of conv_pos_groups, and numbers to positive ones."
        ) from error
    return tuple(part.to(torch.get_default_device()) for part in parts)
