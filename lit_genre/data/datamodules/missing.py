"""Report tracks that cannot be used or were decoded only in part, and refuse data of which too much is missing."""

import math
import shlex
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

from lit_genre.console import console
from lit_genre.data.metadata.track import SPLITS, Track
from lit_genre.data.store.pcm import Entry
from lit_genre.errors import LitGenreError
from lit_genre.text import one_line

_LISTED: Final = 10


def report_lost(
    tracks: list[Track],
    lost: dict[int, str],
    name_of: Callable[[Track], str],
    audio: Path,
    index: Path,
    max_lost: float,
    remedy: str,
    says: bool,
) -> None:
    """Print the tracks that cannot be used.

    Args:
        tracks: All tracks.
        lost: Why a track cannot be used, by track id.
        name_of: Names a track for people.
        audio: Folder of the audio, for the message.
        index: File that has every reason, for the message.
        max_lost: Largest part of a split that may be lost, 0 to 1.
        remedy: What helps where it is too much, for the message.
        says: Whether to print; one process for all does.

    Raises:
        LitGenreError: More is.
    """
    if not lost:
        return
    if says:
        for track in [track for track in tracks if track.track_id in lost][:_LISTED]:
            console.print(one_line(f"Left out: {name_of(track)}, {lost[track.track_id]}"))
        console.print(f"Left out {len(lost)} of {len(tracks):,} tracks; each with its reason in {index}")
    for split in SPLITS:
        all_of_it = [track for track in tracks if track.split == split]
        gone = [track for track in all_of_it if track.track_id in lost]
        if len(gone) > max_lost * len(all_of_it):
            raise LitGenreError(
                f"{len(gone)} of the {len(all_of_it):,} {split} tracks in {audio} cannot be used, "
                f"more than {max_lost:.0%} ({name_of(gone[0])}: {lost[gone[0].track_id]}). {remedy}, or "
                f"allow it by --data.max_lost={math.ceil(100 * len(gone) / len(all_of_it)) / 100}."
            )


def report_incomplete(
    tracks: list[Track], entries: list[Entry], sample_rate: int, name_of: Callable[[Track], str], index: Path
) -> None:
    """Print how many tracks are used of which a part could not be decoded.

    Args:
        tracks: All tracks.
        entries: Index lines of those that are used.
        sample_rate: Of the decoded audio, Hz.
        name_of: Names a track for people.
        index: File with the status of each track, for the message.
    """
    incomplete = [entry for entry in entries if entry.status != "complete"]
    if not incomplete:
        return
    track_of = {track.track_id: track for track in tracks}
    worst_first = sorted(incomplete, key=lambda entry: -entry.seconds_lost)
    for entry in worst_first[:_LISTED]:
        console.print(one_line(f"Decoded in part: {name_of(track_of[entry.track_id])}, {entry.describe(sample_rate)}"))
    counts = Counter(entry.status for entry in incomplete)
    console.print(
        f"Decoded in part: {counts['recovered']:,} of {len(entries):,} tracks recovered, {counts['truncated']:,} "
        f"truncated, {sum(entry.seconds_lost for entry in incomplete):.1f} s missing in all; the status of each track "
        f"is in {index}"
    )


def require_data(root: Path, subset: str) -> None:
    """Refuse a folder without metadata or audio, and say how to get them.

    Raises:
        LitGenreError: They are not there.
    """
    metadata, audio = root / "fma_metadata" / "tracks.csv", root / f"fma_{subset}"
    if metadata.is_file() and audio.is_dir():
        return
    raise LitGenreError(
        f"No FMA {subset} in {root.resolve()}: expected the file {metadata} and the folder {audio}.\n"
        f"Fetch, verify, unpack and decode it:\n  lit-genre prepare --subset {subset} --root {shlex.quote(str(root))}\n"
        "or name the folder it is in by --data.root=FOLDER, or try everything on a small synthetic data set:\n"
        "  lit-genre demo\n"
        "  lit-genre fit --config configs/crnn.yaml --config configs/data/demo.yaml"
    )
