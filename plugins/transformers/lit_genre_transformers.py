"""TransformersBackbone: the audio encoders of Hugging Face's transformers, on waveforms."""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from lit_genre.model.backbone import Backbone, InputShape

_UNSAFE_KEY: Final = re.compile(
    r"^auto_map$|attn_implementation|experts_implementation|kernel_config|quantization|^_name|_hash$"
)
"""Keys of the configuration in a checkpoint with which transformers would load kernels, classes or weights."""

_PRETRAINING_NOISE: Final = ("mask_time_prob", "mask_feature_prob", "layerdrop", "encoder_layerdrop")
"""Probabilities of masking and of skipping layers, which belong to pretraining."""


class TransformersBackbone(Backbone):
    """Any audio encoder of Hugging Face: wav2vec 2.0, HuBERT, WavLM, MERT, AST or that of Whisper.

    Use it with `frontend: torch.nn.Identity` and the sample rate of the encoder. For an encoder on waveforms, clips are
    normalised on the device. For an encoder on spectrograms, such as AST, the feature extractor of transformers
    computes them on the CPU, and cuts or pads a clip to the length of the encoder's input. Masking and layer drop,
    which belong to pretraining, are off.

    Args:
        input_shape: (n_samples,).
        model: Folder with config.json, preprocessor_config.json and weights, or name on the Hugging Face hub.
        freeze: Train the head (and the weights of the layers) only.
        layer_average: Average the outputs of all layers with learned weights, instead of using the last one.
        trust_remote_code: Run the Python files of the model, which MERT needs. Read them first.
        restored: Configuration of the encoder in a checkpoint, which replaces folder and hub; lit-genre sets it.

    Shape:
        - mel: (b, n), samples of full scale 1
        - Output: (b, d), the mean over time; for AST the mean over all tokens

    Raises:
        ValueError: The model cannot be loaded, or is not an audio encoder.

    Reference:
        S. Yang et al., "SUPERB: Speech Processing Universal PERformance Benchmark", Interspeech 2021 (the learned
        average over layers).
    """

    takes = "waveform"

    def __init__(
        self,
        input_shape: InputShape,
        model: str = "facebook/wav2vec2-base",
        freeze: bool = False,
        layer_average: bool = True,
        trust_remote_code: bool = False,
        restored: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.arguments = {
            "input_shape": input_shape,
            "model": model,
            "freeze": freeze,
            "layer_average": layer_average,
            "trust_remote_code": trust_remote_code,
        }
        self.freeze = freeze
        self.extractor, self.encoder = _restore(restored) if restored else _load(model, trust_remote_code)
        # transformers returns encoders in evaluation mode.
        self.encoder.requires_grad_(not freeze).train(not freeze)
        self.sample_rate = self.extractor.sampling_rate
        self.embedding_dim = self.encoder.config.hidden_size
        self.takes_waveform = not hasattr(self.extractor, "num_mel_bins") and self.extractor.feature_size == 1
        layers = self.encoder.config.num_hidden_layers + 1
        self.layer_weights = nn.Parameter(torch.zeros(layers)) if layer_average else None

    def forward(self, mel: Tensor) -> Tensor:
        """Compute embeddings.

        Args:
            mel: Waveforms, shape (b, n), full scale 1, at the sample rate of the encoder.

        Returns:
            Embeddings, shape (b, embedding_dim).
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.freeze):
            output = self.encoder(self._features(mel), output_hidden_states=self.layer_weights is not None)
            steps = self._steps(mel.shape[-1], output.last_hidden_state.shape[1])
            if self.layer_weights is None:
                return output.last_hidden_state[:, :steps].mean(1)
            # last_hidden_state instead of hidden_states[-1]: some encoders normalise it after the last layer.
            outputs = (*output.hidden_states[:-1], output.last_hidden_state)
            layers = torch.stack([states[:, :steps].mean(1) for states in outputs])
        return torch.einsum("l,lbd->bd", self.layer_weights.softmax(0), layers)

    def train(self, mode: bool = True) -> "TransformersBackbone":
        """Set the mode; a frozen encoder stays in evaluation mode."""
        super().train(mode)
        if self.freeze:
            self.encoder.eval()
        return self

    def restore_args(self) -> dict[str, Any]:
        """Return the configuration of the encoder, so that a checkpoint needs neither folder nor hub."""
        config = self.encoder.config
        if not type(config).__module__.startswith("transformers."):
            return {}  # The model has code of its own, which must be read from the folder or the hub.
        # Through JSON, which contains plain data only.
        plain_config = json.loads(config.to_json_string(use_diff=False))
        return {"restored": {"config": plain_config, "extractor": json.loads(self.extractor.to_json_string())}}

    @classmethod
    def unsafe_args(cls, init_args: Mapping[str, Any]) -> dict[str, str]:
        """Return the arguments that a file must not set: they run code of the model, or choose its folder."""
        unsafe = {}
        if init_args.get("trust_remote_code"):
            unsafe["trust_remote_code"] = (
                "runs the Python files of the model, which a checkpoint needs only if its encoder is not part of "
                "transformers"
            )
        if not init_args.get("restored"):
            unsafe["model"] = f"reads the model {init_args.get('model')!r} from a folder or from the hub"
        return unsafe

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle arguments and weights: encoders such as wav2vec 2.0 have attributes that cannot be pickled."""
        return _rebuild, (type(self), {**self.arguments, **self.restore_args()}, self.state_dict(), self.training)

    def _features(self, waveform: Tensor) -> Tensor:
        if not self.takes_waveform:
            # Not a decorator: torch.compiler takes a second to import, and this module is loaded for every backbone.
            return torch.compiler.disable(self._spectrogram)(waveform)
        if self.extractor.do_normalize:
            mean, variance = waveform.mean(-1, keepdim=True), waveform.var(-1, keepdim=True, correction=0)
            # 1e-7 as in Wav2Vec2FeatureExtractor, which computes this on the CPU.
            return (waveform - mean) / (variance + 1e-7).sqrt()
        return waveform

    def _steps(self, n_samples: int, steps: int) -> int:
        """Return the number of steps of the clip itself: an encoder such as Whisper pads clips to a fixed length."""
        padded: int = getattr(self.extractor, "n_samples", n_samples)
        return math.ceil(steps * min(1, n_samples / padded))

    def _spectrogram(self, waveform: Tensor) -> Tensor:
        clips = [clip.float().numpy(force=True) for clip in waveform]
        with torch.autocast("cpu", enabled=False):
            features = self.extractor(clips, sampling_rate=self.sample_rate, return_tensors="pt")
        return features[self.encoder.main_input_name].to(waveform.device)


def _load(model: str, trust_remote_code: bool) -> tuple[Any, nn.Module]:
    """Load an encoder and its feature extractor from a folder or the hub."""
    # Imported here: the import takes seconds, and all installed plugins are loaded for every backbone.
    from transformers import AutoConfig, AutoFeatureExtractor, AutoModel

    if (Path(model).is_absolute() or model.startswith(".")) and not Path(model).is_dir():
        raise ValueError(f"there is no folder {model}: use a folder with a model, or a name on the Hugging Face hub")
    try:
        extractor = AutoFeatureExtractor.from_pretrained(model, trust_remote_code=trust_remote_code)
        config = AutoConfig.from_pretrained(model, trust_remote_code=trust_remote_code)
        config.dtype = torch.float32
        for name in _PRETRAINING_NOISE:
            if hasattr(config, name):
                setattr(config, name, 0.0)
        if torch.get_default_device().type == "meta":
            # On the meta device only the size of the network is computed.
            encoder = AutoModel.from_config(config, trust_remote_code=trust_remote_code)
        else:
            # float32 also if the weights are stored in half precision, in which training would diverge.
            encoder = AutoModel.from_pretrained(
                model, config=config, dtype=torch.float32, trust_remote_code=trust_remote_code
            )
    except (OSError, ValueError) as error:
        raise ValueError(
            f"the model {model} cannot be loaded: {str(error).splitlines()[0]} Use a folder with the model, or run "
            "once with a network connection: the model is then in the Hugging Face cache."
        ) from error
    return extractor, _find_encoder(encoder, model)


def _restore(restored: dict[str, Any]) -> tuple[Any, nn.Module]:
    """Build an encoder with random weights, and its feature extractor, from the configuration in a checkpoint."""
    import transformers

    safe = {name: value for name, value in restored["config"].items() if not _UNSAFE_KEY.search(name)}
    config = transformers.AutoConfig.for_model(**safe)
    name = restored["extractor"]["feature_extractor_type"]
    # A name in a checkpoint must not choose another attribute of transformers.
    extractor_class = getattr(transformers, str(name), None)
    if not (isinstance(extractor_class, type) and issubclass(extractor_class, transformers.FeatureExtractionMixin)):
        raise ValueError(f"the checkpoint names the feature extractor {name}, which transformers does not have")
    extractor = extractor_class.from_dict(restored["extractor"])
    return extractor, _find_encoder(transformers.AutoModel.from_config(config), name)


def _rebuild(
    backbone_class: type[TransformersBackbone], arguments: dict[str, Any], weights: dict[str, Tensor], training: bool
) -> TransformersBackbone:
    backbone = backbone_class(**arguments)
    backbone.to(next(iter(weights.values())).device).load_state_dict(weights)
    return backbone.train(training)


def _find_encoder(model: Any, name: str) -> nn.Module:
    """Return the encoder of a model; raise a ValueError if it is not an audio encoder."""
    encoder: nn.Module = model.get_encoder() if getattr(model.config, "is_encoder_decoder", False) else model
    if not hasattr(encoder.config, "num_hidden_layers") or not hasattr(encoder.config, "hidden_size"):
        raise ValueError(f"the model {name} is a {type(model).__name__}, not an audio encoder")
    return encoder
