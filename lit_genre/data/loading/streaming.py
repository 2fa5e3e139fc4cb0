"""Decode songs of any length and format in threads, and yield batches of clips that cover each song."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import IterableDataset

from lit_genre.batch import Batch
from lit_genre.data.decoding.errors import AudioError
from lit_genre.data.decoding.status import TrackStatus
from lit_genre.data.decoding.track_audio import TrackAudio, decode_track
from lit_genre.data.loading.samplers import window_starts


@dataclass
class SongClips(IterableDataset[Batch]):
    """Yields batches of evenly spaced clips that cover each song, like those of a test, in the order of the songs.

    The next songs are decoded in threads while a batch is processed. The `track_id` of a clip is the position of the
    song in `files`, and its label is -1. A song that cannot be read is left out.

    Attributes:
        files: The songs.
        sample_rate: Sample rate of the decoded audio, Hz.
        clip_samples: Length of a clip, samples.
        batch_size: Number of clips in a batch; they may come from several songs.
        workers: Number of threads that decode.
        positions: Positions in `files` of the songs to read, None for all.
        max_seconds: Longest song that is read, s.
        failures: Why songs could not be read, by position in `files`; filled during the iteration.
        seconds: Lengths of the songs, s, by position; filled during the iteration.
        statuses: How much of each song was decoded, by position; filled during the iteration.
    """

    files: Sequence[Path]
    sample_rate: int
    clip_samples: int
    batch_size: int
    workers: int
    positions: Sequence[int] | None = None
    max_seconds: float = float("inf")
    failures: dict[int, str] = field(default_factory=dict)
    seconds: dict[int, float] = field(default_factory=dict)
    statuses: dict[int, TrackStatus] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Batch]:
        pending: list[tuple[int, int, NDArray[np.int16]]] = []
        for position, song in self._decoded():
            with song:
                self.seconds[position] = song.n_samples / self.sample_rate
                self.statuses[position] = song.status
                for start in window_starts(song.n_samples, self.clip_samples).tolist():
                    row = np.empty(self.clip_samples, dtype=np.int16)
                    song.read_clip(start, row)
                    pending.append((position, start, row))
                    if len(pending) == self.batch_size:
                        yield build_batch(pending)
                        pending.clear()
        if pending:
            yield build_batch(pending)

    def _decoded(self) -> Iterator[tuple[int, TrackAudio]]:
        positions = iter(range(len(self.files)) if self.positions is None else self.positions)
        ahead: deque[tuple[int, Future[TrackAudio]]] = deque()
        with ThreadPoolExecutor(self.workers) as pool:
            try:
                while True:
                    # One song more than there are threads: a thread that finishes finds the next song at once.
                    while len(ahead) <= self.workers and (position := next(positions, None)) is not None:
                        arguments = (self.files[position], self.sample_rate, self.max_seconds)
                        ahead.append((position, pool.submit(decode_track, *arguments)))
                    if not ahead:
                        return
                    position, decoded = ahead.popleft()
                    try:
                        yield position, decoded.result()
                    except AudioError as error:
                        self.failures[position] = str(error)
                    except OSError as error:
                        # The text of an OSError repeats the path, which the report gives anyway.
                        self.failures[position] = error.strerror or str(error)
            finally:
                # If the caller stops early, songs that nobody reads are not decoded.
                for _, decoded in ahead:
                    decoded.cancel()


def build_batch(clips: Sequence[tuple[int, int, NDArray[np.int16]]]) -> Batch:
    """Build a batch from clips of unknown label.

    Args:
        clips: For each clip the position of its song, its first sample in the song, and its samples, int16, shape (n,).

    Returns:
        The batch, with `track_id` for the positions and the label -1.
    """
    positions, starts, rows = zip(*clips, strict=True)
    # The labels of a user's files are unknown.
    columns: list[Any] = [np.stack(rows), np.full(len(rows), -1), np.array(positions), np.array(starts)]
    return Batch(*map(torch.from_numpy, columns))
