"""Find the audio files in folders, and report files that were left out or could not be read."""

import os
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import Final, NoReturn

from lit_genre.console import console
from lit_genre.data.decoding.status import TrackStatus
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
"""Suffixes of the files that are taken from a folder; a file that the user names may have any name. Not included: music
with digital rights management (.aax, .m4p), which cannot be decoded, notes (.mid, .mod) and play lists (.m3u)."""

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
"""Folders, in lower case, in which systems and network disks keep deleted files, copies and previews."""

HIDDEN: Final = "hidden, or in a hidden folder"
SYSTEM: Final = "in a folder of the system, such as its trash"
NO_SUFFIX: Final = "not audio by the suffix"
NO_FILE: Final = "not a file, but a device or the like"

LeftOut = Counter[tuple[str, str]]
"""Number of files that a scan left out, by the reason and their suffix, such as (HIDDEN, ".mp3")."""

_MAX_SHOWN: Final = 8
"""Files or kinds of files that a message names."""

SOME_UNREADABLE: Final = 3
"""Exit status if some files could not be read, and the others were predicted."""


@dataclass(frozen=True, slots=True)
class Scan:
    """The audio files that were found, and those that were left out.

    Attributes:
        files: Files that the user named, and audio files in the folders that the user named and in their subfolders.
        left_out: Number of files in these folders that were left out, by reason and suffix.
    """

    files: list[Path]
    left_out: LeftOut


def find_audio_files(paths: Iterable[Path]) -> Scan:
    """Find audio files, at least one.

    Hidden files and folders, whose names begin with a dot, and folders of the system are left out at every depth, but a
    file or folder in `paths` itself is read. Links are followed; each folder is scanned once.

    Args:
        paths: Files, which may have any name, and folders, which are scanned with their subfolders.

    Returns:
        The files, sorted in each folder, and the numbers of files that were left out.

    Raises:
        LitGenreError: A path does not exist, or there is no audio file.
    """
    paths = list(paths)
    result = scan(paths)
    if not result.files:
        left_out = "".join(f" {line}." for line in describe_left_out(result.left_out))
        raise LitGenreError(
            f"{', '.join(map(readable, paths))}: no audio in it, by the names of the files "
            f"({', '.join(sorted(SUFFIXES))}).{left_out} A file that you name itself is read whatever its name."
        )
    return result


def scan(paths: Iterable[Path]) -> Scan:
    """Find audio files as `find_audio_files` does; the result may be empty.

    Args:
        paths: Files, which may have any name, and folders, which are scanned with their subfolders.

    Returns:
        The files, sorted in each folder, and the numbers of files that were left out.

    Raises:
        LitGenreError: A path does not exist.
    """
    # A dict keeps the order and holds each file once.
    files: dict[Path, None] = {}
    left_out: LeftOut = Counter()
    seen: set[tuple[int, int]] = set()
    for path in paths:
        if path.is_dir():
            files |= dict.fromkeys(_walk(path, seen, left_out))
        elif path.is_file():
            files[path] = None
        else:
            raise LitGenreError(f"There is no file or folder {readable(path)}.")
    return Scan(list(files), left_out)


def describe_left_out(left_out: LeftOut) -> list[str]:
    """Return a message for each reason, such as "Left out: 12 files, hidden, or in a hidden folder (12 .mp3)"."""
    by_reason: dict[str, Counter[str]] = defaultdict(Counter)
    for (reason, suffix), count in left_out.items():
        by_reason[reason][suffix] += count
    lines = []
    # Sorted, so that the same folder always gives the same messages.
    for reason, suffixes in sorted(by_reason.items()):
        counts = sorted(suffixes.items(), key=lambda item: (-item[1], item[0]))
        some = ", ".join(f"{count:,} {suffix or 'without a suffix'}" for suffix, count in counts[:_MAX_SHOWN])
        more = f" and {len(counts) - _MAX_SHOWN:,} other kinds" if len(counts) > _MAX_SHOWN else ""
        number = suffixes.total()
        lines.append(f"Left out: {number:,} file{'s' * (number != 1)}, {reason} ({some}{more})")
    return lines


def reason_to_leave_out(name: str) -> str:
    """Return why a file or folder within another is left out by its name, "" if it is not left out."""
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
        # A link may lead to a parent folder: without this check the walk would not end.
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
    # Folders that cannot be opened are reported with the files that cannot be read.
    yield from unreadable


def count_audio(folder: Path, reason: str, left_out: LeftOut) -> None:
    """Count the audio files in a folder that is left out.

    Args:
        folder: The folder.
        reason: Why it is left out.
        left_out: The counts, which are increased.
    """
    # A hidden link may lead to music that is read elsewhere.
    if not folder.is_symlink():
        for _, _, names in os.walk(folder):
            suffixes = [Path(name).suffix.lower() for name in names]
            left_out.update((reason, suffix) for suffix in suffixes if suffix in SUFFIXES)


def _is_regular(path: Path) -> bool:
    """Check that a path is not a device or a pipe, whose content may never end; a broken link is reported later."""
    try:
        return S_ISREG(path.stat().st_mode)
    except OSError:
        return True


def readable(path: str | os.PathLike[str]) -> str:
    """Return a path as printable text on one line, whatever bytes are in it.

    Args:
        path: The path.
    """
    return one_line(os.fspath(path))


def report_incomplete(files: Sequence[Path], statuses: Mapping[int, TrackStatus], seconds: Mapping[int, float]) -> None:
    """Print the files that could be decoded only in part.

    Args:
        files: All files.
        statuses: How much of a file was decoded, by its position in `files`.
        seconds: Length of the decoded audio, s, by position.
    """
    damaged = sorted(position for position, status in statuses.items() if status.kind != "complete")
    if damaged:
        console.print(f"{len(damaged):,} of {len(files):,} files are incomplete; the decoded part was used:")
        for position in damaged[:_MAX_SHOWN]:
            console.print(f"  {readable(files[position])}: {statuses[position].describe(seconds[position])}")
        if len(damaged) > _MAX_SHOWN:
            console.print(f"  and {len(damaged) - _MAX_SHOWN:,} more")


def report_unreadable(files: Sequence[Path], failures: dict[int, str]) -> NoReturn:
    """Print the files that could not be read, and end the program with a status other than 0.

    Args:
        files: All files.
        failures: Why a file could not be read, by its position in `files`.

    Raises:
        SystemExit: Always, with status 1 if no file could be read, and else `SOME_UNREADABLE`.
    """
    console.print(f"{len(failures):,} of {len(files):,} files could not be read:")
    for position, reason in sorted(failures.items()):
        console.print(f"  {readable(files[position])}: {reason}")
    sys.exit(SOME_UNREADABLE if len(failures) < len(files) else 1)
