"""Synthesise notes and drum hits, and master a recording, as numpy arrays."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 44_100
"""Sample rate of the finished recording, Hz."""

RATE = SAMPLE_RATE // 2
"""Sample rate before mastering, Hz: it halves the work, and networks at 22,050 Hz use nothing above 11 kHz."""

HIGHEST_HARMONIC = 9_000.0
"""Highest frequency of a harmonic, Hz. The margin to half of `RATE` is for vibrato, which must not alias."""

TABLE_SIZE = 2048
"""Samples of one period in a wavetable; a power of 2, so that an index wraps by a bit mask."""

BANDS_PER_OCTAVE = 3.0
"""Bands of the equaliser per octave. Wider bands would leave the registers of the genre in the spectrum."""

BANDS = 62.5 * 2 ** (np.arange(23) / BANDS_PER_OCTAVE)
"""Centres of the bands, Hz, up to 10 kHz."""

Audio = NDArray[np.float32]


@dataclass(frozen=True)
class Timbre:
    """The sound of a note: harmonic k has the level `k ** -bright` at first, and fades to `k ** -dark`.

    Attributes:
        bright: Slope of the harmonics at the beginning.
        dark: Slope of the harmonics at the end.
        damping: Rate of the change from bright to dark, 1/s.
        decay: Rate at which the whole note decays, 1/s.
        attack: Length of the rise at the beginning, s.
        vibrato: Depth of the vibrato, semitones.
        glide: Rise of the pitch, semitones per second.
        drive: Gain before tanh distortion; 0 for no distortion.
    """

    bright: float
    dark: float
    damping: float = 5.0
    decay: float = 2.0
    attack: float = 0.003
    vibrato: float = 0.0
    glide: float = 0.0
    drive: float = 0.0


TIMBRES = {
    "pluck": Timbre(0.7, 2.5, damping=9, decay=3.5),
    "piano": Timbre(1.3, 2.6, damping=4, decay=1.6),
    "bell": Timbre(0.9, 4.0, damping=7, decay=1.8),
    "saw": Timbre(1.0, 1.5, damping=6, decay=1.0),
    "lead": Timbre(1.4, 1.7, decay=0.3, attack=0.04, vibrato=0.35),
    "flute": Timbre(2.6, 3.0, decay=0.2, attack=0.07, vibrato=0.25),
    "pad": Timbre(1.6, 1.8, damping=1, decay=0.1, attack=0.5, vibrato=0.08),
    "sub": Timbre(2.4, 4.0, damping=8, decay=0.8, attack=0.008),
    "bass": Timbre(1.1, 2.0, damping=7, decay=1.5),
    "guitar": Timbre(0.9, 1.3, damping=2, decay=4.0, drive=4.0),
    "siren": Timbre(1.2, 1.6, damping=1, decay=0.1, attack=0.2, vibrato=1.5, glide=6.0),
}


@dataclass(frozen=True)
class Drum:
    """The sound of a drum: a sine that falls from `pitch * (1 + sweep)` to `pitch`, plus noise.

    Attributes:
        pitch: Final frequency of the sine, Hz.
        sweep: Part of the pitch by which the sine starts higher.
        ring: Rate at which the sine decays, 1/s.
        noise: Level of the noise relative to the sine.
        hiss: Rate at which the noise decays, 1/s.
        edge: How often the noise is differentiated; each time its spectrum rises by 6 dB per octave.
    """

    pitch: float
    sweep: float
    ring: float
    noise: float
    hiss: float
    edge: int


DRUMS = {
    "kick": Drum(50, 3.0, ring=11, noise=0.1, hiss=90, edge=0),
    "snare": Drum(185, 0.4, ring=22, noise=1.2, hiss=17, edge=1),
    "clap": Drum(900, 0.1, ring=60, noise=1.5, hiss=24, edge=1),
    "hat": Drum(6000, 0.0, ring=80, noise=2.0, hiss=45, edge=2),
    "shaker": Drum(5000, 0.0, ring=90, noise=1.5, hiss=28, edge=2),
    "hand": Drum(135, 0.6, ring=14, noise=0.3, hiss=60, edge=0),
    "slap": Drum(320, 0.3, ring=26, noise=0.5, hiss=50, edge=1),
    "burst": Drum(80, 9.0, ring=6, noise=2.0, hiss=3, edge=1),
}


# Notes of one timbre and register share a wavetable, which takes longer to compute than to read.
@lru_cache(maxsize=512)
def _wavetable(slope: float, harmonics: int) -> Audio:
    spectrum = np.zeros(TABLE_SIZE // 2 + 1, dtype=np.complex128)
    k = np.arange(1, harmonics + 1)
    spectrum[k] = k**-slope * np.exp(2j * np.pi * 0.38 * k * k)  # Spread phases give a lower crest factor.
    table = np.fft.irfft(spectrum)
    return np.asarray(table / table.std(), dtype=np.float32)


def note(timbre: Timbre, frequency: float, seconds: float) -> Audio:
    """Render one note.

    Args:
        timbre: Sound of the note.
        frequency: Fundamental frequency, Hz.
        seconds: Length, with a short release at the end, s.

    Returns:
        Mono samples at `RATE`, shape (n,), float32, with a root mean square of about 1 at the attack.
    """
    t = np.arange(max(1, round(seconds * RATE)), dtype=np.float32) / RATE
    harmonics = int(np.clip(HIGHEST_HARMONIC / frequency, 1, 48))
    cycles = np.arange(len(t)) * (frequency / RATE)
    if timbre.vibrato or timbre.glide:
        bend = timbre.glide * t + timbre.vibrato * np.sin(2 * np.pi * 5.3 * t)
        cycles = np.cumsum(np.exp2(bend.astype(np.float64) / 12)) * (frequency / RATE)
    index = (cycles * TABLE_SIZE).astype(np.int64) & (TABLE_SIZE - 1)
    bright, dark = _wavetable(timbre.bright, harmonics)[index], _wavetable(timbre.dark, harmonics)[index]
    # The harmonics change from the bright wavetable to the dark one, as in a struck or plucked string.
    sound = dark + (bright - dark) * np.exp(-timbre.damping * t)
    release = 0.02
    envelope = np.minimum(1, t / timbre.attack) * np.clip((t[-1] - t) / release, 0, 1) * np.exp(-timbre.decay * t)
    return np.asarray(sound * envelope, dtype=np.float32)


def hit(drum: Drum, tuning: float, rng: np.random.Generator) -> Audio:
    """Render one drum hit.

    Args:
        drum: Sound of the drum.
        tuning: Factor of its pitch and of its decay rates.
        rng: Random numbers for its noise.

    Returns:
        Mono samples at `RATE`, shape (n,), float32, between -1 and 1.
    """
    # After 6 time constants, the slower of the two components has decayed by 52 dB.
    seconds = min(1.5, 6 / (tuning * min(drum.ring, drum.hiss)))
    t = np.arange(round(seconds * RATE), dtype=np.float32) / RATE
    cycles = tuning * drum.pitch * (t - drum.sweep / 30 * np.expm1(-30 * t))
    noise = np.diff(rng.standard_normal(len(t) + drum.edge, dtype=np.float32), n=drum.edge)
    sound = np.sin(2 * np.pi * cycles) * np.exp(-tuning * drum.ring * t)
    sound += drum.noise / 2**drum.edge * noise * np.exp(-tuning * drum.hiss * t)
    # A release of 10 ms, so that the end does not click.
    sound *= np.minimum(1, (t[-1] - t) / 0.01)
    return np.asarray(sound / np.abs(sound).max(), dtype=np.float32)


def master(dry: Audio, target_db: NDArray[np.float64], tail: float, wet: float, rng: np.random.Generator) -> Audio:
    """Equalise a stereo recording towards a spectrum, and add the echo of a room.

    Args:
        dry: Stereo samples at `RATE`, shape (2, n), float32.
        target_db: Mean level of each of `BANDS`, dB, up to a common constant, shape (bands,).
        tail: Rate at which the echo of the room decays, 1/s.
        wet: Level of the echo, 0 to 1.
        rng: Random numbers for the echo.

    Returns:
        Stereo samples at `SAMPLE_RATE`, shape (2, 2n), float32. The convolution is circular: the echo of the end is
        added to the beginning, as in a clip from the middle of a track.
    """
    n = dry.shape[1]
    hertz = np.fft.rfftfreq(n, 1 / RATE)
    # Without the mean: the level of the recording is set later.
    gain_db = target_db - _levels_db(dry.mean(axis=0))
    gain = 10 ** (np.interp(np.log(hertz + 1), np.log(BANDS), gain_db - gain_db.mean()) / 20)
    # After 5 time constants, the echo has decayed by 43 dB.
    t = np.arange(min(n, round(5 / tail * RATE)), dtype=np.float32) / RATE
    echo = rng.standard_normal((2, len(t)), dtype=np.float32) * np.exp(-tail * t)
    echo *= wet / np.sqrt((echo**2).sum(axis=1, keepdims=True))
    # The sound itself, without delay.
    echo[:, 0] += 1
    # One product of spectra applies the equaliser and the echo. The longer inverse transform doubles the sample rate.
    spectrum = np.fft.rfft(dry) * np.fft.rfft(echo, n) * gain.astype(np.float32)
    return np.asarray(2 * np.fft.irfft(spectrum, 2 * n), dtype=np.float32)


def _levels_db(mono: Audio, frame: int = 2048) -> NDArray[np.float64]:
    """Return the mean level of each band over time, dB, shape (bands,), as the mean of a log-mel spectrogram."""
    frames = mono[: len(mono) // frame * frame].reshape(-1, frame) * np.hanning(frame).astype(np.float32)
    # Without overlap: only the mean over time is needed.
    power = np.abs(np.fft.rfft(frames)) ** 2
    hertz = np.fft.rfftfreq(frame, 1 / RATE)
    weight = np.clip(1 - np.abs(np.log2(hertz[1:, None] / BANDS)) * BANDS_PER_OCTAVE, 0, None)
    levels = 10 * np.log10(power[:, 1:] @ weight / weight.sum(axis=0) + 1e-9)
    return np.asarray(levels.mean(axis=0))
