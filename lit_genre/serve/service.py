"""One model that predictions many requests: decodes in worker processes, predicts in this one."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from lit_genre.batch import Batch
from lit_genre.data.decoding.errors import AudioError
from lit_genre.data.decoding.pcm import INT16_SCALE
from lit_genre.data.decoding.track_audio import TrackAudio
from lit_genre.data.loading.samplers import window_starts
from lit_genre.inference.classify import batch_size_of
from lit_genre.inference.predictor import SongPrediction, predict_songs
from lit_genre.inference.writers import prediction_as_dict
from lit_genre.model.classifier import GenreClassifier
from lit_genre.model.frontend import SILENCE, LogMel
from lit_genre.serve.decoding import decode_to_file
from lit_genre.serve.limits import Limits
from lit_genre.serve.picture import encode_png_url
from lit_genre.serve.worker_pool import PoolClosedError, WorkerPool
from lit_genre.serve.worker_process import WorkerError

_MAX_COLUMNS: Final = 1200
"""Width of the picture of a spectrogram, at most."""

_FRAMES_AT_ONCE: Final = 1000
_MAX_DECODERS: Final = 8


class StoppedError(Exception):
    """The request was cancelled, or the service was closed."""


class InferenceService:
    """Decodes and analyses uploads: as many as there are cores are decoded at once, one is analysed.

    Args:
        model: On its device, in evaluation mode.
        limits: Limits of an upload, and of its decoding.
        decoders: Worker processes that decode; by default one for each core.
    """

    def __init__(self, model: GenreClassifier, limits: Limits, decoders: WorkerPool | None = None) -> None:
        self.model, self.limits = model, limits
        self.decoders = decoders or start_decoders(limits)
        # Decoded songs are large: a megabyte of MP3 may be an hour. One is analysed while others are decoded.
        self._places = threading.Semaphore(self.decoders.size + 1)
        self._model_free = threading.Lock()
        self._closed = threading.Event()

    @property
    def clip_seconds(self) -> float:
        """Length of the clips that the model takes, s."""
        return self.model.clip_samples / self.model.sample_rate

    def classify(
        self, path: Path, cancelled: threading.Event, *, top_k: int, segments: bool, spectrogram: bool
    ) -> dict[str, Any]:
        """Decode a file and describe its genres.

        Args:
            path: The file, in a folder of its own.
            cancelled: Set when the client has disconnected.
            top_k: Number of genres to return.
            segments: Include the genres of each clip.
            spectrogram: Include a picture of the mel spectrogram, as a data URL.

        Returns:
            Plain data, as `prediction_as_dict` returns it, and `spectrogram` if asked for.

        Raises:
            AudioError: The file is too long, is no audio, or could not be decoded within the limits.
            StoppedError: The service was closed, or the request was cancelled.
        """
        with self.decode(path, cancelled) as song:
            prediction = self.predict(song, cancelled)
            model = self.model
            result = prediction_as_dict(prediction, model.classes, model.task, top_k, segments, self.clip_seconds)
            if spectrogram:
                result["spectrogram"] = encode_png_url(self.compute_spectrogram(song, cancelled))
        return result

    @contextmanager
    def decode(self, path: Path, cancelled: threading.Event) -> Iterator[TrackAudio]:
        """Decode a file; the samples are in a file next to it.

        Args:
            path: The file, in a folder of its own.
            cancelled: Set when the client has disconnected.

        Raises:
            AudioError: The file is too long, is no audio, or could not be decoded within the limits.
            StoppedError: The service was closed, or the request was cancelled.
        """
        target = path.with_name("samples")
        with self._places:
            self._check(cancelled)
            try:
                n_samples, status = self.decoders.run(
                    decode_to_file, path, target, self.model.sample_rate, self.limits.max_seconds
                )
            except PoolClosedError as error:
                raise StoppedError from error
            except WorkerError as error:
                raise AudioError(str(error)) from error
            with target.open("rb") as pcm:
                yield TrackAudio(pcm, n_samples, status)

    def predict(self, song: TrackAudio, cancelled: threading.Event) -> SongPrediction:
        """Predict the genres of a song, and of each clip of it.

        Raises:
            StoppedError: The service was closed, or the request was cancelled.
        """
        with self._model_free:
            seconds = song.n_samples / self.model.sample_rate
            (prediction,) = predict_songs(self.model, self._clips(song, cancelled), {0: seconds}, {0: song.status})
        return prediction

    def compute_spectrogram(self, song: TrackAudio, cancelled: threading.Event) -> NDArray[np.float32]:
        """Compute the mel spectrogram of a whole song as a picture.

        Returns:
            Shape (m, columns), 0 for 80 dB below the loudest value and less, 1 for the loudest; low bands first.

        Raises:
            StoppedError: The service was closed, or the request was cancelled.
        """
        frontend = LogMel(self.model.sample_rate)
        piece = np.empty(frontend.hop_length * _FRAMES_AT_ONCE, dtype=np.int16)
        powers = []
        for start in range(0, song.n_samples, len(piece)):
            self._check(cancelled)
            part = piece[: min(len(piece), song.n_samples - start)]
            song.read(start, part)
            with torch.inference_mode():
                powers.append(frontend.power(torch.from_numpy(part / np.float32(INT16_SCALE))[None])[0])
        power = torch.cat(powers, dim=1)
        power = torch.nn.functional.adaptive_avg_pool1d(power, min(_MAX_COLUMNS, power.shape[1]))
        decibels = 10 * torch.log10((power / power.max().clamp(min=SILENCE)).clamp(min=1e-8))
        return np.asarray((decibels / 80 + 1).numpy(), dtype=np.float32)

    def close(self) -> None:
        """Stop the decoders; requests in flight raise StoppedError before their next batch."""
        self._closed.set()
        self.decoders.close()

    def _clips(self, song: TrackAudio, cancelled: threading.Event) -> Iterator[Batch]:
        """Read batches of clips that cover a song evenly, as those of a test do."""
        starts = window_starts(song.n_samples, self.model.clip_samples)
        batch_size = batch_size_of(self.model)
        for first in range(0, len(starts), batch_size):
            self._check(cancelled)
            some = starts[first : first + batch_size]
            clips = np.empty((len(some), self.model.clip_samples), dtype=np.int16)
            for start, clip in zip(some.tolist(), clips, strict=True):
                song.read_clip(start, clip)
            ids = torch.zeros(len(some), dtype=torch.int64)
            yield Batch(torch.from_numpy(clips), label=ids - 1, track_id=ids, start=torch.from_numpy(some))

    def _check(self, cancelled: threading.Event) -> None:
        if self._closed.is_set() or cancelled.is_set():
            raise StoppedError


def start_decoders(limits: Limits) -> WorkerPool:
    """Start the processes that decode. They import their libraries, which takes seconds, while the caller goes on."""
    size = min(_MAX_DECODERS, os.cpu_count() or 1)
    return WorkerPool(size, limits.decode_seconds, limits.decode_bytes, "decoder", ("lit_genre.serve.decoding",))
