"""Synthesise a track in one of eight simplified genres, which differ in instruments and in the order of sounds.

The genre determines instruments, chords and rhythm; the track its key, tempo and sounds; the artist the production. All
tracks are equalised towards one spectrum. The long-term spectrum then shows little of the genre, and a classifier must
use how the spectrum changes over time.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from lit_genre.demo.instruments import BANDS, DRUMS, SAMPLE_RATE, TIMBRES, Audio, equalise, hit, note
from lit_genre.demo.styles import BPM, CHORDS, SCALES, STYLES, Part, Style

GENRES = tuple(sorted(STYLES))
"""Names of the eight genres, which are those of FMA small."""

ODD_TRACKS = 0.08
"""Part of the tracks that have one property of another genre, so that no classifier reaches 100 %."""

BAR = 16
"""Steps of a bar. A pattern of 8 steps is played twice in it."""

EQ_SPREAD = 1.2
"""Standard deviation of the level of a band between artists, and again between tracks, dB."""


@dataclass(frozen=True)
class _Score:
    """The properties of a track that all its players share.

    Attributes:
        step: Length of a sixteenth, s.
        grid: Number and onset, samples, of each step; a bar begins at a multiple of `BAR`.
        scale: Semitones of the degrees of the scale above the tonic.
        progression: Degree of the root of each bar's chord.
        tonic: Frequency of the tonic in octave 0, Hz.
    """

    step: float
    grid: list[tuple[int, int]]
    scale: tuple[int, ...]
    progression: tuple[int, ...]
    tonic: float

    def frequency(self, degree: int, octave: int) -> float:
        """Return the frequency of a degree of the scale, Hz; a degree may be below 0 or above the octave."""
        octaves, step = divmod(degree, len(self.scale))
        return float(self.tonic * 2 ** (octave + octaves + self.scale[step] / 12))


def synthesise(genre: str, artist: int, track: int, seconds: float, seed: int) -> NDArray[np.float32]:
    """Synthesise one track.

    Args:
        genre: One of `GENRES`.
        artist: Id of the artist; the tracks of an artist share their production in any genre.
        track: Id of the track; different ids give different tracks.
        seconds: Length of the track, at least 1 s.
        seed: Seed of the whole data set.

    Returns:
        Mono samples at `SAMPLE_RATE`, shape (n,), float32, between -1 and 1.
    """
    # Separate generators: the production depends on the artist alone, and everything else on the track.
    rng = np.random.default_rng([seed, 1, track])
    studio = np.random.default_rng([seed, 2, artist])
    style = _odd(STYLES[genre], rng) if rng.random() < ODD_TRACKS else STYLES[genre]
    score = _compose(style, seconds, 2 ** (studio.normal(scale=0.4) / 12), rng)
    recording = _perform(style, score, round(seconds * SAMPLE_RATE), rng)
    return _produce(recording, studio, rng)


def _odd(style: Style, rng: np.random.Generator) -> Style:
    """Replace one property of a style by that of a random genre, which may be the same one."""
    trait = rng.choice([field.name for field in fields(Style)])
    other = STYLES[str(rng.choice(GENRES))]
    return replace(style, **{trait: getattr(other, trait)})


def _compose(style: Style, seconds: float, tuning: float, rng: np.random.Generator) -> _Score:
    step = 15 / rng.uniform(*BPM)
    # The recording begins at any step of a bar. Notes begin 16 steps earlier, because they may last into the recording.
    order = np.arange(int(seconds / step) + 32) - rng.integers(32)
    onsets = (np.arange(len(order)) - 16) * step
    # A standard deviation of 6 ms, as in the timing of a human player.
    onsets += rng.normal(scale=0.006, size=len(order))
    grid = list(zip(order.tolist(), (onsets * SAMPLE_RATE).astype(int).tolist(), strict=True))
    # C0 is 57 semitones below A4, 440 Hz. The key is at most 6 semitones from C.
    tonic = tuning * 440 * 2 ** ((rng.integers(-5, 7) - 57) / 12)
    scale = SCALES[str(rng.choice(style.scales))]
    return _Score(step, grid, scale, style.progressions[rng.integers(len(style.progressions))], tonic)


def _perform(style: Style, score: _Score, n_samples: int, rng: np.random.Generator) -> Audio:
    """Mix the players, each with a level that the track draws; shape (n,)."""
    mix = np.zeros(n_samples, dtype=np.float32)
    for part in style.parts:
        _add(mix, _play(part, score, n_samples, rng), rng.normal(part.level, 2))
    _add(mix, _drum(style.drums, score, n_samples, rng), rng.normal(5, 1))
    return mix


def _play(part: Part, score: _Score, n_samples: int, rng: np.random.Generator) -> Audio:
    timbre = TIMBRES[str(rng.choice(part.timbres))]
    player = np.zeros(n_samples, dtype=np.float32)
    rendered: dict[int, Audio] = {}
    for order, onset, velocity in _strikes(part.pattern, score, rng):
        root = score.progression[order // BAR % len(score.progression)]
        # Chords recur often, so each is rendered once.
        if root not in rendered:
            frequencies = [score.frequency(root + degree, part.octave) for degree in CHORDS[part.chord]]
            sound = np.sum([note(timbre, frequency, part.hold * score.step) for frequency in frequencies], axis=0)
            rendered[root] = np.tanh(timbre.drive * sound) if timbre.drive else sound
        _mix_in(player, rendered[root], onset, velocity)
    return player


def _drum(kit: Mapping[str, str], score: _Score, n_samples: int, rng: np.random.Generator) -> Audio:
    player = np.zeros(n_samples, dtype=np.float32)
    for name, pattern in kit.items():
        sound = hit(DRUMS[name], rng.uniform(0.75, 1.35), rng) * 10 ** (rng.normal(scale=2) / 20)
        for _, onset, velocity in _strikes(pattern, score, rng):
            _mix_in(player, sound, onset, velocity)
    return player


def _strikes(pattern: str, score: _Score, rng: np.random.Generator) -> Iterator[tuple[int, int, float]]:
    """Yield step, onset (samples) and velocity of each note of a pattern."""
    for order, onset in score.grid:
        symbol = pattern[order % len(pattern)]
        if symbol != ".":
            yield order, onset, (0.5 if symbol == "o" else 1.0) * rng.uniform(0.75, 1.0)


def _mix_in(player: Audio, sound: Audio, onset: int, velocity: float) -> None:
    begin, end = max(onset, 0), min(onset + len(sound), len(player))
    if begin < end:
        player[begin:end] += velocity * sound[begin - onset : end - onset]


def _add(mix: Audio, player: Audio, level: float) -> None:
    rms = np.sqrt(np.mean(player**2))
    # A player without notes has the level 0, by which the sound cannot be divided.
    if rms > 0:
        mix += np.float32(10 ** (level / 20) / rms) * player


def _produce(recording: Audio, studio: np.random.Generator, rng: np.random.Generator) -> Audio:
    """Apply the production of the artist: noise, equaliser, saturation and level; shape (n,)."""
    octaves = np.log2(BANDS / 1000)
    spectrum_db = studio.normal(scale=EQ_SPREAD, size=len(BANDS)) + studio.normal(-3, 1) * octaves
    spectrum_db += rng.normal(scale=EQ_SPREAD, size=len(BANDS))
    # Loud enough to mask the end of each sound, so that a frame shows little of the sound before.
    hiss = 10 ** (studio.uniform(-42, -30) / 20)
    sound = recording + hiss * rng.standard_normal(recording.shape, dtype=np.float32)
    sound = equalise(sound, spectrum_db)
    # A soft limiter, as in mastering.
    loud = np.tanh(studio.uniform(0.1, 0.4) / sound.std() * sound)
    return np.asarray(studio.uniform(0.4, 0.95) / np.abs(loud).max() * loud, dtype=np.float32)
