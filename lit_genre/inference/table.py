"""Build the table of predictions for the console."""

from collections.abc import Sequence
from pathlib import Path

from rich.table import Column, Table

from lit_genre.data.metadata.audio_files import readable
from lit_genre.inference.predictor import SongPrediction
from lit_genre.inference.writers import top_genres
from lit_genre.text import one_line


def prediction_table(
    rows: Sequence[tuple[Path, SongPrediction]], classes: Sequence[str], top_k: int, column: str = "genres"
) -> Table:
    """Build a table of songs with their lengths and most probable genres.

    Args:
        rows: Path and prediction of each song.
        classes: Class names.
        top_k: Number of genres.
        column: Title of the column of the classes.

    Returns:
        The table, for the console.
    """
    table = Table(Column("song", overflow="fold"), "length", column)
    for path, prediction in rows:
        genres = ", ".join(f"{name} {prob:.0%}" for name, prob in top_genres(prediction.probs, classes, top_k).items())
        table.add_row(readable(path.name), format_duration(prediction.seconds), one_line(genres))
    return table


def format_duration(seconds: float) -> str:
    """Return a length of time in hours, minutes and seconds.

    Args:
        seconds: The length, s, at least 0.

    >>> format_duration(4000.4)
    '1:06:40'
    >>> format_duration(75)
    '1:15'
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
