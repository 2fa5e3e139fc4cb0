"""The embeddings of the clips that cover tracks, computed once and kept on disk."""

import hashlib
import json
import os
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Final, NamedTuple
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray

from lit_genre.console import console, progress
from lit_genre.data.datamodules.base import TrackDataModule
from lit_genre.data.loading.dataset import ClipDataset
from lit_genre.data.metadata.track import Split
from lit_genre.errors import LitGenreError
from lit_genre.model.classifier import GenreClassifier
from lit_genre.model.source_code import source_digest

_TRACKS_A_PART: Final = 64


class Clips(NamedTuple):
    """Clips as a backbone hears them.

    Attributes:
        embedding: Shape (n, d).
        label: Position of the genre of each clip's track in the class names, shape (n,).
        track_id: Number of each clip's track, shape (n,).
    """

    embedding: NDArray[np.float32]
    label: NDArray[np.int64]
    track_id: NDArray[np.int64]


class Embeddings:
    """Hears tracks through a frozen model, each once.

    They are kept track by track beside the decoded audio, some dozens of tracks a file: what was heard before a run was
    stopped, for another split, or before songs were added is not heard again. A folder is named by all else that
    determines them: the weights, the code and arguments of front-end and backbone, and the length of a clip.

    Args:
        model: In evaluation mode, on its device.
        data: Opened; at the model's sample rate.
        folder: Where they are kept; None for `embeddings` beside the store.

    Attributes:
        computed: Splits of which tracks had to be computed.
        partial: Those of them of which some tracks were kept from before.
    """

    def __init__(self, model: GenreClassifier, data: TrackDataModule, folder: Path | None = None) -> None:
        self.model, self.data = model, data
        self.folder = folder or data.store_folder.parent / "embeddings"
        self.computed: list[Split] = []
        self.partial: list[Split] = []
        self._identity = _identity(model)

    def of(self, split: Split) -> Clips:
        """Hear the clips that cover each track of a split.

        Raises:
            LitGenreError: The backbone gives numbers that are not finite.
        """
        dataset = self.data.whole_tracks(split).dataset
        assert isinstance(dataset, ClipDataset)
        parts = _Parts(self.folder / f"{type(self.model.backbone).__name__}-{self._digest(dataset)}", dataset)
        heard = parts.read()
        if missing := set(dataset.track_ids.tolist()) - heard.keys():
            self.computed.append(split)
            if heard.keys() & set(dataset.track_ids.tolist()):
                self.partial.append(split)
            fresh: dict[int, NDArray[np.float32]] = {}
            try:
                for track_id, rows in self._hear(split, missing):
                    heard[track_id] = fresh[track_id] = rows
                    if len(fresh) == _TRACKS_A_PART:
                        parts.keep(fresh)
                        fresh = {}
            finally:
                parts.keep(fresh)
        rows_of = [heard[track_id] for track_id in dataset.track_ids.tolist()]
        counts = [len(rows) for rows in rows_of]
        return Clips(np.concatenate(rows_of), np.repeat(dataset.labels, counts), np.repeat(dataset.track_ids, counts))

    def _digest(self, dataset: ClipDataset) -> str:
        determining = [self._identity, dataset.clip_samples, self.data.store_folder.name]
        return hashlib.sha256(json.dumps(determining).encode()).hexdigest()[:12]

    def _hear(self, split: Split, track_ids: Container[int]) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Hear some tracks of a split, one after the other."""
        batches = self.data.whole_tracks(split, track_ids)
        track_id = -1
        rows: list[NDArray[np.float32]] = []
        with progress(f"Listening to {split}", len(batches), "batches") as advance, torch.inference_mode():
            for batch in batches:
                embedding = self.model.predict_with_embedding(batch.waveform.to(self.model.device))[1].float().cpu()
                if not embedding.isfinite().all():
                    name = type(self.model.backbone).__name__
                    raise LitGenreError(f"{name} gives embeddings that are no finite numbers.")
                for number, row in zip(batch.track_id.tolist(), embedding.numpy(), strict=True):
                    if rows and number != track_id:
                        yield track_id, np.stack(rows)
                        rows = []
                    track_id = number
                    rows.append(row)
                advance()
        yield track_id, np.stack(rows)


class _Parts:
    """The files of a folder, each with the embeddings of some tracks, as they were when they were heard."""

    def __init__(self, folder: Path, dataset: ClipDataset) -> None:
        self._folder = folder
        keys = np.column_stack([dataset.track_ids, dataset.n_samples, dataset.sources]).tolist()
        self._key_of = {key[0]: key for key in keys}

    def read(self) -> dict[int, NDArray[np.float32]]:
        """Find the tracks of the data set, by their numbers; each of shape (n, d)."""
        found: dict[int, NDArray[np.float32]] = {}
        for path in sorted(self._folder.glob("*.npz")):
            try:
                with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                    keys, ends = arrays["key"].tolist(), np.cumsum(arrays["count"])
                    if any(self._key_of.get(key[0]) == key for key in keys):
                        pairs = zip(keys, np.split(arrays["embedding"], ends[:-1]), strict=True)
                        found |= {key[0]: rows for key, rows in pairs if self._key_of.get(key[0]) == key}
            except (BadZipFile, EOFError, KeyError, OSError, ValueError):
                console.print(f"{path} is damaged: the embeddings of its tracks are computed again.")
        return found

    def keep(self, heard: dict[int, NDArray[np.float32]]) -> None:
        """Write beside, and into place when it is on the disk; a full disk ends that, and not the run."""
        if not heard:
            return
        key, count = np.array([self._key_of[number] for number in heard]), np.array([*map(len, heard.values())])
        path = self._folder / f"{hashlib.sha256(key.tobytes()).hexdigest()[:12]}.npz"
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with part.open("xb") as file:
                np.savez(file, embedding=np.concatenate([*heard.values()]), key=key, count=count)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except OSError as error:
            part.unlink(missing_ok=True)
            console.print(f"The embeddings are not kept in {self._folder}: {error.strerror}.")


def _identity(model: GenreClassifier) -> str:
    """Sum up what determines an embedding beside the samples."""
    described = [model.hparams["frontend"], model.hparams["backbone"], model.sample_rate]
    sources = [source_digest(part) for part in (model.frontend, model.mean_normalization, model.backbone)]
    digest = hashlib.sha256(json.dumps([described, sources], default=str).encode())
    for part in (model.frontend, model.backbone):
        for name, value in sorted(part.state_dict().items()):
            digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
            digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
