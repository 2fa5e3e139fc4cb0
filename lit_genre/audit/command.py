"""The command `audit`: what is wrong with a data set, as lists of tracks that `--data.drop` takes."""

from dataclasses import dataclass
from pathlib import Path

from lit_genre.audit.clip_faults import near_silent, short, undecodable
from lit_genre.audit.duplicates import digest_files, duplicates
from lit_genre.audit.findings import Findings, refuse_to_replace, report, write_lists
from lit_genre.audit.label_noise import accuracy, label_noise, read_predictions
from lit_genre.audit.leaks import leaks
from lit_genre.audit.listening import Heard, Listener
from lit_genre.audit.out_of_fold import out_of_fold
from lit_genre.console import console
from lit_genre.data.drop import read_drop_lists
from lit_genre.data.fma import Subset, clip_path, load_tracks
from lit_genre.data.fma_datamodule import FMADataModule
from lit_genre.data.lost import require_data
from lit_genre.data.store import Index, PCMStore, read_index
from lit_genre.data.store_builder import build_store
from lit_genre.data.track import Track
from lit_genre.errors import LitGenreError, check_at_least


@dataclass(frozen=True)
class _Sound:
    index: Index
    heard: dict[int, Heard]


def audit(
    root: Path = Path("data"),
    subset: Subset = "small",
    output: Path = Path("audit"),
    drop: list[Path] | None = None,
    listen: bool = True,
    silent_db: float = -60.0,
    silent_share: float = 0.9,
    short_share: float = 0.9,
    predictions: Path | None = None,
    folds: int = 5,
    seed: int = 0,
    sample_rate: int = 22050,
    store_root: Path | None = None,
) -> None:
    """Look for leaks between splits, duplicates, silence, short clips and doubtful labels.

    Writes a CSV for each, of tracks that a run can leave out by --data.drop. The audio is decoded into the store that
    training uses, unless it is there. Of full, which is too large for that, only a store that is there is listened to.

    Args:
        root: Folder that holds `fma_metadata/` and `fma_small/` or the like.
        subset: "small", "medium", "large" or "full".
        output: Folder for the lists; lists that are there already, and may have been edited, are not replaced.
        drop: Lists of tracks to leave aside: looks at what a run with the same --data.drop would have.
        listen: Decode and hear the tracks; without, only metadata and files are compared.
        silent_db: A track or second is next to silent below this root mean square, dB of full scale.
        silent_share: So is a track of whose seconds this part is, 0 to 1.
        short_share: A clip is short below this part of 30 s, or of the median length where that is less.
        predictions: A run's test.csv or predictions.csv, whose probabilities judge the labels of its tracks instead of
            a simple classifier's. The model must not have been trained on these tracks.
        folds: Parts that the artists are dealt to; each is judged by a classifier that heard the others.
        seed: Fixes which artist is in which part.
        sample_rate: Of the store, Hz.
        store_root: Folder of the store; null for `pcm/` in root.

    Raises:
        LitGenreError: The data is not there, an option is out of range, or a list would be replaced.
    """
    check_at_least(folds=(folds, 2), seed=(seed, 0), sample_rate=(sample_rate, 1))
    check_at_least(silent_share=(silent_share, 0), short_share=(short_share, 0))
    refuse_to_replace(output)
    # Tells where the decoded audio of a run lies.
    data = FMADataModule(root, subset, sample_rate=sample_rate, store_root=store_root, decode_once=True)
    tracks = _tracks(data.root, subset, drop or [])
    output.mkdir(parents=True, exist_ok=True)
    files = {track.track_id: clip_path(data.root, subset, track.track_id) for track in tracks}
    probs = read_predictions(predictions, tracks) if predictions else None
    found: Findings = {"artist_leaks": leaks(tracks, "artist_id"), "album_leaks": leaks(tracks, "album_id")}
    file_digests = digest_files(files)
    sound = _hear(data, files, silent_db) if listen else _Sound({}, {})
    found["duplicates"] = duplicates(tracks, file_digests, {i: one.digest for i, one in sound.heard.items()})
    if sound.heard:
        found["near_silent"] = near_silent(sound.heard, silent_db, silent_share)
    if sound.index:
        found["short"] = short(sound.index, sample_rate, short_share)
        found["undecodable"] = undecodable(sound.index)
    if probs is None:
        probs = out_of_fold(tracks, {i: one.timbre for i, one in sound.heard.items()}, folds, seed)
    if not probs.empty:
        found["label_noise"] = label_noise(tracks, probs)
        console.print(
            f"The classifier that judged {len(probs):,} labels agrees with {accuracy(tracks, probs):.0%} of them."
        )
    report(write_lists(found, tracks, output), len(tracks), output)


def _tracks(root: Path, subset: Subset, drop: list[Path]) -> list[Track]:
    require_data(root, subset)
    dropped = read_drop_lists(drop)
    tracks = load_tracks(root, subset)
    if kept := [track for track in tracks if track.track_id not in dropped]:
        return kept
    raise LitGenreError(f"No track of FMA {subset} in {root} is left: the lists drop all {len(tracks):,}.")


def _hear(data: FMADataModule, files: dict[int, Path], silent_db: float) -> _Sound:
    if data.subset == "full":
        known = read_index(data.store_folder)
        store = PCMStore(data.store_folder / "pcm.int16", {i: known[i] for i in files if i in known})
        if len(store.entries) < len(files):
            console.print(
                f"The decoded audio of {len(store.entries):,} of the {len(files):,} tracks is in {data.store_folder}. "
                "The others are not listened to; only their files and metadata are compared.",
            )
    else:
        store = build_store(data.store_folder, files, data.sample_rate)
    audible = [track_id for track_id, entry in store.entries.items() if not entry.reason]
    return _Sound(store.entries, Listener(store, data.sample_rate, silent_db).hear_all(audible) if audible else {})
