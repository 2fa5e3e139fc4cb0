"""Spectrograms of clips that come again, kept on disk: on a CPU the front-end costs more than most networks.

A folder with `mel.float16`, a row for each clip that can be asked for, and `kept.bool`, a byte for each row: whether it
is there. Rows are on the disk before their bytes say so: whatever moment a run is killed at, what counts as kept is
whole. Read and written plainly, not through a memory map, for the same reason as the store.
"""

import errno
import hashlib
import json
import os
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lit_genre.console import console
from lit_genre.data.loading.samplers import Tracks, even_starts
from lit_genre.errors import LitGenreError

CLIPS_PER_COMMIT: Final = 256
"""Clips between two forced writes to disk: at most so many are computed again after a kill."""

_BYTES: Final = 2


class MelCache:
    """Keeps the spectrograms of the clips that cover the tracks of one split.

    Stored as float16, so a value of -1 .. 1 is off by at most 2.5e-4, a hundredth of a decibel.

    Args:
        folder: Folder for the caches of all splits and front-ends.
        name: Name of this one, for people.
        key: All that determines the values beside the samples: decoder, front-end, sample rate.
        tracks: The tracks.
        sources: Size and time of modification of each track's file, shape (t, 2): a changed file sounds otherwise.
        shape: Shape of a spectrogram, (m, f).
        overlap: Part of each other that the clips of a track share, 0 to 1.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        key: str,
        tracks: Tracks,
        sources: NDArray[np.int64],
        shape: tuple[int, int],
        overlap: float = 0.0,
    ) -> None:
        identity = hashlib.sha256(json.dumps([key, list(shape), tracks.clip_samples, overlap]).encode())
        for column in (tracks.track_ids, tracks.n_samples, sources):
            identity.update(column.tobytes())
        digest = identity.hexdigest()[:12]
        self.folder = folder / f"{name}-{digest}"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.shape = shape
        self._row_bytes = _BYTES * shape[0] * shape[1]
        self._row_of = {
            (int(track_id), int(start)): row
            for row, (track_id, start) in enumerate(
                (track_id, start)
                for track_id, n_samples in zip(tracks.track_ids, tracks.n_samples, strict=True)
                for start in even_starts(int(n_samples), tracks.clip_samples, overlap)
            )
        }
        self._mel, self._flags = self.folder / "mel.float16", self.folder / "kept.bool"
        for path in (self._mel, self._flags):
            path.touch()
        self._kept = np.zeros(len(self._row_of), dtype=bool)
        self._new: list[int] = []
        self._writes = True

    def read(self, track_ids: list[int], starts: list[int]) -> Tensor | None:
        """Read the spectrograms of clips, shape (b, m, f), float16; None where one is not kept."""
        if not self._known(self._rows(track_ids, starts)).all():
            return None
        return self.read_kept(track_ids, starts)[0]

    def read_kept(self, track_ids: list[int], starts: list[int]) -> tuple[Tensor, Tensor]:
        """Read what is kept of the spectrograms of clips, shape (b, m, f), float16, and tell which are, shape (b,)."""
        rows = self._rows(track_ids, starts)
        kept = self._known(rows)
        mel = np.empty((len(rows), *self.shape), dtype=np.float16)
        with self._mel.open("rb", buffering=0) as file:
            for place in np.flatnonzero(kept):
                file.seek(rows[place] * self._row_bytes)
                if file.readinto(mel[place].reshape(-1).view(np.uint8).data) != self._row_bytes:
                    raise LitGenreError(f"{self._mel} has lost its end: delete that folder and run again.")
        return torch.from_numpy(mel), torch.from_numpy(kept)

    def keep(self, track_ids: list[int], starts: list[int], mel: Tensor) -> None:
        """Keep spectrograms, shape (b, m, f); a full disk ends that, and not the run."""
        if not self._writes:
            return
        values: NDArray[np.float16] = np.ascontiguousarray(mel.detach().to("cpu", torch.float16).numpy())
        try:
            with self._mel.open("r+b", buffering=0) as file:
                for row, value in zip(self._rows(track_ids, starts), values, strict=True):
                    if not self._kept[row]:
                        file.seek(row * self._row_bytes)
                        if file.write(value.data) != self._row_bytes:
                            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                        self._kept[row] = True
                        self._new.append(row)
        except OSError as error:
            self._give_up(error)
        if len(self._new) >= CLIPS_PER_COMMIT:
            self.commit()

    def commit(self) -> None:
        """Put what is new on the disk, and then say so there; a full disk ends that, and not the run."""
        try:
            if self._new:
                self._commit()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        self._writes = False
        self._new.clear()
        console.print(f"No more spectrograms are kept in {self.folder}: {error.strerror}. The run goes on.")

    def _commit(self) -> None:
        with self._mel.open("r+b") as mel, self._flags.open("r+b", buffering=0) as flags:
            os.fsync(mel.fileno())
            for row in self._new:
                flags.seek(row)
                flags.write(b"\1")
            os.fsync(flags.fileno())
        self._new.clear()

    def _known(self, rows: list[int]) -> NDArray[np.bool_]:
        """Tell which rows are kept, shape (b,)."""
        if not self._kept[rows].all():
            # Another process may have kept it.
            flags = np.fromfile(self._flags, dtype=bool)
            self._kept[: len(flags)] |= flags
        return self._kept[rows]

    def _rows(self, track_ids: list[int], starts: list[int]) -> list[int]:
        return [self._row_of[clip] for clip in zip(track_ids, starts, strict=True)]
