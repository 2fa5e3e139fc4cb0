"""TransformersBackbone: the audio encoders of Hugging Face's transformers, on waveforms."""

import hashlib
import inspect
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lit_genre.errors import LitGenreError
from lit_genre.model.backbone import Backbone, InputShape

_UNSAFE_KEY: Final = re.compile(
    r"^auto_map$|attn_implementation|experts_implementation|kernel_config|quantization|^_name|_hash$"
)
"""Keys of the configuration in a checkpoint with which transformers would load kernels, classes or weights."""

_PRETRAINING_NOISE: Final = ("mask_time_prob", "mask_feature_prob", "layerdrop", "encoder_layerdrop")
"""Probabilities of masking and of skipping layers, which belong to pretraining."""

_OTHER_INPUTS: Final = {"input_ids": "text", "pixel_values": "images", "pixel_values_videos": "videos"}
"""First argument of models that are no audio encoders, and what it contains."""


class TransformersBackbone(Backbone):
    """Any audio encoder of Hugging Face: wav2vec 2.0, HuBERT, WavLM, data2vec, MERT, AST, MAEST, Whisper or CLAP.

    Use it with `frontend: torch.nn.Identity` and the sample rate of the encoder. For an encoder on waveforms, clips are
    normalised on the device. For an encoder on spectrograms, such as AST, the feature extractor of the model computes
    them on the CPU, and cuts or pads a clip to the length of the encoder's input. Masking and layer drop, which belong
    to pretraining, are off.

    Args:
        input_shape: (n_samples,).
        model: Folder with config.json, preprocessor_config.json and weights, or name on the Hugging Face hub.
        freeze: Train the head (and the weights of the layers) only.
        trust_remote_code: Run the Python files of the model, which MERT needs. Read them first.
        restored: Configuration of the encoder in a checkpoint, which replaces folder and hub; lit-genre sets it.

    Shape:
        - mel: (b, n), samples of full scale 1
        - Output: (b, d), the mean of the encoder's output over time; for AST and CLAP the mean over all tokens

    Raises:
        LitGenreError: The model cannot be loaded, or is not an audio encoder.
    """

    takes = "waveform"

    def __init__(
        self,
        input_shape: InputShape,
        model: str = "facebook/wav2vec2-base",
        freeze: bool = False,
        trust_remote_code: bool = False,
        restored: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.arguments = {
            "input_shape": input_shape,
            "model": model,
            "freeze": freeze,
            "trust_remote_code": trust_remote_code,
        }
        self.freeze = freeze
        if restored:
            self.extractor, network = _restore(restored, trust_remote_code)
            self.restored = restored
        else:
            self.extractor, network = _load(model, trust_remote_code)
            self.restored = _describe(self.extractor, network)
        self.encoder = _find_encoder(network, self.extractor, model)
        # transformers returns encoders in evaluation mode.
        self.encoder.requires_grad_(not freeze).train(not freeze)
        self.sample_rate = self.extractor.sampling_rate
        self.takes_waveform = type(self.extractor).__name__ == "Wav2Vec2FeatureExtractor"
        self.embedding_dim = self.encoder.config.hidden_size
        # Parameters without a gradient stop training on several GPUs. The whole of an encoder of transformers is used,
        # unless CLAP fuses crops of long clips, which are cut here.
        if not freeze and ("code" in self.restored or self._fuses):
            self._freeze_unused(input_shape)

    def forward(self, mel: Tensor) -> Tensor:
        """Compute embeddings.

        Args:
            mel: Waveforms, shape (b, n), full scale 1, at the sample rate of the encoder.

        Returns:
            Embeddings, shape (b, embedding_dim).

        Raises:
            LitGenreError: A model with code of its own returns another tensor than (b, steps, d).
        """
        return self._states(self._encode(mel), mel).mean(1)

    def layer_blocks(self) -> Sequence[nn.Module]:
        """Return the layers of the encoder; of CLAP, whose stages have other sizes, the blocks of the last stage.

        Raises:
            LitGenreError: No layers were found.
        """
        return _find_layers(self.encoder, self.arguments["model"])

    def layer_outputs(self, mel: Tensor, layers: Sequence[int]) -> list[Tensor]:
        """Compute the states of some layers, without those of the padding.

        Hooks instead of `output_hidden_states`, which code of a model may ignore, and which transformers 5 does not
        pass on to code that was written for transformers 4.

        Args:
            mel: Waveforms, shape (b, n), full scale 1, at the sample rate of the encoder.
            layers: Numbers of the layers; the last is the output of the encoder, after its final norm.

        Returns:
            States, shape (b, steps, d) each.

        Raises:
            LitGenreError: A layer of a model with code of its own returns another tensor than (b, steps, d).
        """
        with self.collect_states(layers) as states:
            output = self._encode(mel)
        states[len(self.layer_blocks())] = output
        return [self._states(states[layer], mel) for layer in layers]

    def train(self, mode: bool = True) -> "TransformersBackbone":
        """Set the mode; a frozen encoder stays in evaluation mode."""
        super().train(mode)
        if self.freeze:
            self.encoder.eval()
        return self

    def restore_args(self) -> dict[str, Any]:
        """Return the configuration of the encoder, and its code if that is not part of transformers.

        Returns:
            Arguments with which a checkpoint needs neither folder nor hub.
        """
        # Only a checkpoint with code needs `--trust`, whatever the user has set.
        return {"restored": self.restored, "trust_remote_code": "code" in self.restored}

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
        return self.reduce_to_arguments({**self.arguments, **self.restore_args()})

    @property
    def _fuses(self) -> bool:
        return bool(getattr(self.encoder.config, "enable_fusion", False))

    def _encode(self, waveform: Tensor) -> Any:
        """Return the output of the encoder, as it comes."""
        # CLAP with fusion needs to be told that no clip is longer than its input.
        options = {"is_longer": waveform.new_zeros(len(waveform), 1, dtype=torch.bool)} if self._fuses else {}
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.freeze):
            output = self.encoder(self._features(waveform), **options)
        return output[0] if isinstance(output, tuple) else output.last_hidden_state

    def _states(self, states: Any, waveform: Tensor) -> Tensor:
        """Return the states of the clip, without those of padding.

        Args:
            states: Output of a layer, shape (b, steps, d), or that of CLAP, (b, d, bands, steps).
            waveform: Waveforms, shape (b, n).

        Returns:
            States, shape (b, steps, d).
        """
        if isinstance(states, Tensor) and states.ndim == 4:
            states = states.flatten(2).transpose(1, 2)
        shape = tuple(states.shape) if isinstance(states, Tensor) else type(states).__name__
        size = self.encoder.config.hidden_size
        if len(shape) != 3 or (shape[0], shape[2]) != (len(waveform), size):
            raise LitGenreError(
                f"A layer of {self.arguments['model']} returned {shape} for {len(waveform)} clips, but must return "
                f"({len(waveform)}, steps, {size}). Leave out model.layers, which uses the output."
            )
        kept: Tensor = states[:, : self._steps(waveform.shape[-1], shape[1])]
        return kept

    def _freeze_unused(self, input_shape: InputShape) -> None:
        """Freeze the parameters that the embedding does not depend on, such as those after a named layer."""
        if torch.get_default_device().type == "meta":
            return
        # In evaluation mode, so that no running statistics change.
        self.encoder.eval()
        with torch.enable_grad():
            embedding = self(torch.zeros(1, *input_shape))
            trained = [parameter for parameter in self.encoder.parameters() if parameter.requires_grad]
            gradients = torch.autograd.grad(embedding.sum(), trained, allow_unused=True)
        for parameter, gradient in zip(trained, gradients, strict=True):
            parameter.requires_grad_(gradient is not None)
        self.encoder.train()

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
        # Cut here: CLAP's feature extractor draws a random crop of a longer clip.
        longest = getattr(self.extractor, "nb_max_samples", None)
        clips = [clip[:longest].float().numpy(force=True) for clip in waveform]
        with torch.autocast("cpu", enabled=False):
            features = self.extractor(clips, sampling_rate=self.sample_rate, return_tensors="pt")
        return torch.as_tensor(features[self.extractor.model_input_names[0]]).to(waveform.device, torch.float32)


