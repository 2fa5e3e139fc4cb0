"""One model that many ask at once: limits of size and length, and what is said of a file that breaks them."""

import os
import threading
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lit_genre.answer.command import batch_size_of
from lit_genre.answer.listen import Answer, listen
from lit_genre.data.audio import INT16_SCALE, AudioError
from lit_genre.data.songs import SongClips, decode_song
from lit_genre.model.classifier import GenreClassifier
from lit_genre.model.frontend import SILENCE, LogMel

_COLUMNS = 1200
"""Of the picture of a spectrogram, at most."""


@dataclass
class Hearing:
    """Answers whoever asks: as many files as there are cores are decoded at once, one is heard.

    Attributes:
        model: On its device, in evaluation mode.
        max_bytes: Of a file.
        max_seconds: Of a song.
    """

    model: GenreClassifier
    max_bytes: int
    max_seconds: float
    _turns: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(os.cpu_count() or 1))
    _model_turn: threading.Lock = field(default_factory=threading.Lock)

    @property
    def clip_seconds(self) -> float:
        """Length of the clips that the model hears, s."""
        return self.model.clip_samples / self.model.sample_rate

    def hear(self, path: Path) -> Answer:
        """Answer about a file.

        Raises:
            AudioError: It is too large, too long, or no audio; the text says so to whoever sent it.
        """
        if path.stat().st_size > self.max_bytes:
            raise AudioError(self.too_large)
        with self._turns:
            songs = SongClips(
                [path],
                self.model.sample_rate,
                self.model.clip_samples,
                batch_size_of(self.model),
                workers=1,
                max_seconds=self.max_seconds,
            )
            clips = list(songs)
            with self._model_turn:
                answers = list(listen(self.model, clips, songs.seconds))
        if not answers:
            raise AudioError(songs.failures[0])
        return answers[0]

    @property
    def too_large(self) -> str:
        """What is said of a file that is too large."""
        return f"larger than {self.max_bytes / 1e6:g} MB"

    def look(self, path: Path) -> NDArray[np.float32]:
        """Compute the spectrogram of a whole file for the eye.

        Returns:
            Shape (m, columns), 0 for the floor of 80 dB below the loudest, 1 for the loudest; low bands first.
        """
        frontend = LogMel(self.model.sample_rate)
        with self._turns:
            song = decode_song(path, self.model.sample_rate, self.max_seconds)
            with song.pcm:
                powers = []
                piece = np.empty(frontend.hop_length * 1000, dtype=np.int16)
                for start in range(0, song.n_samples, len(piece)):
                    part = piece[: min(len(piece), song.n_samples - start)]
                    song.read(start, part)
                    with torch.inference_mode():
                        powers.append(frontend.power(torch.from_numpy(part / np.float32(INT16_SCALE))[None])[0])
        power = torch.cat(powers, dim=1)
        columns = min(_COLUMNS, power.shape[1])
        power = torch.nn.functional.adaptive_avg_pool1d(power, columns)
        decibels = 10 * torch.log10((power / power.max().clamp(min=SILENCE)).clamp(min=1e-8))
        return np.asarray((decibels / 80 + 1).numpy(), dtype=np.float32)
