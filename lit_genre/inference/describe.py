"""Describe a loaded model in one message: its network, its genres, and how accurate its test was."""

from pathlib import Path

from lit_genre.model.classifier import GenreClassifier
from lit_genre.runs.accuracy import describe_accuracy, read_tested
from lit_genre.runs.checkpoint import is_best
from lit_genre.runs.folder import RunFolder
from lit_genre.runs.listing import read_entry
from lit_genre.text import one_line

_MAX_GENRES: int = 16
"""Genres that the message names; FMA large has 161."""


def describe_trained(model: GenreClassifier, source: Path) -> str:
    """Return a message about a model and its test.

    Args:
        model: The model.
        source: Its checkpoint, or its folder in the Hub's format.

    Returns:
        Two lines of text.
    """
    genres = ", ".join(model.classes[:_MAX_GENRES]) + (", ..." if len(model.classes) > _MAX_GENRES else "")
    network = f"{type(model.backbone).__name__}, {len(model.classes)} genres: {genres}"
    return f"Model: {one_line(network)}\nTest: {one_line(_describe_test(source))}"


def _describe_test(source: Path) -> str:
    run = RunFolder.of_checkpoint(source) if source.is_file() else None
    if run is None:
        return "unknown, as the checkpoint is not in a run folder"
    entry = read_entry(run.path)
    # test.csv is that of the best checkpoint.
    if not is_best(source) or not run.test_table.is_file():
        return f"not tested yet. Run: lit-genre test --ckpt_path {source}"
    tested = read_tested(run)
    if tested is None:
        return f"the scores of the genres are in {run.genres_table}"
    return f"accuracy {describe_accuracy(tested, of=entry.data)}"
