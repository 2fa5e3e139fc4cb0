"""Sort audio files into one folder for each genre, without replacing a file."""

import os
import re
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal

from lit_genre.console import console
from lit_genre.data.metadata.audio_files import readable
from lit_genre.errors import LitGenreError

_MAX_SHOWN: Final = 10
"""Files of a dry run that are named."""

_RESERVED: Final = re.compile(r'[<>:"/\\|?*\x00-\x1f]|[. ]+$|^\.+')
"""Characters that a file system may refuse in the name of a folder; a genre such as "Pop/Rock" has them."""

_DEVICE: Final = re.compile(r"^(con|prn|aux|nul|com\d|lpt\d)(?=\.|$)", re.IGNORECASE)
"""Names of devices on Windows, with any suffix; no file or folder can have them."""


def plan_moves(genres: Iterable[tuple[Path, str]], folder: Path) -> dict[Path, Path]:
    """Choose the new path of each file: `folder/<genre>/<name>`, with a number if the name is taken.

    Args:
        genres: Path and genre of each file.
        folder: Folder of the folders of genres.

    Returns:
        {old path: new path}; a file that already lies in the folder of its genre is left out.
    """
    moves: dict[Path, Path] = {}
    taken: set[str] = set()
    for path, genre in genres:
        target = folder / _folder_name(genre)
        if path.resolve().parent == target.resolve():
            continue
        new, number = target / path.name, 2
        # Lower case: some file systems take "A.mp3" and "a.mp3" for one file.
        while str(new).lower() in taken or new.exists() or new.is_symlink():
            new = target / f"{path.stem} ({number}){path.suffix}"
            number += 1
        taken.add(str(new).lower())
        moves[path] = new
    return moves


def _folder_name(genre: str) -> str:
    """Return the name of a genre with `_` in place of what a file system may refuse."""
    return _DEVICE.sub(r"\1_", _RESERVED.sub("_", genre) or "_", count=1)


def sort_files(moves: dict[Path, Path], action: Literal["copy", "move"], confirmed: bool) -> None:
    """Copy or move files, or print what would be done.

    Args:
        moves: {old path: new path}.
        action: "copy" or "move".
        confirmed: False to change nothing.

    Raises:
        LitGenreError: A file cannot be copied or moved, such as on a full disk; the others are not touched any more.
    """
    counts = Counter(new.parent.name for new in moves.values())
    sizes = ", ".join(f"{readable(Path(genre))} {count:,}" for genre, count in sorted(counts.items()))
    if not confirmed:
        for old, new in list(moves.items())[:_MAX_SHOWN]:
            console.print(f"  {readable(old)} -> {readable(new)}")
        if len(moves) > _MAX_SHOWN:
            console.print(f"  and {len(moves) - _MAX_SHOWN:,} more")
        console.print(f"Nothing was changed. Add --yes to {action} {len(moves):,} files: {sizes}.")
        return
    for old, new in moves.items():
        try:
            new.parent.mkdir(parents=True, exist_ok=True)
            _transfer(old, new, action)
        except OSError as error:
            reason = error.strerror or str(error)
            raise LitGenreError(f"{readable(old)} cannot be put into {readable(new.parent)}: {reason}.") from error
    done = "Copied" if action == "copy" else "Moved"
    console.print(f"{done} {len(moves):,} files: {sizes}.")


def _transfer(old: Path, new: Path, action: Literal["copy", "move"]) -> None:
    """Copy or move a file to a path that must not exist."""
    # A name of its own until the copy is whole: an interruption leaves no half file under the name of a song.
    part = new.with_name(f".{new.name}.part")
    if action == "move":
        try:
            # A hard link refuses an existing name, which a rename would replace; both need the same file system.
            os.link(old, new, follow_symlinks=False)
            old.unlink()
            return
        except FileExistsError:
            raise
        except (OSError, NotImplementedError):
            # Another disk, or a system or file system without such hard links: copy, then delete.
            pass
    shutil.copy2(old, part)
    if new.exists():
        part.unlink()
        raise FileExistsError(17, "the file exists already", str(new))
    part.rename(new)
    if action == "move":
        old.unlink()
