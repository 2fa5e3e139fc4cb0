"""The steps of `prepare`: download, verify, unpack and decode FMA."""

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rich.filesize import decimal
from rich.table import Table

from lit_genre.console import console, results
from lit_genre.data.datamodules.fma import FMADataModule
from lit_genre.data.metadata.track import SPLITS, Subset, Track
from lit_genre.data.store.index import SAMPLE_BYTES, index_path, read_index
from lit_genre.data.store.lock import locked
from lit_genre.files import atomic_write
from lit_genre.prepare.archive import ARCHIVES, Archive, fetch, find_size, is_url, verification_record
from lit_genre.prepare.space import Step, check_space, folder_bytes
from lit_genre.prepare.unpack import unpack
from lit_genre.text import one_line

_CLIP_SECONDS: Final = 30
"""Length of a clip in all subsets but full, s."""

_TRACK_SECONDS: Final = 270
"""Average length of an untrimmed track, s."""

_METADATA_EXPANSION: Final = 4
"""Size of the unpacked metadata, relative to its archive. It is text, which compresses well; MP3 does not."""

_MAX_SHOWN: Final = 10
"""Missing tracks that the summary names."""


def run_steps(
    subset: Subset,
    root: Path,
    base_url: str,
    keep_archives: bool,
    decode: bool | None,
    sample_rate: int,
    store_root: Path | None,
    workers: int | None,
    timeout: float,
) -> None:
    """Run the steps that are not done yet; the arguments are those of `prepare`.

    Raises:
        LitGenreError: The disk is too small, the server does not answer or has other files, an archive is damaged or
            not safe, or existing files would be replaced.
    """
    root = root.expanduser()
    decode = subset != "full" if decode is None else decode
    # The task determines which tracks are decoded. In small and medium all tracks have one root genre; in large and
    # full, "multilabel" has the tracks with several, too.
    data = FMADataModule(
        root,
        subset,
        task="multiclass" if subset in ("small", "medium") else "multilabel",
        sample_rate=sample_rate,
        decode_once=True,
        store_root=store_root,
    )
    seconds: dict[str, float] = {}
    try:
        archives = root / "archives"
        archives.mkdir(parents=True, exist_ok=True)
        # Two processes would write the same files.
        with locked(archives):
            needed = [
                archive for archive in (ARCHIVES["metadata"], ARCHIVES[subset]) if not _is_unpacked(archive, root)
            ]
            # An archive without a record was put there by the user, and is not deleted.
            kept = {
                archive: keep_archives
                or ((archives / archive.name).exists() and not verification_record(archive, archives).exists())
                for archive in needed
            }
            steps = [step for archive in needed for step in _plan(archive, root, base_url, kept[archive], timeout)]
            check_space([*steps, *([_plan_store(data, subset)] if decode else [])])
            # One archive after the other, so that the first is deleted before the second needs space.
            for archive in needed:
                with _timed(seconds, "download"):
                    path = fetch(archive, base_url, archives, timeout)
                with _timed(seconds, "unpack"):
                    _unpack(archive, path, root, workers)
                if is_url(base_url) and not kept[archive]:
                    path.unlink()
                    verification_record(archive, archives).unlink()
        if decode:
            with _timed(seconds, "decode"):
                _decode(data)
        _summarise(data, decode, seconds)
    except KeyboardInterrupt:
        sys.exit("Stopped. The same command resumes here.")


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[stage] = seconds.get(stage, 0) + time.perf_counter() - start


def _plan(archive: Archive, root: Path, base_url: str, keep: bool, timeout: float) -> list[Step]:
    """Return the space that an archive needs in each step; the size of its content is estimated from its own size."""
    downloads = root / "archives"
    n_bytes = find_size(archive, base_url, timeout)
    n_downloaded = sum(path.stat().st_size for path in downloads.glob(f"{archive.name}*"))
    unpacked = n_bytes * (1 if archive.n_tracks else _METADATA_EXPANSION) - folder_bytes(root / archive.folder)
    # An MP3 archive unpacks to its own size; files that exist already need no space.
    steps = [Step(archive.folder, root / archive.folder, max(0, unpacked))]
    if not is_url(base_url):
        return steps
    deleted = [] if keep else [Step(f"{archive.name} deleted", downloads, -n_bytes)]
    return [Step(archive.name, downloads, max(0, n_bytes - n_downloaded)), *steps, *deleted]


