"""Writes a small synthetic data set in FMA's own on-disk format, so that a model can train without a download."""

import csv
import io
import json
import os
from dataclasses import dataclass
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from lit_genre.console import progress
from lit_genre.data.metadata.fma import clip_path
from lit_genre.demo.instruments import SAMPLE_RATE
from lit_genre.demo.synth import GENRES, synthesise
from lit_genre.errors import LitGenreError, check_at_least

VERSION = 1  # of the sound; raise it when a change makes the same arguments sound different
# The encoder takes most of the time: this is a quarter faster than its default, and loses what is above 9 kHz.
ENCODER = {"compression_level": 0.88, "bitrate_mode": "VARIABLE"}
GENRE_IDS = {
    "International": 2,
    "Pop": 10,
    "Rock": 12,
    "Electronic": 15,
    "Folk": 17,
    "Hip-Hop": 21,
    "Experimental": 38,
    "Instrumental": 1235,
}
COLUMNS = {
    "album": "comments date_created date_released engineer favorites id information listens producer tags title tracks "
    "type",
    "artist": "active_year_begin active_year_end associated_labels bio comments date_created favorites id latitude "
    "location longitude members name related_projects tags website wikipedia_page",
    "set": "split subset",
    "track": "bit_rate comments composer date_created date_recorded duration favorites genre_top genres genres_all "
    "information interest language_code license listens lyricist number publisher tags title",
}
README = """Synthetic music in the format of the Free Music Archive data set (fma_small), made by `lit-genre demo`.

No human played it and nothing here comes from FMA: eight programs caricature eight genres so that a model has
something to learn in a minute. It shows that the software works. No figure measured on it says anything about FMA,
about music, or about how good a model is.

Audio and metadata are dedicated to the public domain (CC0 1.0). demo.json holds the arguments they were made with.
"""


@dataclass(frozen=True)
class _Track:
    track_id: int
    genre: str
    artist: int  # number within the genre, from 1
    artist_id: int
    number: int  # on the artist's album, from 1
    split: str

    def path(self, root: Path) -> Path:
        return clip_path(root, "small", self.track_id)


def write_demo(
    root: Path = Path("data/demo"),
    artists: int = 12,
    tracks_per_artist: int = 5,
    seconds: float = 10.0,
    seed: int = 0,
    workers: int | None = None,
) -> None:
    """Write a small synthetic data set in the format of FMA, to try the software without a download.

    Eight genres that differ in rhythm, harmony and texture, with artists that appear in one split only, as in FMA. An
    interrupted call goes on where it stopped; a finished one returns at once. No figure measured on this music says
    anything about FMA.

    Args:
        root: Folder that receives `fma_metadata` and `fma_small`.
        artists: Artists per genre, at least 3. One in six, at least one, is for validation, as many for test.
        tracks_per_artist: Tracks by each artist, at least 1.
        seconds: Length of each track, at least 1. FMA's clips have 30.
        seed: What the music and the order of the tracks derive from, at least 0; the same seed gives the same files.
        workers: Threads that synthesise and encode, at least 1. By default, one for each CPU.

    Raises:
        LitGenreError: If an argument is out of range, or `root` holds other data or a demo made with other
            arguments. Choose another `root`, or delete that folder.
    """
    check_at_least(
        artists=(artists, 3),
        tracks_per_artist=(tracks_per_artist, 1),
        seconds=(seconds, 1),
        seed=(seed, 0),
        workers=(1 if workers is None else workers, 1),
    )
    arguments = {
        "version": VERSION,
        "artists": artists,
        "tracks_per_artist": tracks_per_artist,
        "seconds": float(seconds),
        "seed": seed,
    }
    root = Path(root).expanduser()
    _claim(root, arguments)
    tracks = _catalogue(artists, tracks_per_artist, seed)
    if (root / "fma_metadata" / "tracks.csv").exists():
        return
    _write_audio(root, [track for track in tracks if not track.path(root).exists()], seconds, seed, workers)
    _write_metadata(root / "fma_metadata", tracks, seconds)


