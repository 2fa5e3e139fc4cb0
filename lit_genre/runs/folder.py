"""Name the files in the folder of a run, and read and write them."""

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
    """A file or a folder in the folder of a run: an attribute of `RunFolder` that is its path."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, run: "RunFolder", owner: type) -> Path:
        return run.path / self._name


@dataclass(frozen=True)
class RunFolder:
    """The folder of a run, usually `runs/<Backbone>-<date>-<time>`, which may be moved.

    Attributes:
        path: Where it is; neither the folder nor a file in it need exist.
    """

    path: Path

    config = _Entry("config.yaml")
    """Configuration of the run. Its last line is the signature of the account that wrote it."""
    metrics = _Entry("metrics.csv")
    """Table with a row for each epoch."""
    summary = _Entry("summary.json")
    """Results of the training. If the file exists, the training is finished."""
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
    """Confusion matrix of a test with one genre a track."""
    precision_recall = _Entry("precision_recall.png")
    """Precision-recall curves of a test with one genre a track."""
    reliability = _Entry("reliability.png")
    """Reliability diagram of a test with one genre a track."""
    genres_table = _Entry("genres.csv")
    """Table with a row for each genre of a test with several genres a track."""
    average_precision = _Entry("average_precision.png")
    """Average precision of each genre of a test with several genres a track."""
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
        """The files that a training writes, without checkpoints."""
        return self.config, self.metrics, self.summary, self.curves

    @property
    def test_files(self) -> tuple[Path, ...]:
        """The files that a test writes."""
        one_genre = (self.test_table, self.confusion, self.precision_recall, self.reliability)
        return *one_genre, self.genres_table, self.average_precision

    def further_test(self, name: str) -> "RunFolder":
        """Return the folder of a further test, whose files are named as those of a test in the run's own folder."""
        return RunFolder(self.tests / name)

    def checkpoint(self, name: str) -> Path:
        """Return the path of a checkpoint.

        Args:
            name: Its name, such as `BEST`.
        """
        return self.checkpoints / f"{name}.ckpt"

    def contains_run(self) -> bool:
        """Check for more than the first epoch of a run that was killed before its first checkpoint."""
        return self.metrics.exists() and (
            self.last.exists() or self.summary.exists() or self.metrics.read_text(encoding="utf-8").count("\n") > 2
        )

    def read_config(self) -> dict[str, Any]:
        """Read the configuration: plain data, of which `lit_genre.trust.recipe` decides what may be followed.

        Raises:
            LitGenreError: The configuration is damaged.
        """
        config = read_yaml(self.config)
        for name in ("model", "data"):
            if name in config and not isinstance(config[name], dict):
                reason = f"{name} is {config[name]!r}, not names with values"
                raise LitGenreError(f"{self.config} is damaged: {reason}.")
        class_path = config.get("data", {}).get("class_path")
        if not isinstance(class_path, str):
            raise LitGenreError(f"{self.config} is damaged: data.class_path is {class_path!r}, not a name.")
        return config

    def write_config(self, text: str) -> None:
        """Write the configuration, signed by this account."""
        _write(self.config, sign(text))

    def is_own(self) -> bool:
        """Check that this account wrote the configuration, and that it is unchanged."""
        return self.config.is_file() and is_signed(read_text(self.config))

    def own_texts(self) -> frozenset[str]:
        """Collect the texts in the configuration if this account wrote it: such a text may name a file or a folder."""
        return frozenset(text_values(read_yaml(self.config))) if self.is_own() else frozenset()

    def check_links(self) -> None:
        """Refuse the folder of another account if a link in it leads out of it.

        Raises:
            LitGenreError: A link does; writing a table of the run would write elsewhere.
        """
        # Before anything is read from it.
        check_links(self.path, [self.config])
        if self.is_own():
            return
        # W&B's own folder holds a file for each thing it sends; its links are not followed from here.
        inner = [path for path in (self.checkpoints, self.tests, *self.tests.glob("*")) if path.is_dir()]
        check_links(self.path, [*self.path.iterdir(), *(path for folder in inner for path in folder.iterdir())])

    def write_metrics(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Write a row for each epoch; a column for each name that occurs."""
        text = io.StringIO(newline="")
        names = dict.fromkeys(name for row in rows for name in row)
        table = csv.DictWriter(text, fieldnames=list(names), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
        # The checkpoint holds the rows too, so that a power cut loses none.
        _write(self.metrics, text.getvalue(), durable=False)

    def read_summary(self) -> dict[str, Any]:
        """Read the results of the training; empty if the training is not finished."""
        return read_json(self.summary) if self.summary.exists() else {}

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Write the results of the training, which is finished then."""
        _write(self.summary, json.dumps(summary) + "\n")

    def read_comparison(self) -> dict[str, Any] | None:
        """Read the settings with which a comparison started the run; None if none did."""
        return read_json(self.comparison) if self.comparison.exists() else None

    def write_comparison(self, settings: Mapping[str, Any]) -> None:
        """Write the settings with which a comparison starts the run."""
        _write(self.comparison, json.dumps(settings, indent=2))

    def read_error(self) -> str:
        """Read why the run failed in a comparison; "" if it did not."""
        return self.error.read_text(encoding="utf-8").strip() if self.error.exists() else ""

    def write_error(self, message: str) -> None:
        """Write why the run failed in a comparison."""
        _write(self.error, message + "\n")

    @contextmanager
    def training_lock(self) -> Iterator[None]:
        """Hold the lock of the folder while the run is trained.

        Raises:
            LitGenreError: Another process holds it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.lock)
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise LitGenreError(
                f"Another process is training in {self.path}: wait for its end, or name another folder by "
                "--trainer.default_root_dir."
            ) from error
        try:
            yield
        finally:
            # The file stays: a process that has opened it would lock a file that is not there any more.
            lock.release()


def _write(path: Path, text: str, durable: bool = True) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path, durable) as file:
        file.write(text.encode())
