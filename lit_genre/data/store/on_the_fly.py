"""Decode each clip from its compressed file when it is read, for tracks that are too long to keep decoded."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lit_genre.console import quiet_c_stderr
from lit_genre.data.decoding.errors import AudioError
from lit_genre.data.decoding.excerpts import excerpt
from lit_genre.data.store.builder import build_index
from lit_genre.data.store.index import Index, failures
from lit_genre.errors import LitGenreError


@dataclass(frozen=True)
class OnTheFlySource:
    """Decodes clips from the files, with a seek for each clip.

    Attributes:
        files: File of each track, by track id.
        sample_rate: Sample rate of the decoded audio, Hz.
        entries: Index line of each track that was asked for.
    """

    files: dict[int, Path]
    sample_rate: int
    entries: Index

    @property
    def failures(self) -> dict[int, str]:
        """Why a track cannot be used, by track id."""
        return failures(self.entries)

    def read(self, track_id: int, start: int, out: NDArray[np.int16]) -> int:
        """Decode samples of a track into an array.

        If the file is damaged at this position, the beginning of the track is read instead, which `open_on_the_fly`
        has decoded without an error.

        Args:
            track_id: Id of the track.
            start: Position of the first sample to read.
            out: Array to fill, shape (n,), int16 PCM.

        Returns:
            Number of samples read; less than n at the end of the track.

        Raises:
            LitGenreError: The beginning of the track cannot be read either.
        """
        path = self.files[track_id]
        try:
            pcm = self._excerpt(path, start, len(out))
            if not len(pcm):
                pcm = self._excerpt(path, 0, len(out))
            if not len(pcm):
                raise AudioError("no samples")
        except (AudioError, OSError) as error:
            raise LitGenreError(
                f"{path} could be read when this run began, but cannot be read now: {error}. Check whether the disk is "
                "still connected."
            ) from error
        out[: len(pcm)] = pcm
        return len(pcm)

    def _excerpt(self, path: Path, start: int, n_samples: int) -> NDArray[np.int16]:
        try:
            # libmpg123 prints a line for each damaged frame.
            with quiet_c_stderr():
                return excerpt(path, self.sample_rate, start, n_samples)
        except AudioError:
            # A file that is damaged in the middle may still be readable at the beginning.
            if start == 0:
                raise
            return np.empty(0, dtype=np.int16)


def open_on_the_fly(
    folder: Path, files: dict[int, Path], sample_rate: int, workers: int | None = None
) -> OnTheFlySource:
    """Measure the lengths of the tracks if that is not done yet, and open the tracks.

    Args:
        folder: Folder of the index.
        files: File of each track, by track id.
        sample_rate: Sample rate of the decoded audio, Hz.
        workers: Number of threads that measure; None for one per core.

    Returns:
        The tracks, which are decoded when they are read.

    Raises:
        LitGenreError: The index cannot be written, or is damaged.
    """
    return OnTheFlySource(files, sample_rate, build_index(folder, files, sample_rate, workers, keep_samples=False))
