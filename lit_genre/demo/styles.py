"""Define the eight genres of the demo: four pairs, whose two genres differ in the order of sounds alone."""

from collections.abc import Mapping
from dataclasses import dataclass

BPM = (90, 106)
"""Range of the tempo of all genres, beats per minute. It is the same, because a tempo changes statistics over time."""

SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "phrygian dominant": (0, 1, 4, 5, 7, 8, 10),
}
"""Semitones of the degrees of each scale above its tonic."""

CHORDS = {"root": (0,), "power": (-7, -3, 0), "triad": (0, 2, 4)}
"""Scale degrees of the notes that sound together, relative to the root of the bar."""


@dataclass(frozen=True)
class Part:
    """The part of one player: its notes, sounds and rhythm.

    Attributes:
        chord: Key of `CHORDS`.
        timbres: Keys of `TIMBRES`, of which a track draws one.
        pattern: Rhythm: `x` is a loud step, `o` a soft one, `.` a rest.
        octave: Octave of the tonic, as in MIDI: 4 is that of middle C.
        hold: Length of a note, steps.
        level: Mean level over tracks, dB.
    """

    chord: str
    timbres: tuple[str, ...]
    pattern: str
    octave: int
    hold: float
    level: float


@dataclass(frozen=True)
class Style:
    """The properties that the tracks of a genre share.

    Attributes:
        scales: Keys of `SCALES`, of which a track draws one.
        progressions: Progressions, of which a track draws one: scale degrees of the roots, one root per bar.
        drums: A pattern for each drum.
        parts: The other players.
    """

    scales: tuple[str, ...]
    progressions: tuple[tuple[int, ...], ...]
    drums: Mapping[str, str]
    parts: tuple[Part, ...]


def _held(chord: str, timbres: tuple[str, ...], octave: int) -> Part:
    return Part(chord, timbres, "x...............", octave, hold=16, level=-9)


def _short(chord: str, timbres: tuple[str, ...], octave: int, pattern: str) -> Part:
    # Shorter than the two steps to the next note, so that hardly a frame contains two notes.
    return Part(chord, timbres, pattern, octave, hold=1.2, level=0)


def _rock(kick: str, snare: str, hat: str) -> Style:
    return Style(
        scales=("major", "minor", "dorian"),
        progressions=((0, 6, 3, 0), (0, 5, 3, 4), (0, 3, 4, 4)),
        drums={"kick": kick, "snare": snare, "hat": hat},
        parts=(_held("root", ("bass", "guitar"), 2), _held("power", ("guitar",), 3)),
    )


def _electronic(kick: str, clap: str, shaker: str) -> Style:
    return Style(
        scales=("minor", "dorian"),
        progressions=((0, 0, 5, 4), (0, 3), (0,)),
        drums={"kick": kick, "clap": clap, "shaker": shaker},
        parts=(_held("root", ("sub", "bass"), 2), _held("triad", ("pad", "saw"), 4)),
    )


def _folk(low: str, high: str) -> Style:
    return Style(
        scales=("major", "dorian", "phrygian dominant"),
        progressions=((0, 3, 0, 4), (0, 5, 3, 4), (0, 0, 1, 0)),
        drums={"hand": low, "slap": high},
        parts=(_short("root", ("pluck",), 2, low), _short("triad", ("pluck", "piano"), 5, high)),
    )


def _instrumental(low: str, high: str) -> Style:
    return Style(
        scales=("major", "minor", "dorian"),
        progressions=((0, 3, 5, 4), (0, 5, 3, 3), (0, 4)),
        drums={},
        parts=(
            _short("root", ("piano", "bass"), 2, low),
            _held("triad", ("pad",), 4),
            _short("root", ("bell", "flute"), 6, high),
        ),
    )


# The two genres of a pair have the same number of each sound in a bar, and differ in their order alone. The sounds
# follow each other by about 0.3 s, which is the length of the window of the deltas of MFCCs. Statistics over time that
# ignore the order then show little of the difference. A bar of 16 steps lasts 2.3 to 2.7 s.
STYLES: dict[str, Style] = {
    # Two kicks in a row, then snare and hi-hat; against a kick on each beat.
    "Rock": _rock(kick="x.x.....", snare="....x...", hat="......x."),
    "Pop": _rock(kick="x...x...", snare="..x.....", hat="......x."),
    # Kick and clap alternate on the beats; against a broken beat.
    "Electronic": _electronic(kick="x.......x.......", clap="....x.......x...", shaker="..x...x...x...x."),
    "Hip-Hop": _electronic(kick="x.x.............", clap="........x.....x.", shaker="....x.x...x.x..."),
    # A bar of 3 + 3 + 2 eighths, as in a banjo roll; against two low strokes, which begin the baladi rhythm.
    "Folk": _folk(low="x.....x.....x...", high="..x.x...x.x...x."),
    "International": _folk(low="x.x.....x.......", high="....x.x...x.x.x."),
    # Low and high notes alternate; against pairs of low and pairs of high notes.
    "Instrumental": _instrumental(low="x...x...", high="..x...x."),
    "Experimental": _instrumental(low="x.x.....", high="....x.x."),
}
