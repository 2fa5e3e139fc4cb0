"""MusiCNN: the network of Pons and Serra (2019) with its weights, pretrained on tags of songs."""

import ast
import importlib.util
from collections.abc import Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from lit_genre import GenreClassifier, LogMel
from lit_genre.model.backbone import Backbone, InputShape

Weights = Literal["MSD_musicnn", "MTT_musicnn"]

_SHA256: Final = {
    "MSD_musicnn": "8579734ee6388f799ed0def4bbd0d1fdcbeaf213ef2a9dc860917bd76a303de6",
    "MTT_musicnn": "041f3935e981a65cea739842d30c188d3a7d2adf4410955c8668eb3de4a5acab",
}
"""SHA-256 of the files of weights in musicnn 0.1.0. In a file of another version, tensors may have other positions."""

# --no-deps: the package requires an old TensorFlow, which its weights do not need.
_INSTALL: Final = "pip install --no-deps --force-reinstall musicnn==0.1.0"

_DENSE: Final = 200
"""Size of the dense layer before the tags."""

_TAGS: Final = 50
"""Number of tags. Their layer is not used, but the file contains its weights."""

_TENSORFLOW_NORM: Final[dict[str, Any]] = {"eps": 1e-3, "momentum": 0.01}
"""Defaults of TensorFlow's batch normalisation; torch has an eps of 1e-5."""

_TENSOR_NAMES: Final = {
    "norm": {"beta": "bias", "gamma": "weight", "moving_mean": "running_mean", "moving_variance": "running_var"},
    "other": {"bias": "bias", "kernel": "weight"},
}


class LogC(LogMel):
    """Mel spectrogram with the compression of MusiCNN: log10(1 + 10,000 power), at least 0.

    It has 96 of Slaney's mel bands, Fourier transforms of 512 samples and a hop of 256 samples.

    Args:
        sample_rate: Hz; MusiCNN was trained at 16,000.

    Shape:
        - waveform: (b, n), full scale 1
        - Output: (b, 96, n // 256 + 1)
    """

    def __init__(self, sample_rate: int) -> None:
        super().__init__(sample_rate, n_fft=512, hop_length=256, n_mels=96)

    def forward(self, waveform: Tensor) -> Tensor:
        """Compute spectrograms.

        Args:
            waveform: Samples of full scale 1, shape (b, n).

        Returns:
            Spectrograms, shape (b, 96, n // 256 + 1), at least 0.
        """
        return torch.log10(1 + 10_000 * self.power(waveform))