class MAESTSpectrogram:
    """The log-mel spectrogram of MAEST, from the settings in a checkpoint instead of the model's own code.

    It stands in for the feature extractor of the models `mtg-upf/discogs-maest-*`. It is used if its output equals
    that of the model's code.

    Args:
        settings: Settings of the model's feature extractor, those of `DEFAULTS`; others are ignored.

    Reference:
        P. Alonso-Jimenez, X. Serra and D. Bogdanov, "Efficient supervised training of audio transformers for music
        representation learning", ISMIR 2023.
    """

    DEFAULTS: Final[Mapping[str, Any]] = {
        "sampling_rate": 16000,
        "n_fft": 512,
        "hop_length": 256,
        "num_mel_bins": 96,
        "max_length": 1876,
        "do_normalize": True,
        "mean": 2.06755686098554,
        "std": 1.268292820667291,
    }
    model_input_names = ("input_values",)

    def __init__(self, **settings: Any) -> None:
        from transformers.audio_utils import mel_filter_bank, window_function

        self.settings = {name: settings.get(name, default) for name, default in self.DEFAULTS.items()}
        self.sampling_rate: int = self.settings["sampling_rate"]
        self.window = window_function(self.settings["n_fft"], "hann")
        self.filters = mel_filter_bank(
            num_frequency_bins=self.settings["n_fft"] // 2 + 1,
            num_mel_filters=self.settings["num_mel_bins"],
            min_frequency=0,
            max_frequency=self.sampling_rate / 2,
            sampling_rate=self.sampling_rate,
            norm="slaney",
            mel_scale="slaney",
        )

    def to_json_string(self) -> str:
        """Return the settings as JSON, as feature extractors of transformers do."""
        return json.dumps({**self.settings, "feature_extractor_type": type(self).__name__})

    def __call__(
        self, clips: Sequence[NDArray[np.floating]], sampling_rate: int, return_tensors: str
    ) -> dict[str, Tensor]:
        """Compute spectrograms.

        Args:
            clips: Waveforms, shape (n,), full scale 1.
            sampling_rate: Ignored: it is that of the settings.
            return_tensors: Ignored: tensors are returned.

        Returns:
            `input_values`: spectrograms, shape (b, max_length, num_mel_bins), float32.
        """
        return {"input_values": torch.from_numpy(np.stack([self._spectrogram(clip) for clip in clips]))}

    def _spectrogram(self, clip: NDArray[np.floating]) -> NDArray[np.float32]:
        from transformers.audio_utils import spectrogram

        mel = spectrogram(
            clip,
            self.window,
            frame_length=self.settings["n_fft"],
            hop_length=self.settings["hop_length"],
            power=2,
            pad_mode="constant",
            mel_filters=self.filters,
            mel_floor=1e-30,
        )
        frames = np.log10(1 + 10000 * mel.T)[: self.settings["max_length"]]
        # Padded before the normalisation, as in the model's code.
        frames = np.pad(frames, ((0, self.settings["max_length"] - len(frames)), (0, 0)))
        if self.settings["do_normalize"]:
            frames = (frames - self.settings["mean"]) / (2 * self.settings["std"])
        return frames.astype(np.float32)


