"""S-SONDO: small convolutional networks of El Adlouni et al. (2026), distilled from large audio encoders."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_genre.errors import LitGenreError
from lit_genre.model.backbone import InputShape
from lit_genre_encoders.encoder import Encoder, import_published, read_weights
from lit_genre_encoders.weights import download_from_hub, load_tensors

_INSTALL: Final = "pip install ssondo"

_SETTINGS: Final[dict[str, dict[str, Any]]] = {
    "mobilenetv3": {
        "width_mult": 1.0,
        "reduced_tail": False,
        "dilated": False,
        "strides": [2, 2, 2, 2],
        "relu_only": False,
        "se_dims": "c",
        "se_agg": "max",
        "se_r": 4,
    },
    "dymn": {"width_mult": 1.0, "strides": [2, 2, 2, 2], "pretrain_final_temp": 30.0},
    "eres2net": {"m_channels": 16, "num_blocks": [3, 4, 6, 3, 3], "pooling_func": "TSTP", "add_layer": True},
}
"""For each network the settings of the published size, by their names in the package."""

_SPECTROGRAM: Final = {"win_len": 0.032, "hop_len": 0.016, "n_mels": 128, "f_min": 50, "f_max": 16000}
"""Settings of the spectrogram, by their names in the files of weights; lengths in seconds, frequencies in Hz."""

_SECONDS: Final = 10
"""Length of the segments that a clip is cut into."""

_PREFIX: Final = "student_model.model."
"""Of the names of the tensors of the network in a file of weights; the others are the projection to the teacher."""


class SSondo(Encoder):
    """A MobileNetV3, DyMN or ERes2Net that was distilled from MATPAC++ or M2D, which were pretrained on AudioSet.

    The published package computes the spectrogram: 128 mel bands, 62.5 frames a second. Use it with
    `frontend: torch.nn.Identity`.

    As in the published code, a clip is cut into segments of 10 s, and what remains is not used; the embedding is the
    mean over segments. A clip shorter than 10 s is padded with zeros. Therefore clips of 10, 20 or 30 s are best.

    Layer 0 of `model.layers` is the output of the first convolution. For "mobilenetv3" and "dymn", layers 1 to 15 are
    the blocks, and layer 16 is the last convolution, whose mean over time is the embedding. For "eres2net", layers 1
    to 5 are the stages, before they are fused.

    Args:
        input_shape: (n_samples,).
        weights: A file, or one of the names "matpac-mobilenetv3", "matpac-dymn", "matpac-eres2net",
            "m2d-mobilenetv3", "m2d-dymn" and "m2d-eres2net", which are downloaded from the Hugging Face hub
            (mohammedali2501/ssondo, MIT license). null for random weights.
        freeze: Train the head (and the weights of the layers) only.
        settings: `network`, which is "mobilenetv3", "dymn" or "eres2net", and the settings of another size:
            width_mult, strides, ...; m_channels, num_blocks, ... By default they are those in the file of weights.

    Shape:
        - mel: (b, n), samples of full scale 1
        - Output: (b, d), with d = 960 for "mobilenetv3" and "dymn", 1024 for "eres2net" in the published sizes

    Raises:
        LitGenreError: The package is not installed, a setting is unknown, or the weights cannot be read or do not fit.

    Reference:
        M. A. El Adlouni, A. Quelennec, P. Chouteau, G. Peeters and S. Essid, "S-SONDO: Self-Supervised Knowledge
        Distillation for General Audio Foundation Models", ICASSP 2026.
    """

    sample_rate = 32000

    def __init__(
        self,
        input_shape: InputShape,
        weights: str | None = "matpac-mobilenetv3",
        freeze: bool = True,
        settings: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.freeze = freeze
        names, repository = import_published(_published_weights, "ssondo", _INSTALL)
        own = {"network": weights.rpartition("-")[2]} if weights in names else {}
        tensors = None
        if weights is not None and torch.get_default_device().type != "meta":
            tensors, own = _read(_find(weights, names, repository), weights)
        self.settings = _check_settings({**own, **(settings or {})})
        self.net, spectrogram = _build(self.settings)
        # Not a submodule: it stays in float32 when the model is converted.
        self._spectrogram = (spectrogram,)
        self.embedding_dim = int(self.net.emb_size)
        if tensors is not None:
            load_tensors(self.net, tensors, str(weights))
        self.requires_grad_(not freeze).train()

    def encode(self, waveform: Tensor) -> Tensor:
        """Compute the embeddings of segments.

        Args:
            waveform: Samples of full scale 1, shape (b, n), at 32,000 Hz.

        Returns:
            Embeddings, shape (b, segments, embedding_dim), one for each 10 s.
        """
        mel = self._mel(self._segments(waveform)).to(waveform.dtype)
        # One segment for an item: the DyMN of the package fails on more.
        embeddings: Tensor = self.net(mel.unsqueeze(1))
        return embeddings.reshape(len(waveform), -1, self.embedding_dim)

    def layer_blocks(self) -> Sequence[nn.Module]:
        """Return the blocks and the last convolution, or the stages of an ERes2Net."""
        if self.settings["network"] == "eres2net":
            stages = [f"layer{number}" for number in range(1, 6 if self.settings["add_layer"] else 5)]
            return [self.net.get_submodule(name) for name in stages]
        if self.settings["network"] == "dymn":
            return [*self.net.layers, self.net.out_c]
        return list(self.net.features)[1:]

    def layer_outputs(self, mel: Tensor, layers: Sequence[int]) -> list[Tensor]:
        """Compute the feature maps of some layers, as means over mel bands.

        Args:
            mel: Waveforms, shape (b, n), full scale 1, at 32,000 Hz.
            layers: Numbers of the layers.

        Returns:
            States, shape (b, steps of all segments, channels) each; number of steps and channels depend on the layer.
        """
        with self.collect_states(layers) as states:
            self.encode(mel)
        maps = [states[layer].mean(2).transpose(1, 2) for layer in layers]
        return [steps.reshape(len(mel), -1, steps.shape[-1]) for steps in maps]

    def restore_args(self) -> dict[str, Any]:
        """Return weights=None, and the settings that were read from the file of weights."""
        return {"weights": None, "settings": self.settings}

    def _segments(self, waveform: Tensor) -> Tensor:
        """Cut clips into segments of 10 s, shape (b segments, n)."""
        size = _SECONDS * self.sample_rate
        padded = F.pad(waveform, (0, max(0, size - waveform.shape[-1])))
        return padded[:, : padded.shape[-1] // size * size].reshape(-1, size)

    def _mel(self, waveform: Tensor) -> Tensor:
        """Compute spectrograms, shape (b, 128, frames), float32."""
        # The meta device has no autocast.
        with torch.autocast("cpu" if waveform.is_meta else waveform.device.type, enabled=False):
            mel: Tensor = self._spectrogram[0].to(waveform.device)(waveform.float())
        return mel


def _published_weights() -> tuple[dict[str, str], str]:
    """Return the file of each published name, and the repository of the files."""
    from ssondo.model import AVAILABLE_MODELS, HF_REPO_ID

    return {name: model["filename"] for name, model in AVAILABLE_MODELS.items()}, HF_REPO_ID


def _build(settings: Mapping[str, Any]) -> tuple[Any, nn.Module]:
    """Build the network on the default device, and the spectrogram on the CPU."""
    from ssondo.models.dymn.model import get_model as build_dymn
    from ssondo.models.ERes2Net.model import ERes2Net
    from ssondo.models.MobileNetV3.model import get_model as build_mobilenet
    from ssondo.preprocess import LogMelSpectrogram

    builders = {"mobilenetv3": build_mobilenet, "dymn": build_dymn, "eres2net": ERes2Net}
    sizes = {name: value for name, value in settings.items() if name != "network"}
    if settings["network"] == "eres2net":
        sizes["feat_dim"] = _SPECTROGRAM["n_mels"]
    # The package makes some tensors on the CPU in any case.
    with torch.device("cpu"), warnings.catch_warnings():
        # DyMN uses a class of torchvision that warns of another name.
        warnings.filterwarnings("ignore", message="Don't use ConvNormActivation")
        net = builders[settings["network"]](**sizes)
        spectrogram = LogMelSpectrogram(
            SSondo.sample_rate,
            win_length=_SPECTROGRAM["win_len"],
            hop_length=_SPECTROGRAM["hop_len"],
            **{name: _SPECTROGRAM[name] for name in ("n_mels", "f_min", "f_max")},
        )
    return net.to(torch.get_default_device()), spectrogram


def _check_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return all settings, after a check of the names."""
    network = settings.get("network", "mobilenetv3")
    if network not in _SETTINGS:
        raise LitGenreError(f"settings network is {network!r}, but must be one of {', '.join(_SETTINGS)}.")
    full = {"network": network, **_SETTINGS[network]}
    if unknown := sorted(settings.keys() - full.keys()):
        raise LitGenreError(f"{network} has no settings {unknown}. Its settings are {', '.join(full)}.")
    return {**full, **settings}


