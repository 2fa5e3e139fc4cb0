"""Classify uploads with one model: decode in worker processes, predict in this process."""

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
from lit_genre.data.loading.streaming import build_batch
from lit_genre.inference.predictor import SongPrediction, default_batch_size, predict_songs
from lit_genre.inference.writers import prediction_as_dict
from lit_genre.model.classifier import GenreClassifier
from lit_genre.model.spectrogram.frontend import SILENCE, LogMel
from lit_genre.serve.decoding import decode_to_file
from lit_genre.serve.limits import Limits
from lit_genre.serve.picture import encode_png_url
from lit_genre.serve.timeline import windows_between
from lit_genre.serve.worker_pool import PoolClosedError, WorkerPool
from lit_genre.serve.worker_process import WorkerError

_MAX_COLUMNS: Final = 1200
"""Largest width of the picture of a spectrogram, pixels: a little more than the page is wide."""

_MIN_DECIBELS: Final = -80
"""Level of the darkest colour relative to the loudest value, dB."""

_CHUNK_FRAMES: Final = 1000
"""Frames of a spectrogram that are computed at once; between chunks a request can be cancelled."""

_MAX_DECODERS: Final = 8
"""Largest number of worker processes; each may need `Limits.decode_bytes` of memory."""


class StoppedError(Exception):
    """The request was cancelled, or the service was closed."""


