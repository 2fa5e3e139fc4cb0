"""Songs of any length and format, decoded ahead, and read in clips that cover each of them."""

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
from lit_genre.data.decoding.track_audio import TrackAudio, TrackStatus, decode_track
from lit_genre.data.loading.samplers import even_starts


@dataclass
class SongClips(IterableDataset[Batch]):
    """Batches of clips that cover each song evenly, as those of a test do, in the order of the songs.

    Songs ahead are decoded in threads while a batch is being used. A clip's `track_id` is the song's position in
    `files`, its label is -1. A song that cannot be read is left out.

    Attributes:
        files: The songs.
        sample_rate: Hz.
        clip_samples: Length of a clip.
        batch_size: Clips in a batch, which may be of several songs.
        workers: Threads that decode.
        positions: Those of the songs to read, None for all.
        max_seconds: Longer songs are not read.
        failures: Why songs could not be read, by position in `files`; filled on the way.
        seconds: How long the songs are, by position; filled on the way.
        statuses: How much of each song was decoded, by position; filled on the way.
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
        waiting: list[tuple[int, int, NDArray[np.int16]]] = []
        for position, song in self._decoded():
            with song:
                self.seconds[position] = song.n_samples / self.sample_rate
                self.statuses[position] = song.status
                for start in even_starts(song.n_samples, self.clip_samples).tolist():
                    row = np.empty(self.clip_samples, dtype=np.int16)
                    song.read_clip(start, row)
                    waiting.append((position, start, row))
                    if len(waiting) == self.batch_size:
                        yield _batch(waiting)
                        waiting.clear()
        if waiting:
            yield _batch(waiting)

    def _decoded(self) -> Iterator[tuple[int, TrackAudio]]:
        positions = iter(range(len(self.files)) if self.positions is None else self.positions)
        ahead: deque[tuple[int, Future[TrackAudio]]] = deque()
        with ThreadPoolExecutor(self.workers) as pool:
            try:
                while True:
                    while len(ahead) <= self.workers and (position := next(positions, None)) is not None:
                        wanted = (self.files[position], self.sample_rate, self.max_seconds)
                        ahead.append((position, pool.submit(decode_track, *wanted)))
                    if not ahead:
                        return
                    position, decoded = ahead.popleft()
                    try:
                        yield position, decoded.result()
                    except AudioError as error:
                        self.failures[position] = str(error)
                    except OSError as error:
                        self.failures[position] = error.strerror or str(error)
            finally:
                for _, decoded in ahead:
                    decoded.cancel()


def _batch(clips: list[tuple[int, int, NDArray[np.int16]]]) -> Batch:
    positions, starts, rows = zip(*clips, strict=True)
    columns: list[Any] = [np.stack(rows), np.full(len(rows), -1), np.array(positions), np.array(starts)]
    return Batch(*map(torch.from_numpy, columns))
