"""Compare the probabilities of an exported model and its checkpoint, for several lengths and batch sizes."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import soxr
import torch
from numpy.typing import NDArray

from lit_genre.data.decoding.errors import AudioError
from lit_genre.data.decoding.pcm import INT16_SCALE
from lit_genre.data.decoding.track_audio import decode_track
from lit_genre.data.metadata.audio_files import readable
from lit_genre.demo.instruments import SAMPLE_RATE
from lit_genre.demo.synth import synthesise
from lit_genre.errors import LitGenreError
from lit_genre.model.classifier import GenreClassifier

PredictFunction = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Maps waveforms, float32 of full scale 1, shape (b, n), to probabilities, float32, shape (b, c)."""

_NOISE: Final = ((1, 1.0), (3, 1.0), (2, 2.37))
"""Batches of noise: number of clips, and their length relative to the training clips.

They differ in both dimensions, and one length is not a multiple of a clip, so that a dimension that the export fixed
is found.
"""


def check_probabilities(model: GenreClassifier, predict: PredictFunction, songs: list[Path], tolerance: float) -> float:
    """Check that an exported model has the probabilities of its checkpoint on noise, silence and music.

    Args:
        model: Model of the checkpoint, on the CPU, in evaluation mode.
        predict: Runs the exported model.
        songs: Audio files for the comparison, in addition to noise, silence and a synthetic song.
        tolerance: Largest allowed difference of a probability.

    Returns:
        The largest absolute difference of a probability.

    Raises:
        LitGenreError: The difference is more than `tolerance`, or a song cannot be read.
    """
    worst = 0.0
    for name, waveform in _waveforms(model, songs):
        with torch.inference_mode():
            expected = model.predict_with_embedding(torch.from_numpy(waveform))[0].numpy()
        probs = predict(waveform)
        difference = float(np.abs(probs - expected).max()) if probs.shape == expected.shape else float("nan")
        # Not `>`: a NaN fails every comparison.
        if not difference <= tolerance:
            raise LitGenreError(
                f"Nothing was written: the exported model differs from the checkpoint by {difference:.2g} on {name} of "
                f"shape {waveform.shape}, more than {tolerance:g}."
            )
        worst = max(worst, difference)
    return worst


def _waveforms(model: GenreClassifier, songs: list[Path]) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield batches of waveforms of full scale 1, shape (b, n), each with a name for messages."""
    random = np.random.default_rng(0)
    for n_clips, length in _NOISE:
        yield "noise", random.uniform(-0.5, 0.5, (n_clips, round(length * model.clip_samples))).astype(np.float32)
    yield "silence", np.zeros((1, model.clip_samples), dtype=np.float32)
    song = synthesise("Rock", artist=0, track=0, seconds=10, seed=0)
    yield "a synthetic song", _as_batch(soxr.resample(song, SAMPLE_RATE, model.sample_rate), model)
    for path in songs:
        try:
            decoded = decode_track(path, model.sample_rate)
        except AudioError as error:
            raise LitGenreError(f"--check {readable(path)}: {error}.") from error
        with decoded:
            # Four clips are enough to find a difference, and the model takes them as one waveform.
            pcm = np.empty(min(decoded.n_samples, 4 * model.clip_samples), dtype=np.int16)
            decoded.read(0, pcm)
        yield readable(path), _as_batch(pcm / INT16_SCALE, model)


def _as_batch(waveform: NDArray[np.floating[Any]], model: GenreClassifier) -> NDArray[np.float32]:
    """Return a batch of one waveform, float32, shape (1, n), repeated if it is shorter than a clip."""
    return np.resize(waveform, max(len(waveform), model.clip_samples)).astype(np.float32)[None]
