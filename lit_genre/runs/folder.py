"""Define the paths of the files in a run folder, and read and write these files."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout

from lit_genre.errors import LitGenreError
from lit_genre.files import atomic_write
from lit_genre.trust.plain import check_links, read_json, read_text, read_yaml, text_values
from lit_genre.trust.signature import is_signed, sign

BEST: Final = "best"
"""Name of the checkpoint that is tested."""
LAST: Final = "last"
"""Name of the checkpoint that a run resumes from."""


class _Entry:
    """Descriptor of `RunFolder`: the attribute is the path of a file or folder in the run folder."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, run: "RunFolder", owner: type) -> Path:
        return run.path / self._name


@dataclass(frozen=True)
class RunFolder:
    """The folder of a run, usually `runs/<Backbone>-<date>-<time>`, which may be moved.

    Attributes:
        path: Path of the folder. Neither the folder nor the files in it need to exist.
    """

    path: Path

    config = _Entry("config.yaml")
    """Configuration of the run. Its last line is the signature of the account that wrote it."""
    metrics = _Entry("metrics.csv")
    """Table with a row for each epoch."""
    summary = _Entry("summary.json")
    """Results of the training. If the file exists, the training is finished."""
    layers_table, shots_table, shots = _Entry("layers.csv"), _Entry("shots.csv"), _Entry("shots.png")
    """Tables of a probe, by layer and by number of training tracks of a genre, and a plot of the second."""
    curves = _Entry("curves.png")
    """Learning curves."""

    checkpoints = _Entry("checkpoints")
    """Folder of the checkpoints."""
    best = _Entry(f"checkpoints/{BEST}.ckpt")
    """Checkpoint of the selected epoch."""
    last = _Entry(f"checkpoints/{LAST}.ckpt")
    """Newest checkpoint, from which the run resumes."""

    test_table = _Entry("test.csv")
    """Table with a row for each track of the test."""
    confusion = _Entry("confusion.png")
    """Confusion matrix of a multiclass test."""
    precision_recall = _Entry("precision_recall.png")
    """Precision-recall curves of a multiclass test."""
    reliability = _Entry("reliability.png")
    """Reliability diagram of a multiclass test."""
    genres_table = _Entry("genres.csv")
    """Table with a row for each genre of a multilabel test."""
    average_precision = _Entry("average_precision.png")
    """Average precision of each genre of a multilabel test."""
    tests = _Entry("tests")
    """Folder of further tests: of another checkpoint, or on other data."""

    predictions = _Entry("predictions.csv")
    """Table with a row for each track or file of a prediction."""
    comparison = _Entry("compare.json")
    """Settings with which a comparison started the run."""
    error = _Entry("error.txt")
    """Message of a run that failed in a comparison."""
    lock = _Entry(".lock")
    """File that is locked while the run is trained."""

    @classmethod
    def of_checkpoint(cls, checkpoint: Path) -> "RunFolder | None":
        """Return the folder of the run of a checkpoint.

        Args:
            checkpoint: Path of the checkpoint.

        Returns:
            The folder; None if the checkpoint is not in a run folder.
        """
        run = cls(checkpoint.parent.parent)
        return run if checkpoint.parent.name == run.checkpoints.name and run.config.exists() else None

    @property
    def training_files(self) -> tuple[Path, ...]:
        """Paths of the files that a training writes, without checkpoints."""
        return self.config, self.metrics, self.summary, self.curves

    @property
    def test_files(self) -> tuple[Path, ...]:
        """Paths of the files that a test writes, in the multiclass or in the multilabel task."""
        one_genre = (self.test_table, self.confusion, self.precision_recall, self.reliability)
        return *one_genre, self.genres_table, self.average_precision

    def further_test(self, name: str) -> "RunFolder":
        """Return the folder `tests/<name>` of a further test. Its files have the same names as those of a test here."""
        return RunFolder(self.tests / name)

    def checkpoint(self, name: str) -> Path:
        """Return the path of a checkpoint.

        Args:
            name: Name of the checkpoint without `.ckpt`, such as `BEST`.

        Returns:
            The path; the file need not exist.
        """
        return self.checkpoints / f"{name}.ckpt"

    def contains_run(self) -> bool:
        """Check whether the folder has a run that must not be overwritten.

        Returns:
            Whether it has metrics and, in addition, last.ckpt, a summary or a second epoch.
        """
        # A run that was killed before its first checkpoint has a header and at most one row of metrics.
        return self.metrics.exists() and (
            self.last.exists() or self.summary.exists() or self.metrics.read_text(encoding="utf-8").count("\n") > 2
        )

    def read_config(self) -> dict[str, Any]:
        """Read the configuration as plain data, which is not trusted: `lit_genre.trust.recipe` checks it.

        Returns:
            Sections of the configuration by name.

        Raises:
            LitGenreError: The configuration is damaged.
            OSError: The file cannot be opened.
        """
        config = read_yaml(self.config)
        # All commands that read a run use these names, so a damaged file gets one message here.
        for name in ("model", "data"):
            if name in config and not isinstance(config[name], dict):
                reason = f"{name} is {config[name]!r}, not a mapping"
                raise LitGenreError(f"{self.config} is damaged: {reason}.")
        class_path = config.get("data", {}).get("class_path")
        if not isinstance(class_path, str):
            raise LitGenreError(f"{self.config} is damaged: data.class_path is {class_path!r}, not a name.")
        return config

    def write_config(self, text: str) -> None:
        """Write the configuration, YAML text, with the signature of this account."""
        _write(self.config, sign(text))

    def is_own(self) -> bool:
        """Check that this account wrote the configuration, and that nobody has changed it."""
        return self.config.is_file() and is_signed(read_text(self.config))

    def own_texts(self) -> frozenset[str]:
        """Return all texts in the configuration, which may be paths, if this account wrote it; otherwise nothing."""
        return frozenset(text_values(read_yaml(self.config))) if self.is_own() else frozenset()

    def check_links(self) -> None:
        """Refuse a folder that another account wrote if it contains links to files outside it.

        Raises:
            LitGenreError: A link leads out of the folder. Writing a table of the run would overwrite its target.
        """
        # First the configuration alone: `is_own` reads it.
        check_links(self.path, [self.config])
        if self.is_own():
            return
        # Not the folder of W&B, which may contain many files: this package reads and writes no file in it.
        inner = [path for path in (self.checkpoints, self.tests, *self.tests.glob("*")) if path.is_dir()]
        check_links(self.path, [*self.path.iterdir(), *(path for folder in inner for path in folder.iterdir())])

    def write_metrics(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Write metrics.csv: a row for each epoch, and a column for each name that occurs in any row."""
        text = io.StringIO(newline="")
        names = dict.fromkeys(name for row in rows for name in row)
        table = csv.DictWriter(text, fieldnames=list(names), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
        # Need not survive a power cut: the checkpoint contains the rows, too.
        _write(self.metrics, text.getvalue(), durable=False)

    def read_summary(self) -> dict[str, Any]:
        """Read the results of the training by name; empty if the training is not finished."""
        return read_json(self.summary) if self.summary.exists() else {}

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Write the results of the training by name. Call it last: a run with a summary counts as finished."""
        _write(self.summary, json.dumps(summary) + "\n")

    def write_table(self, path: Path, table: str) -> None:
        """Write CSV text to `layers_table` or `shots_table`."""
        _write(path, table, durable=False)

    def read_comparison(self) -> dict[str, Any] | None:
        """Read the settings with which a comparison started the run; None if it is not part of a comparison."""
        return read_json(self.comparison) if self.comparison.exists() else None

    def write_comparison(self, settings: Mapping[str, Any]) -> None:
        """Write the settings with which a comparison starts the run, by name."""
        _write(self.comparison, json.dumps(settings, indent=2))

    def read_error(self) -> str:
        """Return the message of a run that failed in a comparison; "" if it did not fail."""
        return self.error.read_text(encoding="utf-8").strip() if self.error.exists() else ""

    def write_error(self, message: str) -> None:
        """Write the message of a run that failed in a comparison, without a line end."""
        _write(self.error, message + "\n")

    @contextmanager
    def training_lock(self) -> Iterator[None]:
        """Hold the lock of the folder while the run is trained.

        Raises:
            LitGenreError: Another process holds the lock.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.lock)
        try:
            # Without waiting: a training may last for days.
            lock.acquire(timeout=0)
        except Timeout as error:
            raise LitGenreError(
                f"Another process is training in {self.path}: wait for its end, or name another folder by "
                "--trainer.default_root_dir."
            ) from error
        try:
            yield
        finally:
            # The file is not deleted: another process may have opened it, and would then lock a deleted file.
            lock.release()


def _write(path: Path, text: str, durable: bool = True) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path, durable) as file:
        file.write(text.encode())
