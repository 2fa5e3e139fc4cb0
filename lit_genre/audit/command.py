"""Check a data set for errors, and write lists of tracks for `--data.exclude`."""

import argparse
from collections.abc import Sequence
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
from lit_genre.data.datamodules.base import TrackDataModule
from lit_genre.data.store.pcm import PCMStore, find_damaged
from lit_genre.errors import LitGenreError
from lit_genre.text import one_line

# The options of a run must name a network, which is not built here; any name will do.
_UNUSED_BACKBONE: Final = "CRNN"


def audit(options: argparse.Namespace, data_args: Sequence[str]) -> None:
    """Check a data set, write the lists and print their sizes.

    Args:
        options: Parsed arguments of the command.
        data_args: Options of `fit` that name the data.

    Raises:
        LitGenreError: The data cannot be read, or the lists exist.
    """
    decode = options.decode == "true"
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