def _claim(root: Path, arguments: dict[str, Any]) -> None:
    """Leave the arguments in a new folder, or make sure that an old one was made with the same."""
    record = root / "fma_metadata" / "demo.json"
    if not record.exists():
        for folder in (root / "fma_metadata", root / "fma_small"):
            if folder.exists() and any(folder.iterdir()):
                raise LitGenreError(
                    f"{folder} exists and was not written by `lit-genre demo`, which therefore leaves it alone. "
                    "Choose another folder by --root."
                )
        _replace(record, json.dumps(arguments, indent=2) + "\n")
    try:
        before = json.loads(record.read_text(encoding="utf-8"))
        differences = [f"{k} is {v}, was {before.get(k)}" for k, v in arguments.items() if before.get(k) != v]
    except (ValueError, AttributeError) as error:
        raise LitGenreError(f"{record} is not readable ({error}). Delete {root} and call again.") from error
    if differences:
        raise LitGenreError(
            f"{root} holds a demo made with other arguments: {'; '.join(differences)}. "
            "Delete that folder, or choose another by --root."
        )


def _catalogue(artists: int, tracks_per_artist: int, seed: int) -> list[_Track]:
    n_eval = max(1, artists // 6)
    splits = ["training"] * (artists - 2 * n_eval) + ["validation"] * n_eval + ["test"] * n_eval
    track_ids = 1 + np.random.default_rng([seed, 0]).permutation(len(GENRES) * artists * tracks_per_artist)
    tracks = [
        _Track(
            int(track_ids[(g * artists + a) * tracks_per_artist + n]), genre, a + 1, g * artists + a + 1, n + 1, split
        )
        for g, genre in enumerate(GENRES)
        for a, split in enumerate(splits)
        for n in range(tracks_per_artist)
    ]
    return sorted(tracks, key=lambda track: track.track_id)


def _write_audio(root: Path, tracks: list[_Track], seconds: float, seed: int, workers: int | None) -> None:
    def write(track: _Track) -> None:
        waveform = synthesise(track.genre, track.artist_id, track.track_id, seconds, seed)
        path = track.path(root)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        soundfile.write(temporary, waveform, SAMPLE_RATE, format="MP3", subtype="MPEG_LAYER_III", **ENCODER)
        temporary.replace(path)

    # Threads suffice: NumPy's transforms and the encoder release the GIL.
    with progress("Synthesising", len(tracks), "tracks") as advance, ThreadPool(workers) as pool:
        for _ in pool.imap_unordered(write, tracks):
            advance()


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8", newline="\n")
    temporary.replace(path)


def _write_metadata(folder: Path, tracks: list[_Track], seconds: float) -> None:
    """Write tracks.csv last: that it is there says that all else is."""
    _replace(folder / "README.txt", README)
    count = len(tracks) // len(GENRE_IDS)
    genres = [(genre_id, count, 0, title, genre_id) for title, genre_id in GENRE_IDS.items()]
    _write_csv(folder / "genres.csv", [("genre_id", "#tracks", "parent", "title", "top_level"), *genres])
    columns = [(group, field) for group, names in COLUMNS.items() for field in names.split()]
    header = [("", *(column[level] for column in columns)) for level in (0, 1)]
    rows = [_row(track, folder.parent, seconds) for track in tracks]
    body = [(row["track", "id"], *(row.get(column, "") for column in columns)) for row in rows]
    _write_csv(folder / "tracks.csv", [*header, ("track_id", *[""] * len(columns)), *body])


def _row(track: _Track, root: Path, seconds: float) -> dict[tuple[str, str], object]:
    genre_ids = f"[{GENRE_IDS[track.genre]}]"
    return {
        ("track", "id"): track.track_id,
        ("album", "id"): track.artist_id,
        ("album", "title"): f"Synthetic {track.genre} {track.artist}",
        ("artist", "id"): track.artist_id,
        ("artist", "name"): f"Synthetic {track.genre} Artist {track.artist}",
        ("set", "split"): track.split,
        ("set", "subset"): "small",
        ("track", "bit_rate"): round(8 * track.path(root).stat().st_size / seconds),
        ("track", "duration"): round(seconds),
        ("track", "genre_top"): track.genre,
        ("track", "genres"): genre_ids,
        ("track", "genres_all"): genre_ids,
        ("track", "license"): "CC0 1.0; synthesised by lit-genre",
        ("track", "number"): track.number,
        ("track", "title"): f"{track.genre} No. {track.number}",
    }


def _write_csv(path: Path, rows: list[tuple[object, ...]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    _replace(path, text.getvalue())
