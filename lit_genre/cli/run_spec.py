"""Build data and model from the options of `fit`, for commands that train in another way."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import Namespace
from lightning.pytorch import LightningDataModule
from lightning.pytorch.cli import instantiate_module

from lit_genre.cli.start import start
from lit_genre.cli.training import GenreCLI
from lit_genre.data.datamodules.base import TrackDataModule
from lit_genre.errors import LitGenreError
from lit_genre.model.classifier import GenreClassifier
from lit_genre.runs.folder import RunFolder
from lit_genre.runs.locate import new_run_folder


class RunSpec(GenreCLI):
    """Reads the options of `fit`, and builds data and model; does not train, and makes no folder."""

    def before_instantiate_classes(self) -> None:
        """Do nothing: a fit makes the folder of its run here."""

    def instantiate_classes(self) -> None:
        """Do nothing: the parts are built when they are needed."""

    def _run_subcommand(self, subcommand: str) -> None:
        """Do nothing: `fit` is not run."""

    @property
    def asked(self) -> Namespace:
        """The parsed options, as jsonargparse's Namespace."""
        asked: Namespace = self.config[self.subcommand]
        return asked

    def plain(self) -> dict[str, Any]:
        """Return the parsed options as plain data."""
        # Dumped and parsed again: the Namespace contains paths, tuples and lazy defaults.
        text = self.parser.dump(self.config, skip_none=False, skip_link_targets=False)
        return dict(yaml.safe_load(text)[self.subcommand])

    def build_data(self) -> TrackDataModule:
        """Build the data and open it.

        Raises:
            LitGenreError: The data is not a multiclass data set of tracks with splits.
        """
        described = self.plain()["data"]
        arguments = {
            "_class_path": described["class_path"],
            **described["init_args"],
            **described.get("dict_kwargs", {}),
        }
        data = instantiate_module(LightningDataModule, arguments)
        # Asked before the data is opened, which may decode for hours.
        if getattr(data, "task", None) == "multilabel":
            raise LitGenreError(
                "data.task is multilabel, but this command is for one genre per track. Set --data.task=multiclass."
            )
        return _opened(data)

    def build(self) -> tuple[TrackDataModule, GenreClassifier]:
        """Build the data, open it, and build the model with its classes.

        Raises:
            LitGenreError: The data is not a data set of tracks with splits.
        """
        parts = self.config.clone()
        # Trainer and optimiser of a fit are not built: these commands train in another way.
        for name in vars(self.asked).keys() - {"data", "model"}:
            del parts[self.subcommand][name]
        built = self.parser.instantiate(parts)[self.subcommand]
        return _opened(built.data), built.model

    def run_folder(self, named: Path | None, name: str) -> RunFolder:
        """Return the folder of the run.

        Args:
            named: Value of --output; None for trainer.default_root_dir, or else a new folder in runs/.
            name: Name of a new folder.

        Raises:
            LitGenreError: The folder has a run.
        """
        path = named or self.asked.trainer.default_root_dir
        folder = RunFolder(Path(path)) if path else new_run_folder(name)
        if folder.contains_run():
            raise LitGenreError(f"{folder.path} already contains a run. Choose another --output.")
        return folder


def read_run_spec(argv: Sequence[str], default_backbone: str = "") -> RunSpec:
    """Read options as `fit` does; with --ckpt_path, model and data of the checkpoint come before them.

    Args:
        argv: Configurations and options.
        default_backbone: Class path of the backbone if the options name none.
    """
    if any(argument.partition("=")[0] == "--ckpt_path" for argument in argv):
        # Parsed as `test`: it restores model and data of the checkpoint without the trainer of the run.
        return start(RunSpec, ["test", *argv])
    # The parser requires a backbone, also for a command that does not build one.
    default = {"model": {"backbone": {"class_path": default_backbone}}} if default_backbone else {}
    return start(RunSpec, ["fit", f"--config={json.dumps(default)}", *argv])


def _opened(data: LightningDataModule) -> TrackDataModule:
    if not isinstance(data, TrackDataModule):
        raise LitGenreError(
            f"{type(data).__name__} has no tracks with genres and splits. Use a data module that is a TrackDataModule."
        )
    splits = {track.split for track in data.tracks}
    for split in ("train", "test"):
        if split not in splits:
            raise LitGenreError(f"No track of {data.display_name} is in the {split} split, which this command needs.")
    # Lightning's Trainer calls both; these commands have no Trainer.
    data.prepare_data()
    data.setup()
    return data
