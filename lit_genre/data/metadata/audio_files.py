"""A user's own audio files, found in folders, and named so that a person can read it, whatever their names are."""

import os
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import Final, NoReturn

from lit_genre.console import console
from lit_genre.data.decoding.track_audio import TrackStatus
from lit_genre.errors import LitGenreError
from lit_genre.text import one_line

SUFFIXES: Final = frozenset(
    """
    .3g2 .3ga .3gp .8svx .aa3 .aac .ac3 .adts .adx .afc .aif .aifc .aiff .alac .amr .ape .asf .ast .at3 .au .avi
    .avr .awb .bonk .bwf .caf .dff .dsf .dts .dtshd .ec3 .eac3 .f4a .f4v .flac .flv .gsm .htk .ircam .m1a .m2a .m2ts
    .m4a .m4b .m4r .m4v .mka .mkv .mlp .mov .mp+ .mp1 .mp2 .mp3 .mp4 .mpa .mpc .mpeg .mpg .mpga .mpp .mts .nist .oga
    .ogg .ogv .ogx .oma .omg .opus .osq .paf .pvf .qcp .qoa .ra .rf64 .rka .rm .rmvb .sbc .shn .snd .sph .spx .tak
    .thd .truehd .ts .tta .vob .voc .vqf .w64 .wav .wave .weba .webm .wma .wmv .wsd .wv .xa
    """.split()  # noqa: SIM905
)
"""Of the files that are taken from a folder; files that are named may be called anything. Not among them: music with
digital rights management (.aax, .m4p), which nobody decodes, notes instead of sound (.mid, .mod), play lists (.m3u)."""

_SYSTEM_FOLDERS: Final = frozenset(
    (
        "$recycle.bin",
        "recycled",
        "recycler",
        "system volume information",
        "lost+found",
        "lost.dir",
        "found.000",
        "network trash folder",
        "temporary items",
        "__macosx",
        "@eadir",
        "@recycle",
        "@recently-snapshot",
        "@sharebin",
        "@tmp",
        "#recycle",
        "#snapshot",
    )
)
"""Folders, in lower case, in which systems and network disks keep what was deleted, or copies and previews."""

HIDDEN: Final = "hidden, or in a hidden folder"
SYSTEM: Final = "in a folder of the system, such as its trash"
NO_SUFFIX: Final = "not audio by the suffix"
NO_FILE: Final = "not a file, but a device or the like"

LeftOut = Counter[tuple[str, str]]
"""Number of files that a scan left out, by the reason and their suffix, such as (HIDDEN, ".mp3")."""

_LISTED: Final = 8

SOME_UNREADABLE: Final = 3
"""Exit status where some files could not be read, and the others were answered."""


@dataclass(frozen=True, slots=True)
class Scan:
    """The audio files that were found, and those that were left out.

    Attributes:
        files: Files that were named, and audio files in folders that were named and in the folders within.
        left_out: How many files in these folders were left out, and why.
    """

    files: list[Path]
    left_out: LeftOut


def find_audio(paths: Iterable[Path]) -> Scan:
    """List the files that are named, and those with sound in the folders that are named and in the folders within.

    Hidden files and folders, whose names begin with a dot, and folders of the system are left out at every depth, but a
    file or a folder that is named itself is read. Links are followed; each folder is looked through once.

    Raises:
        LitGenreError: There is no such file or folder, or there is no audio in them; says what there is instead.
    """
    paths = list(paths)
    found = scan(paths)
    if not found.files:
        instead = "".join(f" {line}." for line in describe_left_out(found.left_out))
        raise LitGenreError(
            f"{', '.join(map(readable, paths))}: no audio in it, by the names of the files "
            f"({', '.join(sorted(SUFFIXES))}).{instead} A file that is named itself is read whatever its name."
        )
    return found


def scan(paths: Iterable[Path]) -> Scan:
    """Find audio files as `find_audio` does, in folders that may have none.

    Raises:
        LitGenreError: There is no such file or folder.
    """
    found: dict[Path, None] = {}
    left_out: LeftOut = Counter()
    seen: set[tuple[int, int]] = set()
    for path in paths:
        if path.is_dir():
            found |= dict.fromkeys(_walk(path, seen, left_out))
        elif path.is_file():
            found[path] = None
        else:
            raise LitGenreError(f"There is no file or folder {readable(path)}.")
    return Scan(list(found), left_out)


