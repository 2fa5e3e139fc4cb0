"""The command `prepare`: from nothing to FMA on the disk, verified, unpacked and decoded."""

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

from lit_genre.console import console
from lit_genre.data.datamodules.fma import FMADataModule
from lit_genre.data.metadata.fma import Subset
from lit_genre.data.metadata.track import SPLITS, Track
from lit_genre.data.store.lock import locked
from lit_genre.data.store.pcm import SAMPLE_BYTES, read_index
from lit_genre.errors import check_at_least
from lit_genre.files import atomic_write
from lit_genre.prepare.archive import ARCHIVES, FMA_URL, Archive, fetch, find_size, is_url, note_of
from lit_genre.prepare.space import Step, check_space, folder_bytes
from lit_genre.prepare.unpack import unpack
from lit_genre.text import one_line

_CLIP_SECONDS: Final = 30
_TRACK_SECONDS: Final = 270  # of an untrimmed track, on average
_METADATA_GROWS: Final = 4  # Text, which bzip2 makes so much smaller; MP3 it does not.
_LISTED: Final = 10


def prepare(
    subset: Subset = "small",
    root: Path = Path("data"),
    base_url: str = FMA_URL,
    keep_archives: bool = False,
    decode: bool | None = None,
    sample_rate: int = 22050,
    store_root: Path | None = None,
    workers: int | None = None,
    timeout: float = 30.0,
) -> None:
    """Download FMA, verify it, unpack it and decode it, as far as that is not done yet.

    Every step goes on where it was interrupted: call it again. What is done already is not done again.

    Args:
        subset: "small" (7.7 GB, 8,000 clips), "medium" (24 GB, 25,000), "large" (100 GB, 106,574) or "full" (944 GB,
            the same tracks untrimmed).
        root: Folder that receives `fma_metadata` and `fma_<subset>`, and the archives while they are needed.
        base_url: Address of a folder with FMA's archives, or a folder of this machine that holds them; there they are
            used where they are, and never deleted.
        keep_archives: Keep what was downloaded, in `archives` in root, after it is unpacked. An archive that was put
            there by hand is kept anyway.
        decode: Decode the audio into the store that training reads; null for all subsets but full.
        sample_rate: Of the store, Hz; a model uses one of its own rate.
        store_root: Folder for the store; null for `pcm` in root.
        workers: Threads that unpack, at least 1; null for one a core.
        timeout: Seconds without an answer of the server, or without a byte, after which it is asked again.

    Raises:
        LitGenreError: The disk is too small, the server does not answer or has other files, an archive is damaged or
            not safe, or files are in the way.
    """
    check_at_least(
        sample_rate=(sample_rate, 1), workers=(1 if workers is None else workers, 1), timeout=(timeout, 0.01)
    )
    root = root.expanduser()
    decode = subset != "full" if decode is None else decode
    # The task only says which tracks count: those of one root genre, which in small and medium all are, or all.
    data = FMADataModule(
        root,
        subset,
        task="single" if subset in ("small", "medium") else "multi",
        sample_rate=sample_rate,
        decode_once=True,
        store_root=store_root,
    )
    seconds: dict[str, float] = {}
    try:
        archives = root / "archives"
        archives.mkdir(parents=True, exist_ok=True)
        with locked(archives):
            wanted = [
                archive for archive in (ARCHIVES["metadata"], ARCHIVES[subset]) if not _is_unpacked(archive, root)
            ]
            # What lies there without a note of ours was put there by hand, and is not ours to delete.
            kept = {
                archive: keep_archives
                or ((archives / archive.name).exists() and not note_of(archive, archives).exists())
                for archive in wanted
            }
            steps = [step for archive in wanted for step in _plan(archive, root, base_url, kept[archive], timeout)]
            check_space([*steps, *([_plan_store(data, subset)] if decode else [])])
            for archive in wanted:
                with _timed(seconds, "download"):
                    path = fetch(archive, base_url, archives, timeout)
                with _timed(seconds, "unpack"):
                    _unpack(archive, path, root, workers)
                if is_url(base_url) and not kept[archive]:
                    path.unlink()
                    note_of(archive, archives).unlink()
        if decode:
            with _timed(seconds, "decode"):
                _decode(data)
        _summarise(data, decode, seconds)
    except KeyboardInterrupt:
        sys.exit("Stopped. The same command goes on from here.")


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    seconds[stage] = seconds.get(stage, 0) + time.perf_counter() - began


