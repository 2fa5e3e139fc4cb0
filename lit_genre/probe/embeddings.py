"""The embeddings of the clips that cover a split, computed once and kept on disk."""

import hashlib
import inspect
import json
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from lit_genre.console import console, progress
from lit_genre.data.datamodule import TrackDataModule
from lit_genre.data.dataset import ClipDataset
from lit_genre.data.track import Split
from lit_genre.errors import LitGenreError
from lit_genre.model.classifier import GenreClassifier


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
    """Hears the splits of a data set through a frozen model, each once.

    They are kept beside the decoded audio, named by all that determines them: the samples, the weights, and the code
    and arguments of front-end and backbone.

    Args:
        model: In evaluation mode, on its device.
        data: Opened; at the model's sample rate.
        folder: Where they are kept; None for `embeddings` beside the store.

    Attributes:
        computed: Splits that were not there.
    """

    def __init__(self, model: GenreClassifier, data: TrackDataModule, folder: Path | None = None) -> None:
        self.model, self.data = model, data
        self.folder = folder or data.store_folder.parent / "embeddings"
        self.computed: list[Split] = []
        self._identity = _identity(model)

    def of(self, split: Split) -> Clips:
        """Hear the clips that cover each track of a split.

        Raises:
            LitGenreError: The backbone gives numbers that are not finite.
        """
        dataset = self.data.whole_tracks(split).dataset
        assert isinstance(dataset, ClipDataset)
        path = self.folder / f"{type(self.model.backbone).__name__}-{split}-{self._digest(dataset)}.npz"
        if path.exists():
            with np.load(path, allow_pickle=False) as arrays:
                embedding, track_id = arrays["embedding"], arrays["track_id"]
        else:
            embedding, track_id = self._compute(split)
            _keep(path, embedding, track_id)
            self.computed.append(split)
        label_of = dict(zip(dataset.track_ids.tolist(), dataset.labels.tolist(), strict=True))
        return Clips(embedding, np.array([label_of[number] for number in track_id.tolist()]), track_id)

    def _digest(self, dataset: ClipDataset) -> str:
        identity = hashlib.sha256(json.dumps([self._identity, dataset.clip_samples]).encode())
        for column in (dataset.track_ids, dataset.n_samples, dataset.sources):
            identity.update(column.tobytes())
        return identity.hexdigest()[:12]

    def _compute(self, split: Split) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        batches = self.data.whole_tracks(split)
        embeddings, track_ids = [], []
        with progress(f"Listening to {split}", len(batches), "batches") as advance, torch.inference_mode():
            for batch in batches:
                embeddings.append(self.model.answer(batch.waveform.to(self.model.device))[1].float().cpu())
                track_ids.append(batch.track_id)
                advance()
        embedding = torch.cat(embeddings)
        if not embedding.isfinite().all():
            raise LitGenreError(f"{type(self.model.backbone).__name__} gives embeddings that are no finite numbers.")
        return embedding.numpy(), torch.cat(track_ids).numpy()


def _keep(path: Path, embedding: NDArray[np.float32], track_id: NDArray[np.int64]) -> None:
    """Write beside, and into place when it is on the disk; a full disk ends that, and not the run."""
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            np.savez(file, embedding=embedding, track_id=track_id)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        console.print(f"The embeddings are not kept in {path.parent}: {error.strerror}.", markup=False)


def _identity(model: GenreClassifier) -> str:
    """Sum up what determines an embedding beside the samples."""
    described = [model.hparams["frontend"], model.hparams["backbone"], model.sample_rate]
    sources = [_source(part) for part in (model.frontend, model.backbone)]
    digest = hashlib.sha256(json.dumps([described, sources], default=str).encode())
    for part in (model.frontend, model.backbone):
        for name, value in sorted(part.state_dict().items()):
            digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
            digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _source(part: nn.Module) -> str:
    module = inspect.getmodule(type(part))
    try:
        return inspect.getsource(module) if module else ""
    except (OSError, TypeError):  # It was typed into a console.
        return ""