def _find(weights: str, names: Mapping[str, str], repository: str) -> str:
    """Return the path of a file of weights, which is downloaded if `weights` is a published name."""
    if Path(weights).is_file():
        return weights
    if weights not in names:
        raise LitGenreError(
            f"There is no file of weights {weights}. Set weights to a file, or to one of {', '.join(names)}."
        )
    return str(download_from_hub(repository, names[weights]))


def _read(path: str, weights: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors of the network in a checkpoint of S-SONDO, by their names in it, and its settings.

    Raises:
        LitGenreError: It is not a checkpoint of S-SONDO, or was trained with another spectrogram.
    """
    content = read_weights(path)
    try:
        config, tensors = content["training_config"], content["state_dict"]
        student, preprocess = config["student_model"], config["preprocess"]
        used = {**preprocess["logmelspec"], "sr": student["sr"], "seconds": preprocess["slice_audio"]["win_len"]}
        kind, names = str(student["model_name"]), [name for name in tensors if name.startswith(_PREFIX)]
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise LitGenreError(
            f"The weights {weights} are not a checkpoint of S-SONDO ({type(error).__name__}: {error}). Set weights to "
            "such a file, or to a published name."
        ) from error
    expected = {**_SPECTROGRAM, "sr": SSondo.sample_rate, "seconds": _SECONDS}
    if other := {name: used.get(name) for name, value in expected.items() if used.get(name) != value}:
        raise LitGenreError(f"The weights {weights} were trained with {other}, but must be trained with {expected}.")
    # The rule of the package.
    network = "dymn" if "dy" in kind else "mobilenetv3" if "mn" in kind else "eres2net"
    # Lists, as in a configuration: the package has tuples.
    sizes = {name: list(value) if isinstance(value, tuple) else value for name, value in student.items()}
    own = {"network": network, **{name: sizes[name] for name in _SETTINGS[network] if name in sizes}}
    return {name.removeprefix(_PREFIX): tensors[name] for name in names}, own