def describe_left_out(left_out: LeftOut) -> list[str]:
    """Return one line for each reason, such as "Left out: 12 files, hidden, or in a hidden folder (12 .mp3)"."""
    by_reason: dict[str, Counter[str]] = defaultdict(Counter)
    for (reason, suffix), count in left_out.items():
        by_reason[reason][suffix] += count
    lines = []
    for reason, suffixes in sorted(by_reason.items()):
        counts = sorted(suffixes.items(), key=lambda item: (-item[1], item[0]))
        some = ", ".join(f"{count:,} {suffix or 'without a suffix'}" for suffix, count in counts[:_LISTED])
        more = f" and {len(counts) - _LISTED:,} other kinds" if len(counts) > _LISTED else ""
        number = suffixes.total()
        lines.append(f"Left out: {number:,} file{'s' * (number != 1)}, {reason} ({some}{more})")
    return lines


def reason_to_leave_out(name: str) -> str:
    """Return why a file or folder within another is left out by its name; "" for one that is not."""
    # Names of artists begin with several dots: "...And You Will Know Us by the Trail of Dead".
    if name.startswith(".") and not name.startswith(".."):
        return HIDDEN
    return SYSTEM if name.casefold() in _SYSTEM_FOLDERS else ""


def _walk(root: Path, seen: set[tuple[int, int]], left_out: LeftOut) -> Iterator[Path]:
    unreadable: list[Path] = []
    for folder, subfolders, names in os.walk(
        root, onerror=lambda error: unreadable.append(Path(error.filename)), followlinks=True
    ):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            subfolders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        for name in subfolders:
            if reason := reason_to_leave_out(name):
                count_audio(Path(folder, name), reason, left_out)
        subfolders[:] = sorted(name for name in subfolders if not reason_to_leave_out(name))
        for name in sorted(names):
            path = Path(folder, name)
            suffix = path.suffix.lower()
            is_audio = suffix in SUFFIXES
            reason = reason_to_leave_out(name) if is_audio else "" if name.startswith(".") else NO_SUFFIX
            if is_audio and not reason and not _is_regular(path):
                reason = NO_FILE
            if reason:
                left_out[reason, suffix] += 1
            elif is_audio:
                yield path
    # To be reported with the files that cannot be read.
    yield from unreadable


def count_audio(folder: Path, reason: str, left_out: LeftOut) -> None:
    """Count the audio files in a folder that is left out; what else is in it does not matter to anyone."""
    # A hidden link may lead to music that is found elsewhere.
    if not folder.is_symlink():
        for _, _, names in os.walk(folder):
            suffixes = [Path(name).suffix.lower() for name in names]
            left_out.update((reason, suffix) for suffix in suffixes if suffix in SUFFIXES)


def _is_regular(path: Path) -> bool:
    """Tell a file, or a link that leads nowhere, which is to be reported, from what never ends."""
    try:
        return S_ISREG(path.stat().st_mode)
    except OSError:
        return True


def readable(path: str | os.PathLike[str]) -> str:
    """Write a path so that it can be printed on one line, whatever bytes are in it."""
    return one_line(os.fspath(path))


def report_incomplete(files: Sequence[Path], statuses: Mapping[int, TrackStatus], seconds: Mapping[int, float]) -> None:
    """Print which files could be decoded in part only.

    Args:
        files: All files.
        statuses: How much of a file was decoded, by its position.
        seconds: Length of what was decoded, by position.
    """
    damaged = sorted(position for position, status in statuses.items() if status.kind != "complete")
    if damaged:
        console.print(f"{len(damaged):,} of {len(files):,} files are not whole; what could be decoded was used:")
        for position in damaged[:_LISTED]:
            console.print(f"  {readable(files[position])}: {statuses[position].describe(seconds[position])}")
        if len(damaged) > _LISTED:
            console.print(f"  and {len(damaged) - _LISTED:,} more")


def report_unreadable(files: Sequence[Path], failures: dict[int, str]) -> NoReturn:
    """Print which files could not be read, and why, and end the program with the status that says so."""
    console.print(f"{len(failures):,} of {len(files):,} files could not be read:")
    for position, reason in sorted(failures.items()):
        console.print(f"  {readable(files[position])}: {reason}")
    sys.exit(SOME_UNREADABLE if len(failures) < len(files) else 1)
