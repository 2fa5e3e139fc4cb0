"""Read lists of tracks to exclude, written by `lit-genre audit` or by hand."""

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from lit_genre.errors import LitGenreError

_COLUMN: Final = "track_id"


def read_exclusions(paths: Iterable[Path]) -> set[int]:
    """Read the ids of tracks from files.

    Args:
        paths: CSV files with a column `track_id` (separated by comma, semicolon or tab), or plain text with one id per
            line. Empty lines and comments after a # are skipped; in CSV a comment is a whole line.

    Returns:
        All ids that are in at least one of the files.

    Raises:
        LitGenreError: A file does not exist or is not such a list, or a line has no id.
    """
    return {track_id for path in paths for track_id in _read(Path(path).expanduser())}


def _read(path: Path) -> Iterator[int]:
    try:
        # str.splitlines would also split at rarer characters, such as U+2028, which occur within titles.
        lines = list(io.StringIO(path.read_text(encoding="utf-8-sig")))
    except FileNotFoundError as error:
        raise LitGenreError(
            f"There is no list of tracks {path}. Correct its name, or write lists with `lit-genre audit`."
        ) from error
    except OSError as error:
        raise LitGenreError(f"The list of tracks {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise LitGenreError(
            f"The list of tracks {path} is not UTF-8 text ({error.reason}). Save it as UTF-8."
        ) from error
    try:
        yield from _numbers(path, lines)
    except csv.Error as error:
        raise LitGenreError(f"The list of tracks {path} is not a valid CSV file: {error}.") from error


def _numbers(path: Path, lines: list[str]) -> Iterator[int]:
    header = next((text for line in lines if (text := _without_comment(line))), "")
    separator = next((character for character in ",;\t" if _COLUMN in _fields(header, character)), None)
    numbers = _column(lines, separator) if separator else _plain(lines)
    for line, text in numbers:
        # isdecimal alone accepts digits of other scripts.
        if not (text.isascii() and text.isdecimal()):
            expected = f"in column {_COLUMN}" if separator else f"and the file has no column {_COLUMN}"
            raise LitGenreError(f"{path}, line {line}: {text!r} is not a track id, {expected}.")
        yield int(text)


def _plain(lines: list[str]) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(lines, start=1):
        if text := _without_comment(line):
            yield number, text


def _column(lines: list[str], separator: str) -> Iterator[tuple[int, str]]:
    table = csv.reader(lines, delimiter=separator)
    column: int | None = None
    for row in table:
        # Comments may precede the header, so the first row with the name of the column is the header.
        if column is None:
            names = [name.strip() for name in row]
            column = names.index(_COLUMN) if _COLUMN in names else None
        elif any(field.strip() for field in row) and not row[0].startswith("#"):
            yield table.line_num, row[column].strip() if column < len(row) else ""


def _fields(line: str, separator: str) -> list[str]:
    # Without csv: the header is needed to find the separator.
    return [field.strip().strip('"') for field in line.split(separator)]


def _without_comment(line: str) -> str:
    return line.partition("#")[0].strip()
