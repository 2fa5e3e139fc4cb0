"""What the words of a `lit-genre fit` say of data and model, for commands that train in another way."""

import argparse
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


class Settings(GenreCLI):
    """Reads what `fit` takes, and builds what is asked for; trains nothing, and makes no folder."""

    def before_instantiate_classes(self) -> None:
        """Make no folder."""

    def instantiate_classes(self) -> None:
        """Build nothing yet."""

    def _run_subcommand(self, subcommand: str) -> None:
        """Run nothing."""

    @property
    def asked(self) -> Namespace:
        """What the words ask for, as jsonargparse has it."""
        asked: Namespace = self.config[self.subcommand]
        return asked

    def plain(self) -> dict[str, Any]:
        """Lay the same out as plain data."""
        text = self.parser.dump(self.config, skip_none=False, skip_link_targets=False)
        return dict(yaml.safe_load(text)[self.subcommand])

    def build_data(self) -> TrackDataModule:
        """Build the data and open it.

        Raises:
            LitGenreError: It is no data set of tracks with one genre each.
        """
        described = self.plain()["data"]
        arguments = {
            "_class_path": described["class_path"],
            **described["init_args"],
            **described.get("dict_kwargs", {}),
        }
        return _opened(instantiate_module(LightningDataModule, arguments))

    def build(self) -> tuple[TrackDataModule, GenreClassifier]:
        """Build the data, open it, and build the model that knows its genres.

        Raises:
            LitGenreError: The data is no data set of tracks with one genre each.
        """
        parts = self.config.clone()
        for name in vars(self.asked).keys() - {"data", "model"}:
            del parts[self.subcommand][name]
        built = self.parser.instantiate(parts)[self.subcommand]
        return _opened(built.data), built.model

    def run_folder(self, named: Path | None, name: str) -> RunFolder:
        """Choose the folder of the run.

        Raises:
            LitGenreError: It holds a run.
        """
        path = named or self.asked.trainer.default_root_dir
        folder = RunFolder(Path(path)) if path else new_run_folder(name)
        if folder.contains_run():
            raise LitGenreError(f"{folder.path} holds a run already: name another --folder.")
        return folder


def read_settings(words: Sequence[str], default_backbone: str = "") -> Settings:
    """Read words as `fit` does; with --ckpt_path, what the checkpoint says of model and data stands in front of them.

    Args:
        words: Configurations and options.
        default_backbone: What to read as the backbone where the words name none.
    """
    if any(word.partition("=")[0] == "--ckpt_path" for word in words):
        return start(Settings, ["test", *words])
    default = {"model": {"backbone": {"class_path": default_backbone}}} if default_backbone else {}
    return start(Settings, ["fit", f"--config={json.dumps(default)}", *words])


def add_folder(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the folder of the run."""
    parser.add_argument("--folder", type=Path, help="where the run goes (default: a new folder in runs/)")


def _opened(data: LightningDataModule) -> TrackDataModule:
    if not isinstance(data, TrackDataModule):
        raise LitGenreError(f"{type(data).__name__} has no tracks with genres and splits: name a data set that has.")
    if data.task == "multilabel":
        raise LitGenreError(
            "data.task is multilabel, but this is trained and rated on one genre a track: set --data.task=multiclass."
        )
    there = {track.split for track in data.tracks}
    for split in ("train", "test"):
        if split not in there:
            raise LitGenreError(
                f"No track of {data.display_name} is in the {split} split, which this cannot do without."
            )
    data.prepare_data()
    data.setup()
    return data