class MusiCNN(Backbone):
    """Convolutions over bands for timbre and over frames for rhythm, pretrained on 200,000 songs.

    It was trained on clips of 3 s at 16,000 Hz, with the front-end of `frontend: lit_genre_musicnn.LogC`; use these
    settings. The weights are in the package musicnn (ISC license): `pip install --no-deps musicnn==0.1.0`, 29 MB. The
    code of that package is for an old TensorFlow and is not used.

    Args:
        input_shape: (n_mels, n_frames); the weights need 96 bands.
        weights: "MSD_musicnn" was trained on 50 tags of Last.fm for the Million Song Dataset, "MTT_musicnn" on 50 tags
            of MagnaTagATune, whose songs are from Magnatune; null for random weights.
        freeze: Train the head only.

    Shape:
        - mel: (b, m, f), f >= 1
        - Output: (b, 1706), the 200 activations of the dense layer and its input, 1506 pooled features

    Raises:
        ValueError: The weights are not installed, or do not fit the number of bands.

    Reference:
        J. Pons and X. Serra, "musicnn: Pre-trained convolutional neural networks for music audio tagging",
        Late-breaking/demo at ISMIR 2019.
    """

    sample_rate = 16000

    def __init__(self, input_shape: InputShape, weights: Weights | None = "MSD_musicnn", freeze: bool = True) -> None:
        super().__init__()
        n_mels = input_shape[0]
        self.freeze = freeze
        # Bands and frames of each kernel, and the number of filters of this size.
        sizes = [(int(0.4 * n_mels), 7, 204), (int(0.7 * n_mels), 7, 204), (1, 128, 51), (1, 64, 51), (1, 32, 51)]
        n_filters = sum(count for *_, count in sizes)
        self.input_norm = nn.BatchNorm2d(1, **_TENSORFLOW_NORM)
        self.filters = nn.ModuleList(_Filters(*size) for size in sizes)
        self.layers = nn.ModuleList(_Layer(channels) for channels in (n_filters, 64, 64))
        pooled = 2 * (n_filters + 3 * 64)
        self.pooled_norm = nn.BatchNorm1d(pooled, **_TENSORFLOW_NORM)
        self.dropout = nn.Dropout(0.5)
        self.dense = nn.Linear(pooled, _DENSE)
        self.norm = nn.BatchNorm1d(_DENSE, **_TENSORFLOW_NORM)
        self.embedding_dim = _DENSE + pooled
        if weights is not None and torch.get_default_device().type != "meta":
            # The meta device has no values: `lit-genre backbones` computes the size of the network on it.
            self._load(weights)
        # train() sets the mode of a frozen network to eval, which Lightning keeps for each module.
        self.requires_grad_(not freeze).train()

    def forward(self, mel: Tensor) -> Tensor:
        """Compute embeddings.

        Args:
            mel: Spectrograms, shape (b, m, f), float32, as `LogC` computes them.

        Returns:
            Embeddings, shape (b, embedding_dim).
        """
        return self._pooled(self._maps(mel))

    def _pooled(self, maps: list[Tensor]) -> Tensor:
        """Compute embeddings, shape (b, embedding_dim), from all feature maps."""
        stacked = torch.cat(maps, 1)
        # The order in which the weights were trained: the maximum of a map, then its mean.
        pooled = torch.stack([stacked.amax(-1), stacked.mean(-1)], -1).flatten(1)
        pooled = self.pooled_norm(pooled)
        dense = self.norm(self.dense(self.dropout(pooled)).relu())
        return torch.cat([dense, pooled], 1)

    def layer_blocks(self) -> Sequence[nn.Module]:
        """Return the three convolutions over time and the dense layer; layer 0 are the maxima over bands."""
        return [*self.layers, self.dense]

    def layer_outputs(self, mel: Tensor, layers: Sequence[int]) -> list[Tensor]:
        """Return the feature maps of layers.

        Args:
            mel: Spectrograms, shape (b, m, f), float32.
            layers: Numbers of layers, 0 to 4.

        Returns:
            Shape (b, f, 561) for layer 0, (b, f, 64) for layers 1 to 3, and (b, 1, embedding_dim) for layer 4, which
            is the embedding.
        """
        maps = self._maps(mel)
        outputs = [*(of_layer.transpose(1, 2) for of_layer in maps), self._pooled(maps).unsqueeze(1)]
        return [outputs[layer] for layer in layers]

    def train(self, mode: bool = True) -> "MusiCNN":
        """Set the mode; a frozen network stays in evaluation mode."""
        return super().train(mode and not self.freeze)

    def restore_args(self) -> dict[str, Any]:
        """Return weights=None: the weights are in the checkpoint, and the package musicnn is not needed."""
        return {"weights": None}

    def _maps(self, mel: Tensor) -> list[Tensor]:
        """Compute the feature maps: 561 channels, then three times 64, shape (b, channels, f)."""
        image = self.input_norm(mel.unsqueeze(1))
        maps = [torch.cat([filters(image) for filters in self.filters], 1)]
        for number, layer in enumerate(self.layers):
            # The first layer has no residual connection: its input has another number of channels.
            maps.append(layer(maps[-1]) + (maps[-1] if number else 0))
        return maps

    def _load(self, weights: Weights) -> None:
        tensors = self._tensors()
        values = _read(weights, {name: tensor.numel() for name, tensor in tensors.items()})
        with torch.no_grad():
            for name, tensor in tensors.items():
                # TensorFlow has the reverse order of axes: frames, bands, inputs, outputs.
                value = values[name].reshape(tensor.shape[::-1]).T
                tensor.copy_(torch.from_numpy(value.copy()))

    def _tensors(self) -> dict[str, Tensor]:
        """Return the tensors by their names in the checkpoint, which numbers the layers of each kind."""
        blocks: list[Any] = [*self.filters, *self.layers]
        norms = [self.input_norm, *(block.norm for block in blocks), self.pooled_norm, self.norm]
        tensors: dict[str, Tensor] = {}
        for kind, modules in (
            ("conv2d", [block.conv for block in blocks]),
            ("dense", [self.dense, nn.Linear(_DENSE, _TAGS)]),
            ("batch_normalization", norms),
        ):
            for number, module in enumerate(modules):
                scope = kind + (f"_{number}" if number else "")
                names = _TENSOR_NAMES["norm" if isinstance(module, nn.modules.batchnorm._BatchNorm) else "other"]
                tensors |= {f"{scope}/{name}": getattr(module, attribute) for name, attribute in names.items()}
        return tensors


class _Filters(nn.Module):
    """Filters of one size, with the maximum over bands at each frame.

    Shape:
        - image: (b, 1, m, f)
        - Output: (b, count, f)
    """

    def __init__(self, bands: int, frames: int, count: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, count, (bands, frames))
        self.norm = nn.BatchNorm2d(count, **_TENSORFLOW_NORM)

    def forward(self, image: Tensor) -> Tensor:
        """Compute the maxima, shape (b, count, f)."""
        # In this order of the axes, convolution and pooling are twice as fast on a CPU.
        image = _pad(image, self.conv.kernel_size[1]).to(memory_format=torch.channels_last)
        if self.norm.training:
            normalized: Tensor = self.norm(self.conv(image).relu())
            return normalized.amax(2)
        # The maximum over bands first: then ReLU and normalisation, which take as long as the convolution, have few
        # numbers left. Where the normalisation changes the sign, its maximum is at the minimum of the convolution,
        # which is the maximum of the negative convolution.
        sign = 1 - 2 * (self.norm.weight < 0).to(image.dtype)[:, None, None]
        maps = F.conv2d(image, self.conv.weight * sign.unsqueeze(-1))
        assert self.conv.bias is not None
        extreme = F.max_pool2d(maps, (maps.shape[2], 1)) * sign + self.conv.bias[:, None, None]
        pooled: Tensor = self.norm(extreme.relu())
        return pooled.squeeze(2)