class InferenceService:
    """Decodes and analyses uploads: decodes as many at the same time as there are workers, and analyses one.

    Args:
        model: On its device, in evaluation mode.
        limits: Limits of an upload, and of its decoding.
        decoders: Worker processes that decode; by default one for each core.
    """

    def __init__(self, model: GenreClassifier, limits: Limits, decoders: WorkerPool | None = None) -> None:
        self.model, self.limits = model, limits
        self.decoders = decoders or start_decoders(limits)
        # Limits the decoded songs, which are large: a megabyte of MP3 may be an hour. One more than there are decoders,
        # so that all can work while one song is analysed.
        self._song_slots = threading.Semaphore(self.decoders.size + 1)
        # torch uses all cores for one prediction; two at the same time would only need more memory.
        self._model_lock = threading.Lock()
        self._closed = threading.Event()

    @property
    def clip_seconds(self) -> float:
        """Length of the model's clips, s."""
        return self.model.clip_samples / self.model.sample_rate

    def classify(
        self, path: Path, cancelled: threading.Event, *, top_k: int, segments: bool, timeline: bool, spectrogram: bool
    ) -> dict[str, Any]:
        """Decode a file and predict its genres.

        Args:
            path: The file, in a folder of its own.
            cancelled: Set when the client has disconnected.
            top_k: Number of genres to return.
            segments: Whether to include the genres of each clip.
            timeline: Whether to include the genres of overlapping windows, of which the clips are a part.
            spectrogram: Whether to include a picture of the mel spectrogram, as a data URL.

        Returns:
            Data for JSON: the entries of `prediction_as_dict` and, on request, `timeline`, which is like
            `segments`, and `spectrogram`.

        Raises:
            AudioError: The file is too long, contains no audio, or could not be decoded within the limits.
            StoppedError: The service was closed, or the request was cancelled.
        """
        with self.decode(path, cancelled) as song:
            prediction = self.predict(song, cancelled)
            result = self._as_dict(prediction, top_k, segments)
            if timeline:
                windows = self.predict_timeline(song, prediction, cancelled)
                result["timeline"] = self._as_dict(windows, top_k, segments=True)["segments"]
            if spectrogram:
                result["spectrogram"] = encode_png_url(self.compute_spectrogram(song, cancelled))
        return result

    @contextmanager
    def decode(self, path: Path, cancelled: threading.Event) -> Iterator[TrackAudio]:
        """Decode a file to samples, which are written to a file next to it.

        Args:
            path: The file, in a folder of its own.
            cancelled: Set when the client has disconnected.

        Yields:
            The decoded audio, int16 at the sample rate of the model.

        Raises:
            AudioError: The file is too long, contains no audio, or could not be decoded within the limits.
            StoppedError: The service was closed, or the request was cancelled.
        """
        target = path.with_name("samples")
        with self._song_slots:
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
        """Predict the genres of a song and of each of its clips.

        Args:
            song: The decoded song, from `decode`.
            cancelled: Set when the client has disconnected.

        Returns:
            The prediction.

        Raises:
            StoppedError: The service was closed, or the request was cancelled.
        """
        # The grid of evaluation, so that `serve` and `classify` agree.
        return self._predict(song, window_starts(song.n_samples, self.model.clip_samples), cancelled)

    def predict_timeline(
        self, song: TrackAudio, prediction: SongPrediction, cancelled: threading.Event
    ) -> SongPrediction:
        """Predict more windows between the clips of a song, for a time line.

        Args:
            song: The decoded song, from `decode`.
            prediction: Its prediction, from `predict`.
            cancelled: Set when the client has disconnected.

        Returns:
            The prediction; its `starts` and `clip_probs` are those of clips and windows in the order of time.

        Raises:
            StoppedError: The service was closed, or the request was cancelled.
        """
        starts = windows_between(window_starts(song.n_samples, self.model.clip_samples))
        if not len(starts):
            return prediction
        windows = self._predict(song, starts, cancelled)
        all_starts = torch.cat([prediction.starts, windows.starts])
        order = all_starts.argsort()
        all_probs = torch.cat([prediction.clip_probs, windows.clip_probs])
        return prediction._replace(starts=all_starts[order], clip_probs=all_probs[order])

    def compute_spectrogram(self, song: TrackAudio, cancelled: threading.Event) -> NDArray[np.float32]:
        """Compute the mel spectrogram of a whole song for a picture.

        Args:
            song: The decoded song, from `decode`.
            cancelled: Set when the client has disconnected.

        Returns:
            Levels, float32, shape (m, columns), low bands first. The loudest value is 1; 80 dB below it and less is 0.

        Raises:
            StoppedError: The service was closed, or the request was cancelled.
        """
        # Not the front-end of the model, which may be a plugin's and need not return a mel spectrogram.
        frontend = LogMel(self.model.sample_rate)
        buffer = np.empty(frontend.hop_length * _CHUNK_FRAMES, dtype=np.int16)
        chunks = []
        for start in range(0, song.n_samples, len(buffer)):
            self._check(cancelled)
            samples = buffer[: min(len(buffer), song.n_samples - start)]
            song.read(start, samples)
            with torch.inference_mode():
                chunks.append(frontend.power(torch.from_numpy(samples / np.float32(INT16_SCALE))[None])[0])
        power = torch.cat(chunks, dim=1)
        # The mean of power, not of decibels, so that a short loud sound remains visible.
        power = torch.nn.functional.adaptive_avg_pool1d(power, min(_MAX_COLUMNS, power.shape[1]))
        relative_power = power / power.max().clamp(min=SILENCE)
        decibels = 10 * torch.log10(relative_power.clamp(min=10 ** (_MIN_DECIBELS / 10)))
        return np.asarray((1 - decibels / _MIN_DECIBELS).numpy(), dtype=np.float32)

    def close(self) -> None:
        """Stop the decoders; requests in flight raise StoppedError before their next batch."""
        self._closed.set()
        self.decoders.close()

    def _as_dict(self, prediction: SongPrediction, top_k: int, segments: bool) -> dict[str, Any]:
        model = self.model
        return prediction_as_dict(prediction, model.classes, model.task, top_k, segments, self.clip_seconds)

    def _predict(self, song: TrackAudio, starts: NDArray[np.int64], cancelled: threading.Event) -> SongPrediction:
        """Predict the clips of a song that begin at some samples, shape (w,)."""
        seconds = song.n_samples / self.model.sample_rate
        with self._model_lock:
            clips = self._clips(song, starts, cancelled)
            (prediction,) = predict_songs(self.model, clips, {0: seconds}, {0: song.status})
        return prediction

    def _clips(self, song: TrackAudio, starts: NDArray[np.int64], cancelled: threading.Event) -> Iterator[Batch]:
        """Yield batches of the clips of one song, whose position is 0."""
        batch_size = default_batch_size(self.model)
        for first in range(0, len(starts), batch_size):
            self._check(cancelled)
            clips = []
            for start in starts[first : first + batch_size].tolist():
                clip = np.empty(self.model.clip_samples, dtype=np.int16)
                song.read_clip(start, clip)
                clips.append((0, start, clip))
            yield build_batch(clips)

    def _check(self, cancelled: threading.Event) -> None:
        if self._closed.is_set() or cancelled.is_set():
            raise StoppedError


def start_decoders(limits: Limits) -> WorkerPool:
    """Start the worker processes that decode, one for each core, at most 8.

    They import their libraries, which takes seconds, while the caller continues.

    Args:
        limits: Limits of decoding.

    Returns:
        The pool, which the caller closes.
    """
    size = min(_MAX_DECODERS, os.cpu_count() or 1)
    return WorkerPool(size, limits.decode_seconds, limits.decode_bytes, "decoder", ("lit_genre.serve.decoding",))
