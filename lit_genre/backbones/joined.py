"""Several backbones as one, whose embedding joins theirs."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor, nn

from lit_genre.class_path import import_class
from lit_genre.errors import LitGenreError
from lit_genre.model.backbone import Backbone, InputShape
from lit_genre.model.factories import build_backbone
from lit_genre.model.spectrogram.resampling import Resampler
from lit_genre.model.training.precision import keeping_dtype

_MOST_PARTS: Final = 8
"""Most parts: a file of a stranger must not describe a model of any size."""

_SAMPLE_RATES: Final = (100, 1_000_000)
"""Range of sample rates, Hz, as of `GenreClassifier` in a checkpoint."""

_KEYS: Final = ("backbone", "frontend", "sample_rate")


class JoinedBackbones(Backbone):
    """Several backbones on the same waveforms, whose embeddings are joined (concatenated).

    `lit-genre probe --config encoders/musicnn --join encoders/discogs_effnet` makes the parts from configurations. Use
    it with `frontend: torch.nn.Identity` and the largest sample rate of the parts. Each part gets the waveform
    resampled to its own rate, and has a front-end of its own.

    Embeddings of different backbones have different scales and sizes. `probe` standardises each number of an embedding
    before it trains a head, so nothing is scaled here. It has no layers to choose from.

    Args:
        input_shape: (n_samples,), at the largest sample rate of the parts.
        parts: 2 to 8 parts. Each has a `backbone`, a `frontend` (both a class path, or class_path and init_args) and a
            `sample_rate`, Hz. Class paths are complete, such as lit_genre_musicnn.MusiCNN.

    Shape:
        - mel: (b, n), samples of full scale 1
        - Output: (b, d), the embeddings of the parts in their order

    Raises:
        LitGenreError: The parts are not described so, or one of them cannot be built.
    """

    takes = "waveform"

    # A dict without types: in a dict[str, Any], jsonargparse would build the classes that it finds.
    def __init__(self, input_shape: InputShape, parts: list[dict]) -> None:  # type: ignore[type-arg]
        super().__init__()
        self.described = read_parts(parts)
        self.sample_rate = max(part["sample_rate"] for part in self.described)
        self.inputs, self.parts = nn.ModuleList(), nn.ModuleList()
        for part in self.described:
            waveform_to_item, backbone = _build(part, input_shape, self.sample_rate)
            self.inputs.append(waveform_to_item)
            self.parts.append(backbone)
        self.embedding_dim = sum(backbone.embedding_dim for backbone in self.backbones)

    @property
    def backbones(self) -> list[Backbone]:
        """The backbones of the parts."""
        return [part for part in self.parts if isinstance(part, Backbone)]

    @property
    def freeze(self) -> bool:
        """Whether all parts are frozen by an argument of theirs; setting it sets that of each part."""
        return all(getattr(backbone, "freeze", False) for backbone in self.backbones)

    @freeze.setter
    def freeze(self, freeze: bool) -> None:
        for backbone in self.backbones:
            if hasattr(backbone, "freeze"):
                setattr(backbone, "freeze", freeze)  # noqa: B010, a type checker does not know the attribute

    def forward(self, mel: Tensor) -> Tensor:
        """Compute embeddings.

        Args:
            mel: Waveforms, shape (b, n), full scale 1, at the largest sample rate of the parts.

        Returns:
            Embeddings, shape (b, embedding_dim).
        """
        embeddings = []
        for waveform_to_item, backbone in zip(self.inputs, self.backbones, strict=True):
            # Resampling and front-end are in float32; a backbone has its own precision.
            dtype = next((parameter.dtype for parameter in backbone.parameters()), mel.dtype)
            embeddings.append(backbone(waveform_to_item(mel.float()).to(dtype)))
        return torch.cat(embeddings, -1)

    def restore_args(self) -> dict[str, Any]:
        """Return the parts with the arguments by which a checkpoint restores each, without files or network."""
        restored = []
        for part, backbone in zip(self.described, self.backbones, strict=True):
            init_args = part["backbone"]["init_args"] | backbone.restore_args()
            restored.append({**part, "backbone": {**part["backbone"], "init_args": init_args}})
        return {"parts": restored}

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "JoinedBackbones":
        """Move and convert all parts, but leave resampling and front-ends in float32."""
        # A placeholder, so that the order of the parts, and of the state, stays the same.
        inputs, self.inputs = self.inputs, nn.ModuleList()
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.inputs = inputs._apply(keeping_dtype(fn), recurse)  # type: ignore[no-untyped-call]
        return self


def read_parts(parts: Any) -> list[dict[str, Any]]:
    """Check the form of the parts, and complete it; no class is imported.

    Args:
        parts: Argument of `JoinedBackbones`, plain data of any kind.

    Returns:
        A copy in which backbone and front-end of each part have a class_path and init_args.

    Raises:
        LitGenreError: There are too few or too many parts, or one is not described as `JoinedBackbones` says.
    """
    if not isinstance(parts, list | tuple) or not 2 <= len(parts) <= _MOST_PARTS:
        given = f"{len(parts)} parts" if isinstance(parts, list | tuple) else f"a {type(parts).__name__}"
        raise LitGenreError(f"JoinedBackbones gets {given}, but parts must be a list of 2 to {_MOST_PARTS}.")
    return [_read_part(part, f"Part {number} of JoinedBackbones") for number, part in enumerate(parts, start=1)]


def _read_part(part: Any, subject: str) -> dict[str, Any]:
    if not isinstance(part, dict) or part.keys() != set(_KEYS):
        keys = ", ".join(sorted(map(str, part))) if isinstance(part, dict) else f"a {type(part).__name__}"
        raise LitGenreError(f"{subject} is {keys}, but must have exactly the keys {', '.join(_KEYS)}.")
    rate, (least, most) = part["sample_rate"], _SAMPLE_RATES
    # type() and not isinstance(), which would accept True as a number.
    if type(rate) is not int or not least <= rate <= most:
        raise LitGenreError(f"{subject} has the sample_rate {rate!r}, but it must be {least:,} to {most:,} Hz.")
    described = {name: _read_class(part[name], f"{subject}: {name}") for name in ("backbone", "frontend")}
    return {**described, "sample_rate": rate}


def _read_class(description: Any, subject: str) -> dict[str, Any]:
    if isinstance(description, str):
        description = {"class_path": description}
    if not isinstance(description, dict) or description.keys() - {"class_path", "init_args"}:
        raise LitGenreError(f"{subject} must be a class path, or class_path with init_args.")
    class_path, init_args = description.get("class_path"), description.get("init_args") or {}
    if not isinstance(class_path, str) or "." not in class_path or not isinstance(init_args, dict):
        raise LitGenreError(
            f"{subject} has the class_path {class_path!r}, but it must be complete, such as lit_genre_musicnn.MusiCNN, "
            "and init_args must be a mapping."
        )
    return {"class_path": class_path, "init_args": dict(init_args)}


def _build(part: dict[str, Any], input_shape: InputShape, sample_rate: int) -> tuple[nn.Module, Backbone]:
    """Build a part.

    Returns:
        Resampling and front-end; and the backbone.
    """
    rate = part["sample_rate"]
    backbone_class, frontend = (_import(part[name]["class_path"]) for name in ("backbone", "frontend"))
    if not (isinstance(backbone_class, type) and issubclass(backbone_class, Backbone)):
        raise LitGenreError(
            f"{part['backbone']['class_path']} is not a lit_genre.Backbone, so that it cannot be joined."
        )
    if issubclass(backbone_class, JoinedBackbones):
        raise LitGenreError("JoinedBackbones cannot be a part of JoinedBackbones. List all parts in one of them.")
    resampler = nn.Identity() if rate == sample_rate else Resampler(sample_rate, rate)
    waveform_to_item = nn.Sequential(resampler, frontend(rate, **part["frontend"]["init_args"]))
    with torch.no_grad():
        item_shape = tuple(waveform_to_item(torch.zeros(1, *input_shape)).shape[1:])
    factory = partial(backbone_class, **part["backbone"]["init_args"])
    return waveform_to_item, build_backbone(factory, part["backbone"], item_shape, rate)


def _import(class_path: str) -> Any:
    """Import a class of a part. `lit_genre.trust` has checked those that a file of a stranger names."""
    try:
        return import_class(class_path)
    except (AttributeError, ImportError, ValueError) as error:
        raise LitGenreError(
            f"{class_path}, a part of JoinedBackbones, cannot be imported: {error}. Install the package that it is in."
        ) from error
