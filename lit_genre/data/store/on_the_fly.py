"""Decode each clip from its compressed file when it is read, for tracks that are too long to store decoded."""

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
        entries: Index line of each track, by track id.
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

        If the file is damaged at this position, the beginning of the track is read instead, because `open_on_the_fly`
        has decoded it without an error.

        Args:
            track_id: Id of the track.
            start: Position of the first sample to read, at `sample_rate`.
            out: Array to fill, shape (n,), int16, full scale 32768.

        Returns:
            Number of samples read; less than n at the end of the track.

        Raises:
            LitGenreError: The beginning of the track cannot be read either.
        """
        path = self.files[track_id]
        # One damaged position must not end a training of hours, so audio of the same track replaces it.
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
            # libmpg123, which libsndfile uses for MP3, prints a line to stderr for each damaged frame.
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
    """Measure the lengths of tracks that the index lacks, and open the tracks.

    Args:
        folder: Folder of the index, from `store_folder`.
        files: File of each track, by track id.
        sample_rate: Sample rate of the decoded audio, Hz.
        workers: Number of threads that measure; None for one per core.

    Returns:
        A source that decodes each clip when it is read.

    Raises:
        LitGenreError: The index cannot be written, or is damaged.
    """
    return OnTheFlySource(files, sample_rate, build_index(folder, files, sample_rate, workers, keep_samples=False))
