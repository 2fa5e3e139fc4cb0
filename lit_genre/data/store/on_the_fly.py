"""Clips straight from the compressed files, by a seek for each: for tracks that are too long to keep decoded."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lit_genre.console import quiet_c_stderr
from lit_genre.data.decoding.errors import AudioError
from lit_genre.data.decoding.track_audio import excerpt
from lit_genre.data.store.builder import build_index
from lit_genre.data.store.pcm import Index, failures
from lit_genre.errors import LitGenreError


@dataclass(frozen=True)
class CompressedTracks:
    """Reads clips from the files as they are.

    Attributes:
        files: File of each track.
        sample_rate: Hz.
        entries: Index line of each track that was asked for.
    """

    files: dict[int, Path]
    sample_rate: int
    entries: Index

    @property
    def failures(self) -> dict[int, str]:
        """Why a track is missing, by track id."""
        return failures(self.entries)

    def read(self, track_id: int, start: int, out: NDArray[np.int16]) -> int:
        """Read samples of a track from `start` on into `out`, shape (n,), as many as there are; say how many.

        Where a file is damaged, its beginning is read instead, which `open_compressed` found to be sound.

        Raises:
            LitGenreError: That cannot be read either.
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
                f"{path} could be read when this run began, and cannot any more: {error}. Is the disk still there?"
            ) from error
        out[: len(pcm)] = pcm
        return len(pcm)

    def _excerpt(self, path: Path, start: int, n_samples: int) -> NDArray[np.int16]:
        try:
            with quiet_c_stderr():
                return excerpt(path, self.sample_rate, start, n_samples)
        except AudioError:
            if start == 0:
                raise
            return np.empty(0, dtype=np.int16)


def open_compressed(
    folder: Path, files: dict[int, Path], sample_rate: int, workers: int | None = None
) -> CompressedTracks:
    """Look how long the tracks are, once, and open them.

    Args:
        folder: Folder of the index.
        files: File of each track.
        sample_rate: Hz.
        workers: Threads that look; None for one a core.
    """
    return CompressedTracks(files, sample_rate, build_index(folder, files, sample_rate, workers, keep_samples=False))
