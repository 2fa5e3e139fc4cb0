"""Write audio and metadata of a synthetic data set in FMA's format."""

import csv
import io
import json
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
from lit_genre.errors import LitGenreError
from lit_genre.files import atomic_write

VERSION = 2
"""Version of the synthesis. Increase it when a change gives other samples for the same arguments."""

ENCODER = {"compression_level": 0.5, "bitrate_mode": "VARIABLE"}
"""Options of the MP3 encoder. With a higher level, Chromium cannot seek in some of the files, which the page of
`lit-genre serve` plays. With a constant bit rate, the file does not contain the exact length."""

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
"""Ids of the genres in FMA."""

COLUMNS = {
    "album": "comments date_created date_released engineer favorites id information listens producer tags title tracks "
    "type",
    "artist": "active_year_begin active_year_end associated_labels bio comments date_created favorites id latitude "
    "location longitude members name related_projects tags website wikipedia_page",
    "set": "split subset",
    "track": "bit_rate comments composer date_created date_recorded duration favorites genre_top genres genres_all "
    "information interest language_code license listens lyricist number publisher tags title",
}
"""Columns of FMA's tracks.csv, by the first line of its header."""

README = """Synthetic music in the format of the Free Music Archive data set (fma_small), made by `lit-genre demo`.

The music is computed, and nothing here comes from FMA. Eight programs imitate eight genres in a simple way, so that a
model can learn them in a minute. The data set shows that the software works. Results on it do not apply to FMA or to
real music, and do not show how good a model is.

Audio and metadata are dedicated to the public domain (CC0 1.0). demo.json has the arguments of the command.
"""


@dataclass(frozen=True)
class _Track:
    track_id: int
    genre: str
    artist: int  # Number of the artist within the genre, from 1 on.
    artist_id: int
    number: int  # Number of the track on the artist's album, from 1 on.
    split: str

    def path(self, root: Path) -> Path:
        return clip_path(root, "small", self.track_id)


def write_dataset(
    root: Path, artists: int, tracks_per_artist: int, seconds: float, seed: int, workers: int | None
) -> None:
    """Write the data set; the arguments are those of `write_demo`.

    Raises:
        LitGenreError: `root` has other data or a demo with other arguments.
    """
    arguments = {
        "version": VERSION,
        "artists": artists,
        "tracks_per_artist": tracks_per_artist,
        "seconds": float(seconds),
        "seed": seed,
    }
    root = Path(root).expanduser()
    # Before any other file, so that an interrupted call with other arguments is noticed.
    _record_arguments(root, arguments)
    tracks = _catalogue(artists, tracks_per_artist, seed)
    # tracks.csv is written last, so the data set is complete if it exists.
    if (root / "fma_metadata" / "tracks.csv").exists():
        return
    _write_audio(root, [track for track in tracks if not track.path(root).exists()], seconds, seed, workers)
    _write_metadata(root / "fma_metadata", tracks, seconds)


def _record_arguments(root: Path, arguments: dict[str, Any]) -> None:
    """Write the arguments to a new folder, or check that an existing demo was written with the same arguments."""
    record = root / "fma_metadata" / "demo.json"
    if not record.exists():
        for folder in (root / "fma_metadata", root / "fma_small"):
            if folder.exists() and any(folder.iterdir()):
                raise LitGenreError(
                    f"{folder} exists and was not written by `lit-genre demo`, so it is not changed. "
                    "Choose another folder with --root."
                )
        _write_text(record, json.dumps(arguments, indent=2) + "\n")
    try:
        recorded = json.loads(record.read_text(encoding="utf-8"))
        differences = [
            f"{name} is {value}, was {recorded.get(name)}"
            for name, value in arguments.items()
            if recorded.get(name) != value
        ]
    except (ValueError, AttributeError) as error:
        raise LitGenreError(f"{record} cannot be read ({error}). Delete {root} and run the command again.") from error
    if differences:
        raise LitGenreError(
            f"{root} has a demo with other arguments: {'; '.join(differences)}. "
            "Delete that folder, or choose another with --root."
        )


def _catalogue(artists: int, tracks_per_artist: int, seed: int) -> list[_Track]:
    # As in FMA, each artist is in one split only. Otherwise a network could recognise artists (Flexer, 2007).
    n_eval = max(1, artists // 6)
    splits = ["training"] * (artists - 2 * n_eval) + ["validation"] * n_eval + ["test"] * n_eval
    # Shuffled, so that an id shows neither genre nor artist.
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
        with atomic_write(path, durable=False) as file:
            soundfile.write(file, waveform, SAMPLE_RATE, format="MP3", subtype="MPEG_LAYER_III", **ENCODER)

    # Threads instead of processes: NumPy's transforms and the encoder release the GIL.
    with progress("Synthesising", len(tracks), "tracks") as advance, ThreadPool(workers) as pool:
        for _ in pool.imap_unordered(write, tracks):
            advance()


def _write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path, durable=False) as file:
        file.write(text.encode())


def _write_metadata(folder: Path, tracks: list[_Track], seconds: float) -> None:
    """Write the metadata, tracks.csv last: if it exists, the data set is complete."""
    _write_text(folder / "README.txt", README)
    count = len(tracks) // len(GENRE_IDS)
    genres = [(genre_id, count, 0, title, genre_id) for title, genre_id in GENRE_IDS.items()]
    _write_csv(folder / "genres.csv", [("genre_id", "#tracks", "parent", "title", "top_level"), *genres])
    columns = [(group, field) for group, names in COLUMNS.items() for field in names.split()]
    header = [("", *(column[level] for column in columns)) for level in (0, 1)]
    rows = [_row(track, folder.parent, seconds) for track in tracks]
    body = [(row["track", "id"], *(row.get(column, "") for column in columns)) for row in rows]
    # As pandas writes it: two lines for the two levels of columns, then a line with the name of the index.
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
        # The mean, since the encoder varies the bit rate.
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
    _write_text(path, text.getvalue())