def _plan(archive: Archive, root: Path, base_url: str, keep: bool, timeout: float) -> list[Step]:
    """Say what an archive will take: of what it unpacks to, only FMA's own size of the archive is known beforehand."""
    downloads = root / "archives"
    n_bytes = find_size(archive, base_url, timeout)
    here = sum(path.stat().st_size for path in downloads.glob(f"{archive.name}*"))
    unpacked = n_bytes * (1 if archive.n_tracks else _METADATA_GROWS) - folder_bytes(root / archive.folder)
    steps = [Step(archive.folder, root / archive.folder, max(0, unpacked))]
    if not is_url(base_url):
        return steps
    deleted = [] if keep else [Step(f"{archive.name} deleted", downloads, -n_bytes)]
    return [Step(archive.name, downloads, max(0, n_bytes - here)), *steps, *deleted]


def _plan_store(data: FMADataModule, subset: Subset) -> Step:
    n_tracks = max(0, ARCHIVES[subset].n_tracks - len(read_index(data.store_folder)))
    n_samples = data.sample_rate * (_TRACK_SECONDS if subset == "full" else _CLIP_SECONDS)
    return Step("decoded audio", data.store_folder, n_tracks * n_samples * SAMPLE_BYTES)


def _record(archive: Archive, root: Path) -> Path:
    return root / archive.folder / ".unpacked.json"


def _is_unpacked(archive: Archive, root: Path) -> bool:
    """Tell by the record of an unpacking, which verified the files, whether they are still there in their sizes."""
    try:
        record = json.loads(_record(archive, root).read_text(encoding="utf-8"))
        if record["sha1"] != archive.sha1:
            return False
        files = {root / name: n_bytes for name, n_bytes in record["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    changed = [path for path, n_bytes in files.items() if not path.is_file() or path.stat().st_size != n_bytes]
    if changed:
        console.print(
            f"{archive.folder}: {len(changed)} of {len(files):,} files are gone or changed: unpacking it again."
        )
        return False
    console.print(f"{archive.folder}: verified and unpacked already, {len(files):,} files.")
    return True


def _unpack(archive: Archive, path: Path, root: Path, workers: int | None) -> None:
    # What FMA's metadata lists is not known; of the audio, it is every clip.
    files = unpack(path, root, all_listed=archive.n_tracks > 0, workers=workers)
    if hasattr(os, "sync"):
        os.sync()  # The record, and that the archive can go, must not outlive in a power cut what they speak of.
    with atomic_write(_record(archive, root)) as file:
        file.write(json.dumps({"sha1": archive.sha1, "files": files}, indent=0).encode())


def _decode(data: FMADataModule) -> None:
    before = folder_bytes(data.store_folder)
    data.prepare_data()
    if before and before == folder_bytes(data.store_folder):
        console.print(f"{data.store_folder}: decoded already.")


def _summarise(data: FMADataModule, decoded: bool, seconds: dict[str, float]) -> None:
    lost = data.missing_tracks if decoded else {}
    console.print(_table(data.tracks, lost))
    for track_id, reason in list(lost.items())[:_LISTED]:
        console.print(f"Left out: track {track_id}, {reason}")
    if len(lost) > _LISTED:
        console.print(f"and {len(lost) - _LISTED} more; each with its reason in {data.store_folder / 'index.csv'}")
    if decoded:
        data.report_incomplete()
        counts: Counter[str] = Counter(entry.status for entry in data.open_audio().entries.values())
        statuses = ("complete", "recovered", "truncated", "failed")
        console.print("Decoded: " + ", ".join(f"{counts[status]:,} {status}" for status in statuses))
    folders = [data.root / "fma_metadata", data.root / f"fma_{data.subset}", *([data.store_folder] if decoded else [])]
    for folder in folders:
        console.print(f"{decimal(folder_bytes(folder)):>9}  {folder}")
    if not decoded:
        console.print("The audio was not decoded: the first training will do it, or --decode=true.")
    console.print("Seconds: " + ", ".join(f"{stage} {took:.1f}" for stage, took in seconds.items()))


def _table(tracks: list[Track], lost: dict[int, str]) -> Table:
    genres = sorted({track.genre_top for track in tracks}, key=lambda genre: (not genre, genre))
    table = Table("Tracks", *SPLITS, "left out")
    for column in table.columns[1:]:
        column.justify = "right"
    for genre in (*genres, None):
        of = [track for track in tracks if genre in (None, track.genre_top)]
        kept = Counter(track.split for track in of if track.track_id not in lost)
        counts = [*(kept[split] for split in SPLITS), len(of) - kept.total()]
        name = "all" if genre is None else genre or "several roots"
        table.add_row(one_line(name), *(f"{count:,}" for count in counts), end_section=genre == genres[-1])
    return table
