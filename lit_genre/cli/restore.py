"""Read the settings that a checkpoint and its run folder store, and check that they may be followed."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from jsonargparse import Namespace
from lightning.pytorch import LightningDataModule, LightningModule

from lit_genre.cli.parsing.arguments import data_class_in
from lit_genre.data.datamodules.base import TrackDataModule
from lit_genre.data.datamodules.training_tracks import trained_tracks
from lit_genre.errors import LitGenreError
from lit_genre.inference.load import trained_model_class
from lit_genre.model.classifier import GenreClassifier
from lit_genre.runs.checkpoint import read_checkpoint
from lit_genre.runs.folder import RunFolder
from lit_genre.trust.classes import Source
from lit_genre.trust.hyperparameters import check_hyperparameters, check_weights, read_hyperparameters
from lit_genre.trust.recipe import check_recipe, unnamed_paths

_PLACES: Final = frozenset(("root", "path", "csv"))


@dataclass
class Restored:
    """Settings from a checkpoint and the configuration of its run; empty without a checkpoint.

    Attributes:
        checkpoint: Path of the checkpoint.
        model_class: Class of the model.
        hyperparameters: Arguments of the model.
        recipe: The trusted part of the run's configuration; empty for a checkpoint outside a run folder.
        written: The whole configuration in the file.
    """

    checkpoint: Path | None = None
    model_class: type[LightningModule] = GenreClassifier
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    recipe: dict[str, Any] = field(default_factory=dict)
    written: dict[str, Any] = field(default_factory=dict)

    def differences(self) -> dict[str, tuple[Any, Any]]:
        """Return the arguments of the backbone that differ between checkpoint and recipe.

        They differ for a pretrained backbone, which a checkpoint restores without the files of its weights.

        Returns:
            {name: (value in the checkpoint, value in the recipe)}.
        """
        if "backbone" not in self.hyperparameters:
            return {}
        arguments = self.written["model"]["backbone"].get("init_args", {})
        return {
            name: (value, arguments[name])
            for name, value in self.hyperparameters["backbone"].get("init_args", {}).items()
            if name in arguments and value != arguments[name]
        }


def restore(
    checkpoint: Path,
    trust: bool,
    named: frozenset[str],
    sections: Sequence[str],
    model_class: type[LightningModule] | None = None,
) -> Restored:
    """Read a checkpoint and the configuration of its run, and check that they may be followed.

    Args:
        checkpoint: Path of the checkpoint.
        trust: Whether to import and use everything that the files name.
        named: Texts in the user's options and configurations: what the user names is trusted.
        sections: Sections of the run's configuration to use: `model`, `data`, `trainer` and so on.
        model_class: Class of the model that the user names; None for that of the checkpoint.

    Returns:
        The settings.

    Raises:
        LitGenreError: A file is damaged, or names something that is not trusted.
    """
    folder = RunFolder.of_checkpoint(checkpoint)
    if folder and not trust:
        # Before any file is read: a link could lead to a file of this account outside the folder.
        folder.check_links()
    content = read_checkpoint(checkpoint)
    # Before the model is built, so that a damaged file is reported in a second.
    check_weights(content.get("state_dict"), checkpoint)
    source = Source(checkpoint, named, folder.own_texts() if folder else frozenset())
    model_class = model_class or trained_model_class(content, source, trust)
    written = folder.read_config() if folder else {}
    recipe = {name: value for name, value in written.items() if name in sections}
    hyperparameters: dict[str, Any] = {}
    if issubclass(model_class, GenreClassifier):
        hyperparameters = read_hyperparameters(checkpoint, content.get("hyper_parameters"))
        if folder and not isinstance((written.get("model") or {}).get("backbone"), dict):
            raise LitGenreError(f"{folder.config} is damaged: it does not name the backbone of a model.")
        if not trust:
            check_hyperparameters(hyperparameters, source, model_class)
    if folder is not None and not trust:
        recipe = check_recipe(recipe, Source(folder.config, named, source.own))
    return Restored(checkpoint, model_class, hyperparameters, recipe, written)


def data_of(recipe: dict[str, Any], asked: str | None, configs: list[str]) -> dict[str, Any]:
    """Return the data section of a run's recipe, or nothing if the user names another class.

    If the user names the same class, the data may be in another folder, so that its paths are left out.
    """
    data = recipe["data"]
    names = [asked] if asked else [name for config in configs if (name := data_class_in(config))]
    # The last configuration overrides the earlier ones, as in the parser.
    if names and names[-1].rpartition(".")[2] != data["class_path"].rpartition(".")[2]:
        return {}
    if asked:
        arguments = {name: value for name, value in data.get("init_args", {}).items() if name not in _PLACES}
        data = data | {"init_args": arguments}
    return {"data": data}


def check_backbone(model: Namespace, restored: Restored) -> None:
    """Refuse a checkpoint whose backbone is not that of the configuration."""
    if "backbone" not in restored.hyperparameters:
        return
    paths = (model.backbone.class_path, restored.hyperparameters["backbone"]["class_path"])
    names = [path.rpartition(".")[2] for path in paths]
    if names[0] != names[1]:
        raise LitGenreError(
            f"{restored.checkpoint} has the backbone {names[1]}, but the configuration has {names[0]}. Use another "
            "checkpoint, or leave out the configuration of the model."
        )


def check_places(data: Namespace, restored: Restored) -> None:
    """Refuse paths of the data that only the configuration of a foreign run names."""
    written = restored.written.get("data", {}).get("init_args") or {}
    if names := unnamed_paths(vars(data.init_args) if data.get("init_args") else {}):
        options = " ".join(f"--data.{name}={_as_option(written[name])}" for name in names)
        raise LitGenreError(
            f"The configuration of the run of {restored.checkpoint} was not written by this account, or was edited "
            f"since, and contains paths. To use them, pass them as options: {options} Or, if you trust the author of "
            "the run, add --trust."
        )


def check_optimization(model: Namespace, restored: Restored) -> None:
    """Refuse an optimiser or a scheduler that differs from that of the resumed run.

    Their state, with the learning rate, is restored from the checkpoint. Other options would be ignored, and the state
    of another class would be restored silently.
    """
    for part in ("optimizer", "scheduler"):
        before, now = restored.written["model"].get(part), model.get(part)
        now = now.as_dict() if isinstance(now, Namespace) else now
        if before and now and (changed := _changed(before, now)):
            raise LitGenreError(
                f"{restored.checkpoint} restores the state of its {part}, so that {changed} cannot be changed. Leave "
                f"out model.{part}, or start a new run without --ckpt_path."
            )


def _changed(before: dict[str, Any], now: dict[str, Any]) -> str:
    if before["class_path"].rpartition(".")[2] != now["class_path"].rpartition(".")[2]:
        return f"{before['class_path']} to {now['class_path']}"
    old, new = before.get("init_args") or {}, now.get("init_args") or {}
    # Compared as JSON, as tuples of defaults become lists in a file.
    different = [name for name in old.keys() & new.keys() if json.dumps(old[name]) != json.dumps(new[name])]
    return ", ".join(f"{name} from {old[name]} to {new[name]}" for name in sorted(different))


def check_resumable(checkpoint: Path, data: LightningDataModule, max_epochs: int | None) -> None:
    """Refuse to resume a checkpoint without a training, with fewer epochs than it has, or with other data.

    Args:
        checkpoint: Path of the checkpoint.
        data: Data module of the resumed run.
        max_epochs: trainer.max_epochs; None or -1 for no limit.

    Raises:
        LitGenreError: The run cannot be resumed.
    """
    content = read_checkpoint(checkpoint)
    if not content.get("optimizer_states"):
        raise LitGenreError(
            f"{checkpoint} has weights without the state of a training, as `probe` writes them. It cannot be resumed."
        )
    if max_epochs is not None and 0 <= max_epochs < (done := _epochs_of(content)):
        raise LitGenreError(
            f"{checkpoint} has trained for {done} epochs, more than trainer.max_epochs={max_epochs}. Set it higher."
        )
    before = trained_tracks(content)
    if before is not None and isinstance(data, TrackDataModule):
        now = data.track_ids("train")
        # Half: tracks may have been added or excluded, but most must be the same.
        if 2 * len(before & now) < len(before):
            raise LitGenreError(
                f"{checkpoint} was trained on {len(before):,} tracks, of which {len(before & now):,} are among the "
                f"{len(now):,} training tracks in {data.audio_folder}. A run can only be resumed with its own data. To "
                "train on other music, start a new run without --ckpt_path, or train a head on this network by "
                "lit-genre probe."
            )


def _epochs_of(content: dict[str, Any]) -> int:
    """Return the number of finished epochs of a checkpoint; 0 if it has no such number."""
    try:
        return int(content["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"])
    except (KeyError, TypeError, ValueError):
        return 0


def _as_option(value: Any) -> str:
    return "'[" + ",".join(map(str, value)) + "]'" if isinstance(value, list) else str(value)
