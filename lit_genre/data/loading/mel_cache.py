"""Cache the spectrograms of clips on disk: on a CPU, the front-end takes more time than most networks.

A cache is a folder with two files. `mel.float16` has a row for each clip. `kept.bool` has a byte for each row, which is
1 if the row is filled. A row is forced to the disk before its byte is written, so that a killed run leaves no
incomplete row that counts as filled. The files are read and written without a memory map, for the same reason as the
store.
"""

import errno
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lit_genre.batch import Batch
from lit_genre.console import console
from lit_genre.data.loading.samplers import Tracks, window_starts
from lit_genre.errors import LitGenreError

CLIPS_PER_COMMIT: Final = 256
"""Clips between two forced writes to disk: after a kill, at most so many are computed again."""

_BYTES: Final = 2
"""Bytes of a float16."""


class MelCache:
    """Caches the spectrograms of the clips that cover the tracks of one split.

    The values are stored as float16. A value between -1 and 1 is then off by at most 2.5e-4, 0.01 dB.

    Args:
        folder: Folder for the caches of all splits and front-ends.
        name: Name of this cache, the beginning of the name of its folder.
        key: Text that changes with everything but the samples that determines the values: decoder, front-end, sample
            rate.
        tracks: The tracks.
        sources: Size, bytes, and time of modification, ns, of each track's file, shape (t, 2), int64. If a file
            changes, another cache is used.
        shape: Shape of a spectrogram, (m, f).
        overlap: Part of a clip that the next clip of the track repeats, 0 to 1.
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
        # All that determines the values is in the name of the folder, so that an outdated cache is never read.
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
                for start in window_starts(int(n_samples), tracks.clip_samples, overlap)
            )
        }
        self._mel, self._flags = self.folder / "mel.float16", self.folder / "kept.bool"
        # Rows are written at any position, for which a file must exist.
        for path in (self._mel, self._flags):
            path.touch()
        self._is_filled = np.zeros(len(self._row_of), dtype=bool)
        self._new: list[int] = []
        self._writes = True

    def read(self, track_ids: list[int], starts: list[int]) -> Tensor | None:
        """Read the spectrograms of clips if all of them are cached.

        Args:
            track_ids: Track id of each clip.
            starts: First sample of each clip in its track.

        Returns:
            Spectrograms, shape (b, m, f), float16; None if one is not cached.
        """
        if not self._cached(self._rows(track_ids, starts)).all():
            return None
        return self.read_cached(track_ids, starts)[0]

    def read_cached(self, track_ids: list[int], starts: list[int]) -> tuple[Tensor, Tensor]:
        """Read those spectrograms of clips that are cached.

        Args:
            track_ids: Track id of each clip.
            starts: First sample of each clip in its track.

        Returns:
            Spectrograms, shape (b, m, f), float16, undefined for clips that are not cached; and whether each clip is
            cached, shape (b,), bool.

        Raises:
            LitGenreError: The file of spectrograms is too short.
        """
        rows = self._rows(track_ids, starts)
        is_cached = self._cached(rows)
        mel = np.empty((len(rows), *self.shape), dtype=np.float16)
        with self._mel.open("rb", buffering=0) as file:
            for position in np.flatnonzero(is_cached):
                file.seek(rows[position] * self._row_bytes)
                if file.readinto(mel[position].reshape(-1).view(np.uint8).data) != self._row_bytes:
                    raise LitGenreError(f"{self._mel} is truncated. Delete its folder and run the command again.")
        return torch.from_numpy(mel), torch.from_numpy(is_cached)

    def complete(self, batch: Batch, compute: Callable[[Tensor], Tensor]) -> Tensor:
        """Read the cached spectrograms of a batch, and compute and cache the others.

        Args:
            batch: The clips, with samples and starts.
            compute: Front-end: from samples, shape (b, n), int16, to spectrograms, shape (b, m, f).

        Returns:
            Spectrograms, shape (b, m, f), float16, on the device of the batch.
        """
        assert batch.start is not None
        mel, is_cached = self.read_cached(batch.track_id.tolist(), batch.start.tolist())
        is_new = ~is_cached
        # A worker process may have read the samples before this process cached the last of the clips.
        if is_new.any():
            with torch.no_grad():
                computed = compute(batch.waveform[is_new.to(batch.waveform.device)])
            self.keep(batch.track_id[is_new].tolist(), batch.start[is_new].tolist(), computed)
            # In the precision in which it is read later, so that the result does not depend on when a run was stopped.
            mel[is_new] = computed.half().cpu()
        return mel.to(batch.waveform.device)

    def keep(self, track_ids: list[int], starts: list[int], mel: Tensor) -> None:
        """Write spectrograms to the cache; if the disk is full, the cache stops writing and the run continues.

        Args:
            track_ids: Track id of each clip.
            starts: First sample of each clip in its track.
            mel: Spectrograms, shape (b, m, f), any floating-point type, on any device.
        """
        if not self._writes:
            return
        # Converted on the CPU in one step: writing needs contiguous bytes.
        values: NDArray[np.float16] = np.ascontiguousarray(mel.detach().to("cpu", torch.float16).numpy())
        try:
            with self._mel.open("r+b", buffering=0) as file:
                for row, value in zip(self._rows(track_ids, starts), values, strict=True):
                    if not self._is_filled[row]:
                        file.seek(row * self._row_bytes)
                        # A nearly full disk takes a part of the row without an error.
                        if file.write(value.data) != self._row_bytes:
                            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                        self._is_filled[row] = True
                        self._new.append(row)
        except OSError as error:
            self._give_up(error)
        # Forcing each batch to the disk would take longer than computing it.
        if len(self._new) >= CLIPS_PER_COMMIT:
            self.commit()

    def commit(self) -> None:
        """Force new spectrograms to the disk; if the disk is full, the cache stops writing and the run continues."""
        try:
            if self._new:
                self._commit()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        self._writes = False
        self._new.clear()
        console.print(f"No more spectrograms are cached in {self.folder}: {error.strerror}. The run continues.")

    def _commit(self) -> None:
        with self._mel.open("r+b") as mel, self._flags.open("r+b", buffering=0) as flags:
            os.fsync(mel.fileno())
            for row in self._new:
                flags.seek(row)
                flags.write(b"\1")
            os.fsync(flags.fileno())
        self._new.clear()

    def _cached(self, rows: list[int]) -> NDArray[np.bool_]:
        """Return which rows are filled, shape (b,)."""
        if not self._is_filled[rows].all():
            # Another process may have filled them.
            flags = np.fromfile(self._flags, dtype=bool)
            self._is_filled[: len(flags)] |= flags
        return self._is_filled[rows]

    def _rows(self, track_ids: list[int], starts: list[int]) -> list[int]:
        return [self._row_of[clip] for clip in zip(track_ids, starts, strict=True)]