def _load(model: str, trust_remote_code: bool) -> tuple[Any, Any]:
    """Load a feature extractor and a network from a folder or the hub."""
    # Imported here: the import takes seconds, and all installed plugins are loaded for every backbone.
    from transformers import AutoConfig, AutoFeatureExtractor, AutoModel

    if (Path(model).is_absolute() or model.startswith(".")) and not Path(model).is_dir():
        raise LitGenreError(
            f"There is no folder {model}. Use a folder with a model, or a name on the Hugging Face hub."
        )
    on_meta = torch.get_default_device().type == "meta"
    try:
        extractor = AutoFeatureExtractor.from_pretrained(model, trust_remote_code=trust_remote_code)
        config = AutoConfig.from_pretrained(model, trust_remote_code=trust_remote_code)
        config.dtype = torch.float32
        for name in _PRETRAINING_NOISE:
            if hasattr(config, name):
                setattr(config, name, 0.0)
        if on_meta:
            # On the meta device only the size of the network is computed.
            network = AutoModel.from_config(config, trust_remote_code=trust_remote_code)
        else:
            # float32 also if the weights are stored in half precision, in which training would diverge.
            network = AutoModel.from_pretrained(
                model, config=config, dtype=torch.float32, trust_remote_code=trust_remote_code
            )
    # ImportError: code of a model may need a package that is not installed.
    except (ImportError, OSError, ValueError) as error:
        hint = (
            "Set trust_remote_code: true to run the Python files of the model, after reading them."
            if "trust_remote_code" in str(error)
            else "Use a folder with the model, or run once with a network connection: the model is then in the Hugging "
            "Face cache."
        )
        reason = str(error).strip().splitlines()[0]
        raise LitGenreError(f"The model {model} cannot be loaded: {reason} {hint}") from error
    # The text half of CLAP is not needed. Its audio half cannot be loaded on its own: its weights have other names.
    network = network.audio_model if type(network).__name__ == "ClapModel" else network
    return extractor if on_meta else _plain_extractor(extractor), network


