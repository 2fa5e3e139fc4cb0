"""What may come of a damaged file of each kind: a refusal that names it, or a result that can be right."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from lit_genre.data.decoding.errors import AudioError
from lit_genre.data.decoding.excerpts import excerpt, measure_track
from lit_genre.data.decoding.track_audio import decode, decode_track
from lit_genre.data.metadata.fma import load_tracks
from lit_genre.data.metadata.fma_genres import load_genres
from lit_genre.data.metadata.track import SPLITS
from lit_genre.data.store.builder import build_store
from lit_genre.data.store.pcm import PCMStore
from lit_genre.errors import LitGenreError
from lit_genre.prepare.unpack import unpack
from tests.helpers.damage.mutations import FORMATS, RATE, clips_of

LONGEST: Final = 120
"""Seconds of sound that a damaged file of at most 2.5 s may claim: a header may say a low sample rate."""


class Case(NamedTuple):
    """A damaged file in a folder of its own.

    Attributes:
        kind: Kind of file, a key of `MUTATIONS`.
        mutation: What was done to it.
        path: The file.
        whole: What it was.
        fma: The data set that tables, zips and stores are of.
    """

    kind: str
    mutation: str
    path: Path
    whole: Path
    fma: Path


def check_audio(case: Case) -> str:
    """Decode: the reason is given, or sound of a plausible length; and a store contains the same."""
    pcm, status, reason = None, "failed", ""
    try:
        with decode_track(case.path, RATE) as audio:
            pcm, status = np.empty(audio.n_samples, dtype=np.int16), audio.status.kind
            assert audio.read(0, pcm) == len(pcm)
            assert (audio.status.seconds_lost > 0) <= (status != "complete"), audio.status
        assert pcm.any(), "silent zeros"
        assert 0 < len(pcm) <= LONGEST * RATE, f"{len(pcm) / RATE:.1f} s"
    except AudioError as error:
        reason = str(error)
    assert reason or pcm is not None
    if case.mutation == "renamed":
        assert pcm is not None
        assert (pcm == decode(case.whole, RATE)).all()
        assert status == "complete"
    store = build_store(case.path.parent / "store", {7: case.path}, RATE, workers=1)
    assert store.failures == ({7: reason} if pcm is None else {})
    assert store.entries[7].status == status
    if pcm is not None:
        assert _samples(store, 7) == pcm.tobytes()
    _try_excerpts(case.path)
    return status if pcm is not None else reason.partition(" (")[0]


def _try_excerpts(path: Path) -> None:
    try:
        claimed, _ = measure_track(path, RATE)
        assert claimed >= 0
        for start in (0, claimed // 2, max(0, claimed - 100)):
            assert len(excerpt(path, RATE, start, 1000)) <= 1000
    except AudioError:
        pass


def _refused(error: LitGenreError, path: Path) -> str:
    assert str(path) in str(error), f"which file? {error}"
    return "refused"


def _samples(store: PCMStore, track_id: int) -> bytes:
    out = np.empty(store.entries[track_id].n_samples, dtype=np.int16)
    assert store.read(track_id, 0, out) == len(out)
    return out.tobytes()


def check_store(case: Case) -> str:
    """Go on with a damaged store: refused by its name, or in the end as good as new."""
    files, folder = clips_of(case.fma), case.path.parent
    try:
        store = build_store(folder, files, RATE, workers=1)
    except LitGenreError as error:
        return _refused(error, folder)
    whole = build_store(case.whole.parent, files, RATE)
    assert not store.failures, store.failures
    assert [entry.n_samples for entry in store.entries.values()] == [e.n_samples for e in whole.entries.values()]
    changed = {track_id for track_id in files if _samples(store, track_id) != _samples(whole, track_id)}
    assert changed == {track_id for track_id in files if not store.is_intact(track_id)}, "checksums that do not match"
    assert not changed or case.kind == "pcm-1.int16", "other samples than the file's"
    return "other samples, by their checksums" if changed else "as good as new"


def check_tracks(case: Case) -> str:
    """Read the tracks: refused by the table's name, or each of them in order."""
    try:
        tracks = load_tracks(case.path.parents[1], "full")
    except LitGenreError as error:
        return _refused(error, case.path)
    ids = [track.track_id for track in tracks]
    assert ids
    assert ids == sorted(set(ids))
    assert all(track.split in SPLITS and track.track_id >= 0 for track in tracks)
    return "read"


def check_genres(case: Case) -> str:
    """Read the genres: refused by the table's name, or a forest."""
    try:
        genres = load_genres(case.path.parents[1])
    except LitGenreError as error:
        return _refused(error, case.path)
    assert genres.roots
    assert all(genres.titles[genre_id] in genres.with_ancestors([genre_id]) for genre_id in genres.titles)
    return "read"


def check_archive(case: Case) -> str:
    """Unpack: refused by the archive's name, or whole; and no file that is not as it was packed."""
    root = case.path.parent / "out"
    originals = {path.relative_to(case.fma): path.read_bytes() for path in clips_of(case.fma).values()}
    try:
        sizes = unpack(case.path, root, all_listed=True, workers=1)
        result = "unpacked"
        assert {path for path in originals if str(path) in sizes} == set(originals)
    except LitGenreError as error:
        result = _refused(error, case.path)
    for path in root.rglob("*.mp3"):
        assert path.read_bytes() == originals[path.relative_to(root)], f"{path} is not as it was packed"
    assert {path.name for path in root.glob("*")} <= {"fma_small"}
    return result


CHECKS: Final[dict[str, Callable[[Case], str]]] = {
    **dict.fromkeys(FORMATS, check_audio),
    "ZIP": check_archive,
    "index.csv": check_store,
    "pcm-1.int16": check_store,
    "tracks.csv": check_tracks,
    "genres.csv": check_genres,
}
