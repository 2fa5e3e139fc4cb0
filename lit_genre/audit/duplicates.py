"""Duplicates: tracks whose files are the same byte for byte, or whose audio is, as after another ID3 tag."""

import hashlib
from collections import Counter, defaultdict
from multiprocessing.pool import ThreadPool
from pathlib import Path

import pandas as pd

from lit_genre.audit.leaks import SPARED_LAST
from lit_genre.console import progress
from lit_genre.data.metadata.track import Track

_COLUMNS = ["track_id", "group", "same", "crosses_splits", "kept", "kept_split", "kept_genre"]


def duplicates(tracks: list[Track], file_digests: dict[int, bytes], audio_digests: dict[int, bytes]) -> pd.DataFrame:
    """List all but one of each group of duplicates; the one that is kept is in test, else in validation, if any is.

    Args:
        tracks: Those to compare.
        file_digests: From `digest_files`.
        audio_digests: Of the decoded audio, where that is known.

    Returns:
        A row a track to drop, by `track_id`: number of the group, whether its "file" or only its "audio" is the kept
        one's, whether the group is in several splits, and which track is kept.
    """
    # A file that was not decoded has the audio of its copy that was.
    audio_of = {file_digests[i]: audio for i, audio in audio_digests.items() if i in file_digests}
    groups: defaultdict[bytes, list[Track]] = defaultdict(list)
    for track in tracks:
        file = file_digests.get(track.track_id)
        if digest := audio_digests.get(track.track_id) or (audio_of.get(file, file) if file else None):
            groups[digest].append(track)
    rows = []
    for number, group in enumerate((group for group in groups.values() if len(group) > 1), start=1):
        kept, *others = sorted(group, key=lambda track: (-SPARED_LAST[track.split], track.track_id))
        crosses = len({track.split for track in group}) > 1
        file = file_digests.get(kept.track_id)
        for track in others:
            same = "file" if file and file == file_digests.get(track.track_id) else "audio"
            rows.append((track.track_id, number, same, crosses, kept.track_id, kept.split, kept.genre_top))
    return pd.DataFrame(rows, columns=_COLUMNS).set_index("track_id")


def digest_files(files: dict[int, Path]) -> dict[int, bytes]:
    """Hash the files of which another has the size; those that cannot be read are left out."""
    sizes = {track_id: path.stat().st_size for track_id, path in files.items() if path.is_file()}
    shared = Counter(sizes.values())
    alike = [track_id for track_id, size in sizes.items() if shared[size] > 1]

    def digest(track_id: int) -> tuple[int, bytes]:
        try:
            with files[track_id].open("rb") as file:
                return track_id, hashlib.file_digest(file, "sha256").digest()
        except OSError:
            return track_id, b""

    with progress("Comparing files of one size", len(alike), "files") as advance, ThreadPool() as pool:
        found = {}
        for track_id, value in pool.imap_unordered(digest, alike):
            found[track_id] = value
            advance()
    return {track_id: value for track_id, value in found.items() if value}