def _plain_extractor(extractor: Any) -> Any:
    """Return a feature extractor without code of its own that has the same output, or the same one if there is none.

    With it, a checkpoint of AST with a feature extractor of its own, such as MAEST, needs the settings only.
    """
    import transformers

    if not _is_own(type(extractor)):
        return extractor
    settings = {
        name: value
        for name, value in extractor.to_dict().items()
        if isinstance(value, bool | int | float | str) and name != "feature_extractor_type"
    }
    # A short clip, which is padded, and a long one, which is cut.
    noise = np.random.default_rng(0).normal(0, 0.1, 40 * extractor.sampling_rate).astype(np.float32)
    clips = [noise[: extractor.sampling_rate], noise]
    expected = [_extract(extractor, clip) for clip in clips]
    for plain_class in (transformers.ASTFeatureExtractor, MAESTSpectrogram):
        try:
            plain = plain_class(**settings)
            outputs = [_extract(plain, clip) for clip in clips]
        except Exception:  # The settings are those of another spectrogram, so any error may follow.
            continue
        pairs = zip(outputs, expected, strict=True)
        if all(own.shape == other.shape and np.allclose(own, other, atol=1e-4) for own, other in pairs):
            return plain
    return extractor


def _extract(extractor: Any, clip: NDArray[np.floating]) -> NDArray[np.floating]:
    features = extractor([clip], sampling_rate=extractor.sampling_rate, return_tensors="pt")
    return np.asarray(features[extractor.model_input_names[0]])


def _is_own(some_class: type) -> bool:
    return not some_class.__module__.startswith(("transformers.", __name__))


def _describe(extractor: Any, network: Any) -> dict[str, Any]:
    """Return a feature extractor and a network as plain data: their settings, and their code if it is their own."""
    # Through JSON, which contains plain data only.
    config = json.loads(network.config.to_json_string(use_diff=False))
    settings = json.loads(extractor.to_json_string())
    config.pop("auto_map", None)
    settings.pop("auto_map", None)
    restored = {"config": config, "extractor": settings}
    for auto_class, part, own_class in (
        ("AutoConfig", config, type(network.config)),
        ("AutoModel", config, type(network)),
        ("AutoFeatureExtractor", settings, type(extractor)),
    ):
        if _is_own(own_class):
            from transformers.dynamic_module_utils import get_relative_import_files

            path = Path(inspect.getfile(own_class))
            part.setdefault("auto_map", {})[auto_class] = f"{path.stem}.{own_class.__name__}"
            files = [path, *map(Path, get_relative_import_files(path))]
            restored.setdefault("code", {}).update({file.name: file.read_text(encoding="utf-8") for file in files})
    return restored


def _restore(restored: dict[str, Any], trust_remote_code: bool) -> tuple[Any, Any]:
    """Build a feature extractor, and a network with random weights, from their description in a checkpoint."""
    import transformers

    if "code" in restored:
        if not trust_remote_code:
            raise LitGenreError(
                "The checkpoint contains the Python code of its encoder, which is not part of transformers. Add "
                "--trust (in Python: trust=True) to run it, if you trust the author of the file."
            )
        return _restore_code(restored)
    safe = {name: value for name, value in restored["config"].items() if not _UNSAFE_KEY.search(name)}
    # AutoModel does not know CLAP's audio half.
    if safe.get("model_type") == transformers.ClapAudioConfig.model_type:
        network: Any = transformers.ClapAudioModel(transformers.ClapAudioConfig(**safe))
    else:
        network = transformers.AutoModel.from_config(transformers.AutoConfig.for_model(**safe))
    return _restore_extractor(restored["extractor"]), network


