"""The command `audit`: check a data set for errors, and write lists of tracks for `--data.exclude`."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pandas as pd
from lightning.pytorch import LightningDataModule
from lightning.pytorch.cli import instantiate_module

from lit_genre.audit.clip_faults import damaged_samples, incomplete, near_silent, short, undecodable
from lit_genre.audit.duplicates import digest_files, duplicates
from lit_genre.audit.findings import Findings, refuse_to_replace, report, write_lists
from lit_genre.audit.label_noise import accuracy, label_noise, read_predictions
from lit_genre.audit.leaks import leaks
from lit_genre.audit.out_of_fold import out_of_fold
from lit_genre.audit.track_statistics import TrackAnalyzer, TrackStatistics
from lit_genre.cli.run_spec import read_run_spec
from lit_genre.console import console

# Imported so that --data accepts their names without the module path.
from lit_genre.data.datamodules import fma, folder, gtzan  # noqa: F401
from lit_genre.data.datamodules.base import TrackDataModule
from lit_genre.data.store.pcm import PCMStore, find_damaged
from lit_genre.errors import LitGenreError, check_at_least
from lit_genre.text import one_line

# The options of a run must name a network, which is not built here; any name will do.
_UNUSED_BACKBONE: Final = "CRNN"


def run(args: Sequence[str]) -> None:
    """Run the command.

    Args:
        args: The options of the command line, without the name of the command.

    Raises:
        LitGenreError: The data cannot be read, or an option is invalid.
    """
    options, data_args = _parser().parse_known_args(args)
    check_at_least(folds=(options.folds, 2), seed=(options.seed, 0))
    check_at_least(silent_share=(options.silent_share, 0), short_share=(options.short_share, 0))
    decode = options.decode == "true"
    if options.verify and not decode:
        raise LitGenreError("--verify reads the decoded audio. Leave out --decode=false.")
    # Before the work, which may take an hour.
    refuse_to_replace(options.output)
    data = _data(data_args)
    if options.verify and not data.decode_once:
        raise LitGenreError("--verify needs decoded audio that is kept. Set --data.decode_once=true.")
    tracks = data.tracks
    for message in data.messages:
        console.print(one_line(message))
    predicted = read_predictions(options.predictions, tracks) if options.predictions else None
    options.output.mkdir(parents=True, exist_ok=True)
    findings: Findings = {"artist_leaks": leaks(tracks, "artist_id"), "album_leaks": leaks(tracks, "album_id")}
    file_digests = digest_files({track.track_id: data.audio_path(track) for track in tracks})
    statistics: dict[int, TrackStatistics] = {}
    if decode:
        if options.verify:
            findings["damaged_samples"] = _verify(data)
        index, missing = data.open_audio().entries, data.missing_tracks
        findings["short"] = short(index, data.sample_rate, options.short_share)
        findings["incomplete"] = incomplete(index, data.sample_rate)
        findings["undecodable"] = undecodable(missing)
        statistics = _analyze(data, options.silent_db)
        if statistics:
            findings["near_silent"] = near_silent(statistics, options.silent_db, options.silent_share)
    audio_digests = {track_id: track.digest for track_id, track in statistics.items()}
    findings["duplicates"] = duplicates(tracks, file_digests, audio_digests)
    timbre = {track_id: track.timbre for track_id, track in statistics.items()}
    # Without predictions, a classifier on MFCC statistics checks the labels; it takes seconds.
    probs = out_of_fold(tracks, timbre, options.folds, options.seed) if predicted is None else predicted
    if not probs.empty:
        findings["label_noise"] = label_noise(tracks, probs)
        console.print(
            f"The classifier that checked {len(probs):,} labels agrees with {accuracy(tracks, probs):.0%} of them."
        )
    report(write_lists(findings, tracks, options.output, data.track_name), len(tracks), options.output)


def _data(args: Sequence[str]) -> TrackDataModule:
    """Build the data module that the options of a run describe."""
    config = read_run_spec(args, _UNUSED_BACKBONE).plain()["data"]
    arguments = {**config["init_args"], **config.get("dict_kwargs", {})}
    data = instantiate_module(LightningDataModule, {"_class_path": config["class_path"], **arguments})
    if not isinstance(data, TrackDataModule):
        raise LitGenreError(
            f"{type(data).__name__} has no tracks with genres and splits. Choose a data set that has them."
        )
    return data


def _verify(data: TrackDataModule) -> pd.DataFrame:
    """Compare the samples of all tracks with their checksums, and decode tracks that differ again."""
    store = data.open_audio()
    assert isinstance(store, PCMStore)
    damaged = find_damaged(store, store.entries, "Verifying the decoded audio")
    if damaged:
        # While the store is open, its file of samples cannot be replaced.
        del store
        data.open_audio(redecode=damaged)
    return damaged_samples(damaged, data.open_audio().entries, data.sample_rate)


def _analyze(data: TrackDataModule, silent_db: float) -> dict[int, TrackStatistics]:
    source = data.open_audio()
    # Reading all tracks would decode all of them, and again in each audit.
    if not data.decode_once:
        console.print(
            "Without decoded audio that is kept, tracks are not checked for silence, equal audio and doubtful labels. "
            "If the disk has room for it, add --data.decode_once=true."
        )
        return {}
    usable = [track_id for track_id, entry in source.entries.items() if not entry.reason]
    return TrackAnalyzer(source, data.sample_rate, silent_db).analyze_all(usable) if usable else {}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lit-genre audit",
        usage="%(prog)s [OPTIONS] [OPTIONS OF lit-genre fit FOR THE DATA ...]",
        description="Check the data of a network for leaks between splits, duplicates, silence, short, incomplete and "
        "undecodable tracks, and doubtful labels. Writes a CSV for each, of tracks that a run can leave out by "
        "--data.exclude. The audio is decoded into the store that training uses, unless it is there. The data is named "
        "as for lit-genre fit: --data.root=data --data.subset=small, --data=FolderDataModule --data.path=Music, "
        "--config configs/data/gtzan.yaml and so on; the default is FMA small in data. Options of the model and the "
        "trainer are ignored.",
        # argparse must not take options of the data for abbreviations of its own.
        allow_abbrev=False,
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("audit"),
        help="folder for the lists; existing lists, which may be edited, are not replaced (default: %(default)s)",
    )
    parser.add_argument(
        "--decode",
        choices=("true", "false"),
        default="true",
        help="decode the audio; if false, only metadata and file hashes are checked (default: %(default)s)",
    )
    parser.add_argument(
        "--verify",
        action="store_true",
        help="compare the decoded audio in the store with its checksums; tracks that differ are decoded again",
    )
    parser.add_argument(
        "--silent_db",
        type=float,
        default=-60.0,
        help="a track or second counts as silent below this root mean square, dB of full scale (default: %(default)s)",
    )
    parser.add_argument(
        "--silent_share",
        type=float,
        default=0.9,
        help="a track is listed if this part of its seconds is silent, 0 to 1 (default: %(default)s)",
    )
    parser.add_argument(
        "--short_share",
        type=float,
        default=0.9,
        help="a track is short below this part of 30 s, or of the median length if that is less (default: %(default)s)",
    )
    parser.add_argument(
        "--predictions",
        type=Path,
        help="test.csv or predictions.csv of a run, whose probabilities are used to check the labels of its tracks "
        "instead of those of a simple classifier; the model must not have been trained on these tracks",
    )
    parser.add_argument(
        "--folds",
        type=int,
        default=5,
        help="number of folds of artists; the labels of each fold are checked by a classifier trained on the others "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the assignment of artists to folds (default: %(default)s)"
    )
    return parser
