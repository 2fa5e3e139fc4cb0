"""Composes and performs one track: eight caricatures of genres, told apart by rhythm, harmony and texture.

The genre says how a track moves (tempo, drums, chords, figures), the track itself its key, patterns and chance, and the
artist its production. All are equalised towards one spectrum, so that little of the genre is in the long-term
spectrum and much in its course: a classifier must listen.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from lit_genre.demo.instruments import BANDS, DRUMS, RATE, TIMBRES, Audio, hit, master, note
from lit_genre.demo.styles import FIGURES, SCALES, STYLES, Part, Style

GENRES = tuple(sorted(STYLES))
ODD_TRACKS = 0.08  # share of tracks that borrow one trait from a genre drawn at random
EQ_SPREAD = 1.2  # dB, by which each band differs from artist to artist, and again from track to track


@dataclass(frozen=True)
class _Score:
    """The frame of one track, which all players share.

    Attributes:
        step: Seconds of a sixteenth.
        grid: Number and onset in samples of every step; the bar begins at multiples of its length.
        scale: Semitones of its degrees above the tonic.
        progression: Degree on which each bar's chord stands.
        tonic: Frequency in Hz of the tonic in octave 0.
    """

    step: float
    grid: list[tuple[int, int]]
    scale: tuple[int, ...]
    progression: tuple[int, ...]
    tonic: float

    def frequency(self, degree: int, octave: int) -> float:
        """Hz of a degree of the scale, which may lie outside of the octave."""
        above, step = divmod(degree, len(self.scale))
        return float(self.tonic * 2 ** (octave + above + self.scale[step] / 12))


def synthesise(genre: str, artist: int, track: int, seconds: float, seed: int) -> NDArray[np.float32]:
    """Compose, perform and produce one track.

    Args:
        genre: One of `GENRES`.
        artist: Number of the artist, whose tracks share their production whatever the genre.
        track: Number of the track; no two sound alike.
        seconds: Length of the recording, at least 1.
        seed: Seed of the whole data set.

    Shape:
        (n, 2), stereo at 44.1 kHz, within [-1, 1].
    """
    rng = np.random.default_rng([seed, 1, track])
    studio = np.random.default_rng([seed, 2, artist])
    style = _odd(STYLES[genre], rng) if rng.random() < ODD_TRACKS else STYLES[genre]
    score = _compose(style, seconds, 2 ** (studio.normal(scale=0.4) / 12), rng)
    recording = _perform(style, score, round(seconds * RATE), rng)
    return np.ascontiguousarray(_produce(recording, studio, rng).T)


def _odd(style: Style, rng: np.random.Generator) -> Style:
    trait = rng.choice([field.name for field in fields(Style)])
    other = STYLES[str(rng.choice(GENRES))]
    return replace(style, **{trait: getattr(other, trait)})


def _compose(style: Style, seconds: float, tuning: float, rng: np.random.Generator) -> _Score:
    step = 15 / rng.uniform(*style.bpm)
    order = np.arange(int(seconds / step) + 32) - rng.integers(32)  # the recording begins anywhere in a bar
    onsets = (np.arange(len(order)) - 16 + style.swing * (order % 2)) * step  # and amid notes that sound already
    onsets += rng.normal(scale=0.006, size=len(order))
    grid = list(zip(order.tolist(), (onsets * RATE).astype(int).tolist(), strict=True))
    tonic = tuning * 440 * 2 ** ((rng.integers(-5, 7) - 57) / 12)
    scale = SCALES[str(rng.choice(style.scales))]
    return _Score(step, grid, scale, style.progressions[rng.integers(len(style.progressions))], tonic)


def _perform(style: Style, score: _Score, n_samples: int, rng: np.random.Generator) -> Audio:
    """Add up the players, each at a loudness and a place in the stereo field that the track draws."""
    mix = np.zeros((2, n_samples), dtype=np.float32)
    for part in (style.bass, style.harmony, style.lead):
        if part:
            player = _play(part, score, n_samples, rng)
            _add(mix, player, loudness=rng.normal(-3, 2), pan=rng.uniform(0.3, 0.7))
    if style.pump:
        first_beat = next(onset for order, onset in score.grid if order % 4 == 0)
        beats = (np.arange(n_samples) - first_beat) / (4 * score.step * RATE)
        mix *= (1 - style.pump * np.exp(-4 * (beats % 1))).astype(np.float32)
    drums = _drum(style.drums[rng.integers(len(style.drums))], score, n_samples, rng)
    _add(mix, drums, loudness=rng.normal(5, 1), pan=rng.uniform(0.45, 0.55))
    return mix


def _play(part: Part, score: _Score, n_samples: int, rng: np.random.Generator) -> Audio:
    timbre = TIMBRES[str(rng.choice(part.timbres))]
    pattern = str(rng.choice(part.patterns))
    motif = np.cumsum(rng.choice((-2, -1, -1, 0, 1, 1, 2), size=32)) % 9
    figure = FIGURES[part.figure] or tuple((int(degree),) for degree in motif)
    player = np.zeros(n_samples, dtype=np.float32)
    rendered: dict[tuple[int, ...], Audio] = {}
    for count, (order, onset, velocity) in enumerate(_strikes(pattern, score, rng)):
        root = score.progression[order // len(pattern) % len(score.progression)]
        chord = tuple(root + degree for degree in figure[count % len(figure)])
        if chord not in rendered:
            notes = [note(timbre, score.frequency(degree, part.octave), part.hold * score.step) for degree in chord]
            sound = np.sum(notes, axis=0)
            rendered[chord] = np.tanh(timbre.drive * sound) if timbre.drive else sound
        _mix_in(player, rendered[chord], onset, velocity)
    return player


def _drum(kit: Mapping[str, str], score: _Score, n_samples: int, rng: np.random.Generator) -> Audio:
    player = np.zeros(n_samples, dtype=np.float32)
    for name, pattern in kit.items():
        sound = hit(DRUMS[name], rng.uniform(0.75, 1.35), rng) * 10 ** (rng.normal(scale=2) / 20)
        for _, onset, velocity in _strikes(pattern, score, rng):
            _mix_in(player, sound, onset, velocity)
    return player


def _strikes(pattern: str, score: _Score, rng: np.random.Generator) -> Iterator[tuple[int, int, float]]:
    """Give the step, the onset in samples and the velocity of every note of a pattern."""
    for order, onset in score.grid:
        symbol = pattern[order % len(pattern)]
        if symbol in "xo" or (symbol == "?" and rng.random() < 0.5):
            yield order, onset, (0.5 if symbol == "o" else 1.0) * rng.uniform(0.75, 1.0)


def _mix_in(player: Audio, sound: Audio, onset: int, velocity: float) -> None:
    begin, end = max(onset, 0), min(onset + len(sound), len(player))
    if begin < end:
        player[begin:end] += velocity * sound[begin - onset : end - onset]


def _add(mix: Audio, player: Audio, loudness: float, pan: float) -> None:
    rms = np.sqrt(np.mean(player**2))
    if rms > 0:
        for channel, share in zip(mix, (1 - pan, pan), strict=True):
            channel += float(10 ** (loudness / 20) / rms * np.sqrt(share)) * player


def _produce(recording: Audio, studio: np.random.Generator, rng: np.random.Generator) -> Audio:
    """Let the artist's studio colour the recording: hiss, equaliser, room, saturation and level."""
    octaves = np.log2(BANDS / 1000)
    spectrum_db = studio.normal(scale=EQ_SPREAD, size=len(BANDS)) + studio.normal(-3, 1) * octaves
    spectrum_db += rng.normal(scale=EQ_SPREAD, size=len(BANDS))
    hiss = 10 ** (studio.uniform(-65, -45) / 20)
    sound = recording + hiss * rng.standard_normal(recording.shape, dtype=np.float32)
    sound = master(sound, spectrum_db, studio.uniform(7, 16), studio.uniform(0.05, 0.2), studio)
    loud = np.tanh(studio.uniform(0.1, 0.4) / sound.std() * sound)
    return np.asarray(studio.uniform(0.4, 0.95) / np.abs(loud).max() * loud, dtype=np.float32)
