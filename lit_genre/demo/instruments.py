"""Synthesise notes and drum hits, and equalise a recording, as numpy arrays."""

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 22_050
"""Sample rate, Hz, which is that of the networks. FMA's clips mostly have 44.1 kHz, which take three times as long."""

HIGHEST_HARMONIC = 9_000.0
"""Highest frequency of a harmonic, Hz. The margin to half of `SAMPLE_RATE` is for vibrato, which must not alias."""

TABLE_SIZE = 2048
"""Samples of one period in a wavetable; a power of 2, so that an index wraps by a bit mask."""

VIBRATO = 5.3
"""Rate of the vibrato, Hz."""

BANDS_PER_OCTAVE = 3.0
"""Bands of the equaliser per octave. Wider bands would leave the registers of the genre in the spectrum."""

BANDS = 62.5 * 2 ** (np.arange(23) / BANDS_PER_OCTAVE)
"""Centres of the bands, Hz, up to 10 kHz."""

Audio: TypeAlias = NDArray[np.float32]


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
        drive: Gain before tanh distortion; 0 for no distortion.
    """

    bright: float
    dark: float
    damping: float = 5.0
    decay: float = 2.0
    attack: float = 0.003
    vibrato: float = 0.0
    drive: float = 0.0


TIMBRES = {
    "pluck": Timbre(0.7, 2.5, damping=9, decay=3.5),
    "piano": Timbre(1.3, 2.6, damping=4, decay=1.6),
    "bell": Timbre(0.9, 4.0, damping=7, decay=1.8),
    "saw": Timbre(1.0, 1.5, damping=6, decay=1.0),
    "flute": Timbre(2.6, 3.0, decay=0.2, attack=0.07, vibrato=0.25),
    "pad": Timbre(1.6, 1.8, damping=1, decay=0.1, attack=0.5, vibrato=0.08),
    "sub": Timbre(2.4, 4.0, damping=8, decay=0.8, attack=0.008),
    "bass": Timbre(1.1, 2.0, damping=7, decay=1.5),
    "guitar": Timbre(0.9, 1.3, damping=2, decay=4.0, drive=4.0),
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
    "kick": Drum(50, 3.0, ring=24, noise=0.1, hiss=90, edge=0),
    "snare": Drum(185, 0.4, ring=30, noise=1.2, hiss=32, edge=1),
    "clap": Drum(900, 0.1, ring=60, noise=1.5, hiss=36, edge=1),
    "hat": Drum(6000, 0.0, ring=80, noise=2.0, hiss=45, edge=2),
    "shaker": Drum(5000, 0.0, ring=90, noise=1.5, hiss=40, edge=2),
    "hand": Drum(135, 0.6, ring=26, noise=0.3, hiss=60, edge=0),
    "slap": Drum(320, 0.3, ring=36, noise=0.5, hiss=50, edge=1),
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
        Mono samples at `SAMPLE_RATE`, shape (n,), float32, with a root mean square of about 1 at the attack.
    """
    # float32 takes half the time of float64. The error of the phase is below a thousandth of a cycle.
    t = np.arange(max(1, round(seconds * SAMPLE_RATE)), dtype=np.float32) / SAMPLE_RATE
    harmonics = int(np.clip(HIGHEST_HARMONIC / frequency, 1, 48))
    cycles = frequency * t
    if timbre.vibrato:
        # The integral of a frequency that varies by a sine.
        depth = timbre.vibrato * np.log(2) / 12
        cycles -= np.float32(frequency * depth / (2 * np.pi * VIBRATO)) * np.cos(np.float32(2 * np.pi * VIBRATO) * t)
    # A negative index wraps as well.
    index = (cycles * TABLE_SIZE).astype(np.int32) & (TABLE_SIZE - 1)
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
        Mono samples at `SAMPLE_RATE`, shape (n,), float32, between -1 and 1.
    """
    # After 6 time constants, the slower of the two components has decayed by 52 dB.
    seconds = min(1.5, 6 / (tuning * min(drum.ring, drum.hiss)))
    t = np.arange(round(seconds * SAMPLE_RATE), dtype=np.float32) / SAMPLE_RATE
    cycles = tuning * drum.pitch * (t - drum.sweep / 30 * np.expm1(-30 * t))
    noise = np.diff(rng.standard_normal(len(t) + drum.edge, dtype=np.float32), n=drum.edge)
    sound = np.sin(2 * np.pi * cycles) * np.exp(-tuning * drum.ring * t)
    sound += drum.noise / 2**drum.edge * noise * np.exp(-tuning * drum.hiss * t)
    # A release of 10 ms, so that the end does not click.
    sound *= np.minimum(1, (t[-1] - t) / 0.01)
    return np.asarray(sound / np.abs(sound).max(), dtype=np.float32)


def equalise(recording: Audio, target_db: NDArray[np.float64]) -> Audio:
    """Equalise a recording towards a spectrum.

    Args:
        recording: Mono samples at `SAMPLE_RATE`, shape (n,), float32.
        target_db: Mean level of each of `BANDS`, dB, up to a common constant, shape (bands,).

    Returns:
        Mono samples, shape (n,), float32.
    """
    # Without the mean: the level of the recording is set later.
    gain_db = target_db - _levels_db(recording)
    gain_db -= gain_db.mean()
    gain = 10 ** (np.interp(_log_hertz(len(recording)), np.log(BANDS), gain_db) / 20)
    spectrum = np.fft.rfft(recording) * gain.astype(np.float32)
    return np.asarray(np.fft.irfft(spectrum, len(recording)), dtype=np.float32)


# The tracks of a data set have the same length.
@lru_cache(maxsize=1)
def _log_hertz(n_samples: int) -> NDArray[np.float64]:
    return np.asarray(np.log(np.fft.rfftfreq(n_samples, 1 / SAMPLE_RATE) + 1), dtype=np.float64)


def _levels_db(mono: Audio, frame: int = 2048) -> NDArray[np.float64]:
    """Return the mean level of each band over time, dB, shape (bands,)."""
    # Without overlap: only the mean over time is needed.
    frames = mono[: len(mono) // frame * frame].reshape(-1, frame) * np.hanning(frame).astype(np.float32)
    spectra = np.fft.rfft(frames)
    power = spectra.real**2 + spectra.imag**2
    # From half a band below the first centre to half a band above the last one.
    borders = BANDS[0] * 2 ** ((np.arange(len(BANDS) + 1) - 0.5) / BANDS_PER_OCTAVE)
    bins = np.minimum(np.rint(borders * frame / SAMPLE_RATE).astype(int), power.shape[1])
    # Sums, as a product with a matrix of weights would start threads of its own in each of ours.
    sums = np.add.reduceat(power[:, : bins[-1]], bins[:-1], axis=1)
    return np.asarray((10 * np.log10(sums / np.diff(bins) + 1e-9)).mean(axis=0), dtype=np.float64)