class _Layer(nn.Module):
    """64 convolutions over time, shape (b, c, f) to (b, 64, f)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, 64, 7)
        self.norm = nn.BatchNorm1d(64, **_TENSORFLOW_NORM)

    def forward(self, maps: Tensor) -> Tensor:
        """Compute feature maps, shape (b, 64, f), from (b, c, f)."""
        features: Tensor = self.norm(self.conv(_pad(maps, self.conv.kernel_size[0])).relu())
        return features


def tagger(weights: Weights = "MSD_musicnn") -> GenreClassifier:
    """Build a model that predicts the 50 tags that the weights were trained on.

    Args:
        weights: "MSD_musicnn" or "MTT_musicnn".

    Returns:
        The model: a multilabel GenreClassifier on clips of 3 s at 16,000 Hz.

    Raises:
        ValueError: The weights are not installed.
    """
    model = GenreClassifier(
        partial(MusiCNN, weights=weights),
        _tag_names(weights),
        task="multilabel",
        sample_rate=16000,
        clip_seconds=3,
        frontend=LogC,
    )
    backbone, head = model.backbone, model.head
    assert isinstance(backbone, MusiCNN)
    assert isinstance(head, nn.Linear)
    values = _read(weights, {name: tensor.numel() for name, tensor in backbone._tensors().items()})
    with torch.no_grad():
        # The published network computes the tags from the dense layer alone, the first numbers of the embedding.
        head.weight.zero_()
        head.weight[:, :_DENSE] = torch.from_numpy(values["dense_1/kernel"].reshape(_DENSE, _TAGS).T.copy())
        head.bias.copy_(torch.from_numpy(values["dense_1/bias"].copy()))
    return model


def mtt_tagger() -> GenreClassifier:
    """Build the model of `tagger` for the tags of MagnaTagATune."""
    return tagger("MTT_musicnn")


def _tag_names(weights: Weights) -> list[str]:
    """Return the names of the tags, read from a file of the package musicnn, which is not run."""
    name = {"MSD_musicnn": "MSD_LABELS", "MTT_musicnn": "MTT_LABELS"}[weights]
    tree = ast.parse((_package() / "configuration.py").read_text(encoding="utf-8"))
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and getattr(statement.targets[0], "id", None) == name:
            names: list[str] = ast.literal_eval(statement.value)
            return names
    raise ValueError(f"configuration.py of the package musicnn has no {name}. Install it: {_INSTALL}")


def _pad(maps: Tensor, frames: int) -> Tensor:
    """Pad with zeros so that a convolution over `frames` frames keeps the length; an odd zero is at the end."""
    return F.pad(maps, ((frames - 1) // 2, frames // 2))


def _read(weights: Weights, sizes: dict[str, int]) -> dict[str, NDArray[np.float32]]:
    """Read the tensors of a TensorFlow checkpoint.

    The file contains all tensors in the order of their names: the weights, the two moments of Adam for each, and Adam's
    two powers.

    Args:
        weights: Name of the checkpoint.
        sizes: Number of values of each tensor of the network, by name.

    Returns:
        These tensors, flat, float32, by name.

    Raises:
        ValueError: The file is missing or has another content, or the sizes do not add up to its size.
    """
    path = _package() / weights / ".data-00000-of-00001"
    if not path.is_file() or sha256(path.read_bytes()).hexdigest() != _SHA256[weights]:
        raise ValueError(f"{path} is not the file of musicnn 0.1.0. Install it: {_INSTALL}")
    trained = {name: size for name, size in sizes.items() if "/moving_" not in name}
    moments = {f"{name}/{moment}": size for name, size in trained.items() for moment in ("Adam", "Adam_1")}
    stored = sorted({**sizes, **moments, "beta1_power": 1, "beta2_power": 1}.items())
    flat = np.fromfile(path, dtype="<f4")
    if flat.size != sum(size for _, size in stored):
        raise ValueError(
            "the weights of MusiCNN are for 96 mel bands: set `frontend: lit_genre_musicnn.LogC` "
            "and `mean_normalized_channels: false`."
        )
    ends = np.cumsum([size for _, size in stored])[:-1]
    tensors = dict(zip((name for name, _ in stored), np.split(flat, ends), strict=True))
    return {name: tensors[name] for name in sizes}


def _package() -> Path:
    """Return the folder of the package musicnn, without importing it: its code needs an old TensorFlow."""
    spec = importlib.util.find_spec("musicnn")
    if spec is None or spec.origin is None:
        raise ValueError(f"the weights of MusiCNN are in the package musicnn, which is not installed: {_INSTALL}")
    return Path(spec.origin).parent