def _restore_extractor(settings: Mapping[str, Any]) -> Any:
    import transformers

    name = str(settings["feature_extractor_type"])
    if name == MAESTSpectrogram.__name__:
        return MAESTSpectrogram(**settings)
    # A name in a checkpoint must not choose another attribute of transformers.
    extractor_class = getattr(transformers, name, None)
    if not (isinstance(extractor_class, type) and issubclass(extractor_class, transformers.FeatureExtractionMixin)):
        raise LitGenreError(f"The checkpoint names the feature extractor {name}, which transformers does not have.")
    return extractor_class.from_dict(dict(settings))


def _restore_code(restored: dict[str, Any]) -> tuple[Any, Any]:
    from transformers import AutoConfig, AutoFeatureExtractor, AutoModel

    # transformers runs code of a folder only, and keeps a copy by the folder's name: the same code has the same name.
    key = hashlib.sha256(json.dumps(restored["code"], sort_keys=True).encode()).hexdigest()[:16]
    with TemporaryDirectory() as temporary:
        folder = Path(temporary) / f"lit_genre_{key}"
        folder.mkdir()
        for name, text in restored["code"].items():
            # The name only: a path would lead out of the folder.
            (folder / Path(name).name).write_text(text, encoding="utf-8")
        (folder / "config.json").write_text(json.dumps(restored["config"]))
        (folder / "preprocessor_config.json").write_text(json.dumps(restored["extractor"]))
        config = AutoConfig.from_pretrained(folder, trust_remote_code=True)
        network = AutoModel.from_config(config, trust_remote_code=True)
        if "auto_map" not in restored["extractor"]:
            return _restore_extractor(restored["extractor"]), network
        return AutoFeatureExtractor.from_pretrained(folder, trust_remote_code=True), network


def _find_encoder(network: Any, extractor: Any, name: str) -> Any:
    """Return the encoder of a network.

    Args:
        network: A model of transformers, or one with code of its own.
        extractor: Its feature extractor.
        name: Name of the model, for the message.

    Returns:
        The network, or the encoder of an encoder-decoder network such as Whisper.

    Raises:
        LitGenreError: It cannot be an audio encoder.
    """
    encoder = network.get_encoder() if getattr(network.config, "is_encoder_decoder", False) else network
    parameter = next(iter(inspect.signature(encoder.forward).parameters), "nothing")
    reason = None
    if parameter in _OTHER_INPUTS:
        reason = f"its input is {_OTHER_INPUTS[parameter]}"
    elif not hasattr(extractor, "sampling_rate"):
        reason = f"its {type(extractor).__name__} has no sample rate"
    elif not hasattr(encoder.config, "hidden_size"):
        reason = f"its {type(encoder.config).__name__} has no hidden_size"
    if reason:
        raise LitGenreError(f"The model {name} is a {type(network).__name__}, not an audio encoder: {reason}.")
    return encoder


def _find_layers(encoder: Any, name: str) -> nn.ModuleList:
    """Return the layers of an encoder: its longest list of equal blocks.

    Blocks are equal if they have the same class, and parameters of the same shapes where the names are the same. The
    list must work on states of the encoder's output size. So the convolutions before the layers are not meant. Of CLAP,
    whose stages have different sizes, the layers are the blocks of the last stage. A list of
    `config.num_hidden_layers` blocks is preferred, and of equally long lists the last.

    Args:
        encoder: The encoder.
        name: Name of the model, for the message.

    Returns:
        The layers.

    Raises:
        LitGenreError: There is no such list.
    """
    size = encoder.config.hidden_size
    lists = [module for module in encoder.modules() if isinstance(module, nn.ModuleList) and _are_layers(module, size)]
    if not lists:
        raise LitGenreError(
            f"No layers were found in {name}: {type(encoder).__name__} has no nn.ModuleList of equal blocks with "
            f"states of size {size} (its hidden_size). It cannot be used as an encoder."
        )
    expected = getattr(encoder.config, "num_hidden_layers", None)
    lengths = [(len(module) == expected, len(module), position) for position, module in enumerate(lists)]
    return lists[max(lengths)[2]]


def _are_layers(blocks: nn.ModuleList, size: int) -> bool:
    if len({type(block) for block in blocks}) != 1:
        return False
    shapes: dict[str, torch.Size] = {}
    for block in blocks:
        for name, parameter in block.named_parameters():
            # The first layer of WavLM has a parameter that the others share.
            if shapes.setdefault(name, parameter.shape) != parameter.shape:
                return False
    # A norm or a bias.
    return (size,) in map(tuple, shapes.values())
