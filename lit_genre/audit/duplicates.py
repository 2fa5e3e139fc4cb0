"""Find duplicates: tracks with equal files, or with equal audio and different tags."""

import hashlib
from collections import Counter, defaultdict
from multiprocessing.pool import ThreadPool
from pathlib import Path

import pandas as pd

from lit_genre.audit.leaks import EXCLUSION_ORDER
from lit_genre.console import progress
from lit_genre.data.metadata.track import Track

_COLUMNS = ["track_id", "group", "same", "crosses_splits", "kept", "kept_split", "kept_genre"]


def duplicates(tracks: list[Track], file_digests: dict[int, bytes], audio_digests: dict[int, bytes]) -> pd.DataFrame:
    """Find all but one track of each group of duplicates.

    The track that is kept is one of the test split, if there is one in the group, or else of validation.

    Args:
        tracks: Tracks to compare.
        file_digests: Hashes of files, by track id, from `digest_files`.
        audio_digests: Hashes of the decoded audio, by track id, of the tracks that are decoded.

    Returns:
        A row for each track to exclude, indexed by `track_id`: number of the group, whether it has the same "file" as
        the kept track or only the same "audio", whether the group is in several splits, and which track is kept.
    """
    # A file that was not decoded has the audio of an equal file that was.
    audio_by_file = {file_digests[i]: audio for i, audio in audio_digests.items() if i in file_digests}
    groups: defaultdict[bytes, list[Track]] = defaultdict(list)
    for track in tracks:
        file = file_digests.get(track.track_id)
        if digest := audio_digests.get(track.track_id) or (audio_by_file.get(file, file) if file else None):
            groups[digest].append(track)
    rows = []
    for number, group in enumerate((group for group in groups.values() if len(group) > 1), start=1):
        kept, *others = sorted(group, key=lambda track: (-EXCLUSION_ORDER[track.split], track.track_id))
        crosses = len({track.split for track in group}) > 1
        file = file_digests.get(kept.track_id)
        for track in others:
            same = "file" if file and file == file_digests.get(track.track_id) else "audio"
            rows.append((track.track_id, number, same, crosses, kept.track_id, kept.split, kept.genre_top))
    return pd.DataFrame(rows, columns=_COLUMNS).set_index("track_id")


def digest_files(files: dict[int, Path]) -> dict[int, bytes]:
    """Compute the SHA-256 of files, of those only that have the same size as another file.

    Args:
        files: File of each track, by track id.

    Returns:
        Hashes, by track id, without files that cannot be read.
    """
    sizes = {track_id: path.stat().st_size for track_id, path in files.items() if path.is_file()}
    shared = Counter(sizes.values())
    same_size = [track_id for track_id, size in sizes.items() if shared[size] > 1]

    def digest(track_id: int) -> tuple[int, bytes]:
        try:
            with files[track_id].open("rb") as file:
                return track_id, hashlib.file_digest(file, "sha256").digest()
        except OSError:
            # The list of undecodable tracks reports the file.
            return track_id, b""

    # Threads suffice: reading and hashing release the GIL.
    with progress("Comparing files of one size", len(same_size), "files") as advance, ThreadPool() as pool:
        digests = {}
        for track_id, value in pool.imap_unordered(digest, same_size):
            digests[track_id] = value
            advance()
    return {track_id: value for track_id, value in digests.items() if value}
