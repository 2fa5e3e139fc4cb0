"""Files with the embeddings of tracks, of which several processes may read and write the same."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from lit_genre.console import console
from lit_genre.data.loading.dataset import ClipDataset
from lit_genre.data.store.lock import locked


class EmbeddingFiles:
    """The files of a folder, each with the embeddings of some tracks.

    The key of a track has its id, its number of samples, and size and time of its file, so that the embeddings of a
    changed file are not used.
    """

    def __init__(self, folder: Path, dataset: ClipDataset) -> None:
        self._folder = folder
        keys = np.column_stack([dataset.track_ids, dataset.n_samples, dataset.sources]).tolist()
        self._keys_by_id = {key[0]: key for key in keys}

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock of the folder; without one if the folder cannot be written, where nothing is cached either."""
        with ExitStack() as stack:
            # Some network disks have no locks, for which filelock raises NotImplementedError.
            with suppress(OSError, NotImplementedError):
                self._folder.mkdir(parents=True, exist_ok=True)
                stack.enter_context(locked(self._folder))
            yield

    def read(self) -> dict[int, NDArray[np.floating]]:
        """Read the embeddings of the tracks of the data set, by track id; each of shape (n, d)."""
        embeddings: dict[int, NDArray[np.floating]] = {}
        for path in sorted(self._folder.glob("*.npz")):
            try:
                with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                    keys, ends = arrays["key"].tolist(), np.cumsum(arrays["count"])
                    # NumPy reads the embeddings only here, so files without a track of the data set cost little.
                    if any(self._keys_by_id.get(key[0]) == key for key in keys):
                        pairs = zip(keys, np.split(arrays["embedding"], ends[:-1]), strict=True)
                        embeddings |= {key[0]: rows for key, rows in pairs if self._keys_by_id.get(key[0]) == key}
            except (BadZipFile, EOFError, KeyError, OSError, ValueError):
                console.print(f"{path} is damaged: the embeddings of its tracks are computed again.")
        return embeddings

    def write(self, embeddings: dict[int, NDArray[np.floating]]) -> None:
        """Write a file with the embeddings of some tracks; on a full disk, print a message and continue."""
        if not embeddings:
            return
        key = np.array([self._keys_by_id[track_id] for track_id in embeddings])
        count = np.array([len(rows) for rows in embeddings.values()])
        path = self._folder / f"{hashlib.sha256(key.tobytes()).hexdigest()[:12]}.npz"
        # Not atomic_write, which allows one process at a time: without a lock, two runs may write the same tracks.
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with part.open("xb") as file:
                np.savez(file, embedding=np.concatenate([*embeddings.values()]), key=key, count=count)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except OSError as error:
            # Where the folder could not be made, there is no file to delete.
            with suppress(OSError):
                part.unlink()
            console.print(f"The embeddings cannot be cached in {self._folder}: {error.strerror}.")
