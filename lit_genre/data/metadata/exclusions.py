"""Lists of tracks to leave out, written by `lit-genre audit` or by hand."""

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path

from lit_genre.errors import LitGenreError

COLUMN = "track_id"


def read_drop_lists(paths: Iterable[Path]) -> set[int]:
    """Read the ids of tracks from files: all that any of them names.

    Args:
        paths: CSV files with a column `track_id` (separated by comma, semicolon or tab), or plain text with one id a
            line. Empty lines and comments behind a # are passed over; in CSV such comments fill a line.

    Raises:
        LitGenreError: A file is not there or is no such list; or a line holds no id.
    """
    return {track_id for path in paths for track_id in _read(Path(path).expanduser())}


def _read(path: Path) -> Iterator[int]:
    try:
        # Lines end where a file's do, and not at the rarer signs within a title that str.splitlines heeds.
        lines = list(io.StringIO(path.read_text(encoding="utf-8-sig")))
    except FileNotFoundError as error:
        raise LitGenreError(
            f"There is no list of tracks {path} to drop. `lit-genre audit` writes such lists; or correct its name."
        ) from error
    except OSError as error:
        raise LitGenreError(f"The list of tracks {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise LitGenreError(
            f"The list of tracks {path} is not UTF-8 text ({error.reason}): save it as such."
        ) from error
    try:
        yield from _numbers(path, lines)
    except csv.Error as error:
        raise LitGenreError(f"The list of tracks {path} is no CSV: {error}.") from error


def _numbers(path: Path, lines: list[str]) -> Iterator[int]:
    head = next((text for line in lines if (text := _without_comment(line))), "")
    separator = next((mark for mark in ",;\t" if COLUMN in _fields(head, mark)), None)
    numbers = _column(lines, separator) if separator else _plain(lines)
    for line, text in numbers:
        if not (text.isascii() and text.isdecimal()):
            expected = f"in column {COLUMN}" if separator else f"and the file has no column {COLUMN}"
            raise LitGenreError(f"{path}, line {line}: {text!r} is not the number of a track, {expected}.")
        yield int(text)


def _plain(lines: list[str]) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(lines, start=1):
        if text := _without_comment(line):
            yield number, text


def _column(lines: list[str], separator: str) -> Iterator[tuple[int, str]]:
    table = csv.reader(lines, delimiter=separator)
    place: int | None = None
    for row in table:
        if place is None:
            names = [name.strip() for name in row]
            place = names.index(COLUMN) if COLUMN in names else None
        elif any(field.strip() for field in row) and not row[0].startswith("#"):
            yield table.line_num, row[place].strip() if place < len(row) else ""


def _fields(line: str, separator: str) -> list[str]:
    return [field.strip().strip('"') for field in line.split(separator)]


def _without_comment(line: str) -> str:
    return line.partition("#")[0].strip()
