"""Compute the embeddings of the clips that cover tracks, once, and cache them on disk."""

import hashlib
import json
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lit_genre.console import progress
from lit_genre.data.datamodules.base import TrackDataModule
from lit_genre.data.loading.dataset import ClipDataset
from lit_genre.data.metadata.track import Split
from lit_genre.errors import LitGenreError
from lit_genre.inference.batch_parts import BatchParts
from lit_genre.inference.predictor import default_batch_size
from lit_genre.model.classifier import GenreClassifier
from lit_genre.model.layer_pooling import Pool
from lit_genre.model.source_code import source_digest
from lit_genre.probe.embedding_files import EmbeddingFiles

_TRACKS_PER_FILE: Final = 64
"""An interruption loses the embeddings of fewer tracks than this; a data set still has few files."""


class ClipEmbeddings(NamedTuple):
    """Embeddings and labels of n clips.

    Attributes:
        embedding: Shape (n, d); of all layers, joined, in half precision where the numbers allow it.
        label: Position of the genre of each clip's track in the class names, shape (n,); in the multilabel task 0 or 1
            for each class, shape (n, c).
        track_id: Id of each clip's track, shape (n,).
        class_weights: Weight of each class in the training of a head, as of `GenreClassifier`, shape (c,); None if all
            tracks have the same weight.
    """

    embedding: NDArray[np.floating]
    label: NDArray[np.int64]
    track_id: NDArray[np.int64]
    class_weights: NDArray[np.float64] | None = None


