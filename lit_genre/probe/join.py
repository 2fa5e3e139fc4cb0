"""Join the encoders of several configurations to the backbone of a run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from jsonargparse import Namespace

from lit_genre.backbones.joined import JoinedBackbones, read_parts
from lit_genre.cli.parsing.configs import find_config
from lit_genre.cli.run_spec import RunSpec, read_run_spec
from lit_genre.errors import LitGenreError
from lit_genre.model.factories import describe

_JOINED: Final = str(describe(JoinedBackbones)["class_path"])

_OWN_EMBEDDING: Final[dict[str, Any]] = {"layers": None, "pool": "mean", "mean_normalized_channels": False}
"""Options of a model that embeds a clip as its backbone alone does."""


def join_encoders(run_spec: RunSpec, configs: Sequence[str]) -> None:
    """Replace the backbone of a run by itself joined with those of configurations.

    The clips keep the length that the options of the run name. The data gets the largest sample rate of the encoders.

    Args:
        run_spec: The options of the run; its model, and the sample rate of its data, are replaced.
        configs: Names or paths of configurations; only backbone, front-end and sample rate of each are used.

    Raises:
        LitGenreError: The run has a checkpoint; a configuration does not exist or has no backbone; or a model is not
            one that uses the embedding of its backbone.
    """
    if run_spec.checkpoint is not None:
        raise LitGenreError(
            f"--join cannot be used with --ckpt_path {run_spec.checkpoint}. Name both encoders by configurations."
        )
    models = [run_spec.plain()["model"], *map(_read_model, configs)]
    for name, model in zip(["the options", *configs], models, strict=True):
        _check_embedding(name, model)
    parts = read_parts([{name: model[name] for name in ("backbone", "frontend", "sample_rate")} for model in models])
    asked = run_spec.asked
    asked.model.backbone = _namespace(_JOINED, parts=parts)
    asked.model.frontend = _namespace("torch.nn.Identity")
    # Options have been parsed, where the data follows the model.
    asked.model.sample_rate = asked.data.init_args.sample_rate = max(part["sample_rate"] for part in parts)


def encoder_name(backbone: Namespace) -> str:
    """Return the name of a backbone for reports.

    Args:
        backbone: The backbone in the options, with its class_path and init_args.

    Returns:
        The name of the class; of joined backbones those of the parts, such as "MusiCNN+DiscogsEffNet".
    """
    class_paths = [backbone.class_path]
    if backbone.class_path == _JOINED:
        class_paths = [part["backbone"]["class_path"] for part in read_parts(backbone.init_args.parts)]
    return "+".join(class_path.rpartition(".")[2] for class_path in class_paths)


def _namespace(class_path: str, **init_args: Any) -> Namespace:
    """Return a class as jsonargparse describes it in parsed options."""
    return Namespace(  # type: ignore[no-untyped-call]
        class_path=class_path,
        init_args=Namespace(**init_args),  # type: ignore[no-untyped-call]
    )


def _read_model(config: str) -> dict[str, Any]:
    """Return the section `model` of a configuration, with the default of each option that it does not set.

    Raises:
        LitGenreError: There is no such file, or it names no backbone.
    """
    path = Path(find_config(config)).expanduser()
    if not path.is_file():
        raise LitGenreError(
            f"--join {config}: there is no such configuration. Use a path, or a name such as encoders/discogs_effnet."
        )
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (ValueError, yaml.YAMLError) as error:
        raise LitGenreError(f"--join {config}: {path} is not YAML: {' '.join(str(error).split())}") from error
    if not (isinstance(content, dict) and isinstance(content.get("model"), dict) and "backbone" in content["model"]):
        raise LitGenreError(f"--join {config}: {path} names no model.backbone. Use the configuration of an encoder.")
    model: dict[str, Any] = read_run_spec([f"--config={path}"]).plain()["model"]
    return model


def _check_embedding(name: str, model: Mapping[str, Any]) -> None:
    for option, value in _OWN_EMBEDDING.items():
        if model.get(option, value) != value:
            raise LitGenreError(
                f"In {name}, model.{option} is {model[option]}, but joined encoders use their own embeddings of their "
                "own inputs. Leave it out, or leave out --join."
            )