def _plan_store(data: FMADataModule, subset: Subset) -> Step:
    n_tracks = max(0, ARCHIVES[subset].n_tracks - len(read_index(data.store_folder)))
    n_samples = data.sample_rate * (_TRACK_SECONDS if subset == "full" else _CLIP_SECONDS)
    return Step("decoded audio", data.store_folder, n_tracks * n_samples * SAMPLE_BYTES)


def _record(archive: Archive, root: Path) -> Path:
    return root / archive.folder / ".unpacked.json"


def _is_unpacked(archive: Archive, root: Path) -> bool:
    """Check whether an archive was unpacked and verified, and its files still exist with the same sizes."""
    try:
        record = json.loads(_record(archive, root).read_text(encoding="utf-8"))
        if record["sha1"] != archive.sha1:
            return False
        files = {root / name: n_bytes for name, n_bytes in record["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    # Sizes, not checksums: these would need all files to be read again.
    changed = [path for path, n_bytes in files.items() if not path.is_file() or path.stat().st_size != n_bytes]
    if changed:
        console.print(
            f"{archive.folder}: {len(changed)} of {len(files):,} files are missing or changed. It is unpacked again."
        )
        return False
    console.print(f"{archive.folder}: already verified and unpacked, {len(files):,} files.")
    return True


def _unpack(archive: Archive, path: Path, root: Path, workers: int | None) -> None:
    # The checksums of an audio archive list every clip. Those of the metadata archive need not be complete.
    files = unpack(path, root, all_listed=archive.n_tracks > 0, workers=workers)
    if hasattr(os, "sync"):
        # After a power cut, the record must not exist without the files, and the archive must not be deleted before.
        os.sync()
    with atomic_write(_record(archive, root)) as file:
        file.write(json.dumps({"sha1": archive.sha1, "files": files}, indent=0).encode())


def _decode(data: FMADataModule) -> None:
    # A build that decodes nothing leaves the size as it is.
    before = folder_bytes(data.store_folder)
    data.prepare_data()
    if before and before == folder_bytes(data.store_folder):
        console.print(f"{data.store_folder}: already decoded.")


def _summarise(data: FMADataModule, decoded: bool, seconds: dict[str, float]) -> None:
    missing = data.missing_tracks if decoded else {}
    results.print(_table(data.tracks, missing))
    for track_id, reason in list(missing.items())[:_MAX_SHOWN]:
        console.print(f"Left out: track {track_id}, {reason}")
    if len(missing) > _MAX_SHOWN:
        console.print(
            f"and {len(missing) - _MAX_SHOWN} more. The reason for each track is in {index_path(data.store_folder)}"
        )
    if decoded:
        data.report_incomplete()
        counts: Counter[str] = Counter(entry.status for entry in data.open_audio().entries.values())
        statuses = ("complete", "recovered", "truncated", "failed")
        console.print("Decoded: " + ", ".join(f"{counts[status]:,} {status}" for status in statuses))
    folders = [data.root / "fma_metadata", data.root / f"fma_{data.subset}", *([data.store_folder] if decoded else [])]
    for folder in folders:
        console.print(f"{decimal(folder_bytes(folder)):>9}  {folder}")
    if not decoded:
        console.print("The audio was not decoded. The first training decodes it, or this command with --decode=true.")
    console.print("Seconds: " + ", ".join(f"{stage} {duration:.1f}" for stage, duration in seconds.items()))


def _table(tracks: list[Track], missing: dict[int, str]) -> Table:
    genres = sorted({track.genre_top for track in tracks}, key=lambda genre: (not genre, genre))
    table = Table("Tracks", *SPLITS, "left out")
    for column in table.columns[1:]:
        column.justify = "right"
    # None is the row of all genres.
    for genre in (*genres, None):
        genre_tracks = [track for track in tracks if genre in (None, track.genre_top)]
        usable = Counter(track.split for track in genre_tracks if track.track_id not in missing)
        counts = [*(usable[split] for split in SPLITS), len(genre_tracks) - usable.total()]
        name = "all" if genre is None else genre or "several roots"
        table.add_row(one_line(name), *(f"{count:,}" for count in counts), end_section=genre == genres[-1])
    return table