class EmbeddingCache:
    """Embeds tracks by a frozen model, each once, and caches the embeddings on disk.

    A file has the embeddings of some dozens of tracks. After an interruption, for another split or fold, or for added
    tracks, only missing tracks are embedded. Of several processes, one at a time embeds. The name of the folder depends
    on all else that determines the embeddings: the weights, the code and arguments of front-end and backbone, and the
    length of a clip.

    Args:
        model: The model in evaluation mode, on its device.
        data: The data, after `setup`, at the sample rate of the model.
        folder: Folder of the embeddings; None for `embeddings` next to the store.
        pool: Embed by layers of the backbone, pooled so over time, and join them; None for the model's embedding.
        layers: Numbers of these layers.

    Attributes:
        computed: Splits with tracks that had to be embedded.
        partial: Those of them with other tracks that were in the cache.
    """

    def __init__(
        self,
        model: GenreClassifier,
        data: TrackDataModule,
        folder: Path | None = None,
        pool: Pool | None = None,
        layers: Sequence[int] = (),
    ) -> None:
        self.model, self.data, self._pool, self._layers = model, data, pool, layers
        self.folder = folder or data.store_folder.parent / "embeddings"
        self.computed: list[Split] = []
        self.partial: list[Split] = []
        self._model_digest = _model_digest(model)

    def embed(self, split: Split) -> ClipEmbeddings:
        """Return the embeddings of the clips that cover each track of a split, from the cache where they are in it.

        Args:
            split: The split.

        Returns:
            Embeddings of the clips, in the order of the tracks.

        Raises:
            LitGenreError: The backbone returns NaN or infinity.
        """
        dataset = self.data.whole_tracks(split).dataset
        assert isinstance(dataset, ClipDataset)
        files = EmbeddingFiles(self.folder / f"{type(self.model.backbone).__name__}-{self._digest(dataset)}", dataset)
        track_ids = set(dataset.track_ids.tolist())
        embeddings = files.read()
        if track_ids - embeddings.keys():
            with files.locked():
                # Read again: another fold, which held the lock before, may have embedded the tracks.
                embeddings = files.read()
                if missing := track_ids - embeddings.keys():
                    self.computed.append(split)
                    if missing != track_ids:
                        self.partial.append(split)
                    embeddings |= self._compute_and_write(split, missing, files)
        rows_by_track = [embeddings[track_id] for track_id in dataset.track_ids.tolist()]
        counts = [len(rows) for rows in rows_by_track]
        return ClipEmbeddings(
            np.concatenate(rows_by_track),
            np.repeat(dataset.labels, counts, axis=0),
            np.repeat(dataset.track_ids, counts),
        )

    def _digest(self, dataset: ClipDataset) -> str:
        determining = [self._model_digest, dataset.clip_samples, self.data.store_folder.name]
        if self._pool:
            determining += [self._pool, *self._layers]
        elif pooling := _pooling_digest(self.model):
            determining.append(pooling)
        return hashlib.sha256(json.dumps(determining).encode()).hexdigest()[:12]

    def _compute_and_write(
        self, split: Split, track_ids: Container[int], files: "EmbeddingFiles"
    ) -> dict[int, NDArray[np.floating]]:
        """Embed some tracks of a split, write the embeddings, and return them by track id."""
        embeddings: dict[int, NDArray[np.floating]] = {}
        unwritten: dict[int, NDArray[np.floating]] = {}
        try:
            for track_id, rows in self._compute(split, track_ids):
                embeddings[track_id] = unwritten[track_id] = rows
                if len(unwritten) == _TRACKS_PER_FILE:
                    files.write(unwritten)
                    unwritten = {}
        finally:
            # After an interruption too: embedding may take hours.
            files.write(unwritten)
        return embeddings

    def _compute(self, split: Split, track_ids: Container[int]) -> Iterator[tuple[int, NDArray[np.floating]]]:
        """Embed some tracks of a split; yield the id of each and its embeddings, shape (n, d)."""
        batches = self.data.whole_tracks(split, track_ids, default_batch_size(self.model))
        embed = BatchParts(self._embed)
        current_id = -1
        rows: list[NDArray[np.floating]] = []
        with progress(f"Extracting features: {split}", len(batches), "batches") as advance, torch.inference_mode():
            for batch in batches:
                (embedding,) = embed(batch.waveform)
                if not embedding.isfinite().all():
                    name = type(self.model.backbone).__name__
                    raise LitGenreError(
                        f"{name} returns embeddings with NaN or infinity. Check its weights and its precision."
                    )
                for track_id, row in zip(batch.track_id.tolist(), embedding.numpy(), strict=True):
                    # The clips of a track follow each other, but may be in several batches.
                    if rows and track_id != current_id:
                        yield current_id, np.stack(rows)
                        rows = []
                    current_id = track_id
                    rows.append(row)
                advance()
        yield current_id, np.stack(rows)

    def _embed(self, waveform: Tensor) -> tuple[Tensor]:
        """Compute the embeddings of clips, shape (b, d), on the CPU."""
        waveform = waveform.to(self.model.device)
        if self._pool is None:
            return (self.model.predict_with_embedding(waveform)[1].float().cpu(),)
        joined = torch.cat(self.model.embed_layers(waveform, self._pool, self._layers), -1).float().cpu()
        # Half precision, as the layers of an encoder have some thousand numbers a clip; not where one is too large.
        return (joined.half() if joined.abs().amax() < torch.finfo(torch.half).max else joined,)


def _model_digest(model: GenreClassifier) -> str:
    """Return a digest of everything that determines an embedding, except the samples."""
    described = [model.hparams["frontend"], model.hparams["backbone"], model.sample_rate]
    sources = [source_digest(part) for part in (model.frontend, model.mean_normalization, model.backbone)]
    digest = hashlib.sha256(json.dumps([described, sources], default=str).encode())
    return _update_digest(digest, model.frontend, model.backbone)


def _pooling_digest(model: GenreClassifier) -> str | None:
    """Return a digest of the layers that the model embeds by; None if it uses the embedding of the backbone."""
    if model.layer_pooling is None:
        return None
    digest = hashlib.sha256(json.dumps([model.layer_pooling.layers, model.layer_pooling.pool]).encode())
    return _update_digest(digest, model.layer_pooling)


def _update_digest(digest: Any, *parts: nn.Module) -> str:
    for part in parts:
        for name, value in sorted(part.state_dict().items()):
            digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
            digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    text: str = digest.hexdigest()
    return text
