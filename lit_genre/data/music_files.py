"""Anyone's audio files, found in folders, and named so that a person can read it, whatever their names are."""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from stat import S_ISREG
from typing import Final, NoReturn

from lit_genre.console import console
from lit_genre.data import ffmpeg
from lit_genre.errors import LitGenreError
from lit_genre.text import one_line

SUFFIXES: Final = ffmpeg.SUFFIXES | frozenset(
    ".aif .aifc .aiff .au .caf .flac .mp2 .mp3 .oga .ogg .opus .rf64 .snd .voc .w64 .wav".split()  # noqa: SIM905
)
"""Of the files that are taken from a folder; files that are named may be called anything."""

SOME_UNREADABLE: Final = 3
"""Exit status where some files could not be read, and the others were answered."""


def find_songs(paths: Iterable[Path]) -> list[Path]:
    """List the files that are named, and those with sound in the folders that are named and in the folders within.

    Links are followed, each folder is looked through once.

    Raises:
        LitGenreError: There is no such file or folder, or there is no audio in them.
    """
    paths = list(paths)
    found: dict[Path, None] = {}
    seen: set[tuple[int, int]] = set()
    for path in paths:
        if path.is_dir():
            found |= dict.fromkeys(_walk(path, seen))
        elif path.is_file():
            found[path] = None
        else:
            raise LitGenreError(f"There is no file or folder {readable(path)}.")
    if not found:
        folders = ", ".join(map(readable, paths))
        raise LitGenreError(f"{folders}: no audio in it, by the names of the files ({', '.join(sorted(SUFFIXES))}).")
    return list(found)


def _walk(root: Path, seen: set[tuple[int, int]]) -> Iterator[Path]:
    unreadable: list[Path] = []
    for folder, subfolders, names in os.walk(
        root, onerror=lambda error: unreadable.append(Path(error.filename)), followlinks=True
    ):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            subfolders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        subfolders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            if path.suffix.lower() in SUFFIXES and not name.startswith("._") and _is_regular(path):
                yield path
    # To be reported with the files that cannot be read.
    yield from unreadable


def _is_regular(path: Path) -> bool:
    """Tell a file, or a link that leads nowhere, which is to be reported, from what never ends."""
    try:
        return S_ISREG(path.stat().st_mode)
    except OSError:
        return True


def readable(path: str | os.PathLike[str]) -> str:
    """Write a path so that it can be printed on one line, whatever bytes are in it."""
    return one_line(os.fspath(path))


def report_unreadable(files: Sequence[Path], failures: dict[int, str]) -> NoReturn:
    """Print which files could not be read, and why, and end the program with the status that says so."""
    console.print(f"{len(failures):,} of {len(files):,} files could not be read:")
    for position, reason in sorted(failures.items()):
        console.print(f"  {readable(files[position])}: {reason}")
    sys.exit(SOME_UNREADABLE if len(failures) < len(files) else 1)
