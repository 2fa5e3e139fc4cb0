"""Define the eight genres of the demo by tempo, rhythm, harmony and figures."""

from collections.abc import Mapping
from dataclasses import dataclass

SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "phrygian dominant": (0, 1, 4, 5, 7, 8, 10),
    "cluster": (0, 1, 2, 6, 7, 8, 11),
}
"""Semitones of the degrees of each scale above its tonic."""

FIGURES: dict[str, tuple[tuple[int, ...], ...] | None] = {
    "root": ((0,),),
    "chord": ((0, 2, 4),),
    "power": ((-7, -3, 0),),
    "arpeggio": ((0,), (4,), (7,), (2,), (4,), (9,), (7,), (4,)),
    "climb": ((0,), (2,), (4,), (7,)),
    "melody": None,
}
"""Scale degrees of each note of a figure, relative to the root of the chord; None for a melody that a track draws."""


@dataclass(frozen=True)
class Part:
    """The part of one player: its notes, sounds and rhythms.

    Attributes:
        figure: Key of `FIGURES`.
        timbres: Keys of `TIMBRES`, of which a track draws one.
        patterns: Rhythms, of which a track draws one: `x` is a loud step, `o` a soft one, `?` a possible one, `.` a
            rest.
        octave: Octave of the tonic, as in MIDI: 4 is that of middle C.
        hold: Length of a note, steps.
    """

    figure: str
    timbres: tuple[str, ...]
    patterns: tuple[str, ...]
    octave: int
    hold: float


@dataclass(frozen=True)
class Style:
    """The properties that the tracks of a genre share; the length of a pattern is one bar, in sixteenths.

    Attributes:
        bpm: Range of the tempo, beats per minute.
        scales: Keys of `SCALES`, of which a track draws one.
        progressions: Progressions, of which a track draws one: scale degrees of the chords, one chord per bar.
        drums: Drum kits, of which a track draws one: a pattern for each drum.
        bass: Part of the bass, None for none; the same for harmony and lead.
        harmony: Part of the harmony.
        lead: Part of the lead.
        swing: Delay of every second step, in steps.
        pump: Depth, 0 to 1, by which each beat lowers the level of the other players.
    """

    bpm: tuple[float, float]
    scales: tuple[str, ...]
    progressions: tuple[tuple[int, ...], ...]
    # One kit without drums, and not no kit, because each track draws a kit.
    drums: tuple[Mapping[str, str], ...] = ({},)
    bass: Part | None = None
    harmony: Part | None = None
    lead: Part | None = None
    swing: float = 0.0
    pump: float = 0.0


EIGHTHS, BACKBEAT = "x.o.x.o.x.o.x.o.", "....x.......x..."

# A value that is listed twice is drawn twice as often. International has bars of 10, 12 or 14 steps, the others of 16.
STYLES: dict[str, Style] = {
    "Hip-Hop": Style(
        bpm=(80, 98),
        swing=0.3,
        scales=("minor", "dorian"),
        progressions=((0, 0, 5, 4), (0, 3), (0,)),
        drums=(
            {"kick": "x......x..x.....", "snare": BACKBEAT, "hat": EIGHTHS},
            {"kick": "x..x......xx....", "snare": BACKBEAT, "hat": "x.oox.o.x.oox.oo"},
            {"kick": "x.x....x.x......", "clap": BACKBEAT, "shaker": EIGHTHS},
        ),
        bass=Part("root", ("sub", "bass"), ("x......x..x.....", "x..x......x.....", "x.........x..x.."), 2, 4),
        harmony=Part(
            "chord",
            ("piano", "bell", "saw"),
            ("x.....x.........", "..x.......x.....", "x..............."),
            4,
            3,
        ),
    ),
    "Electronic": Style(
        bpm=(120, 135),
        pump=0.95,
        scales=("minor", "dorian"),
        progressions=((0, 0, 5, 6), (0,), (0, 3)),
        drums=(
            {"kick": "x...x...x...x...", "hat": "..x...x...x...x."},
            {"kick": "x...x...x...x...", "clap": BACKBEAT, "hat": "o.x.o.x.o.x.o.x."},
            {"kick": "x...x...x...x...", "shaker": "..xo..xo..xo..xo"},
        ),
        bass=Part("root", ("bass", "sub", "saw"), (".xxx.xxx.xxx.xxx", "..x...x...x...x."), 2, 2),
        harmony=Part(
            "climb",
            ("saw", "pluck", "bell"),
            ("xoxxoxxoxoxxoxxo", "xxxxxxxxxxxxxxxx", "x.xx.xx.x.xx.xx."),
            5,
            3,
        ),
        lead=Part("chord", ("pad", "saw"), ("x...............",), 4, 18),
    ),
    "Rock": Style(
        bpm=(110, 150),
        scales=("minor", "dorian", "major"),
        progressions=((0, 6, 3, 0), (0, 5, 2, 6), (0, 3, 4, 4)),
        drums=(
            {"kick": "x.......x.x.....", "snare": BACKBEAT, "hat": EIGHTHS},
            {"kick": "x.x.....x.x.....", "snare": BACKBEAT, "hat": "x...x...x...x..."},
            {"kick": "x.....x.x.......", "snare": "..x...x...x...x.", "hat": EIGHTHS},
        ),
        bass=Part("root", ("bass", "guitar"), ("x.x.x.x.x.x.x.x.",), 2, 2),
        harmony=Part("power", ("guitar",), ("x..xx.x.x..xx.x.", "x.xxx.x.x.xxx.x.", "x..x..x.x..x..x."), 4, 1.5),
        lead=Part("melody", ("guitar", "lead"), ("........x.x.x...", "................"), 5, 3),
    ),
    "Folk": Style(
        bpm=(70, 110),
        scales=("major", "major", "dorian"),
        progressions=((0, 3, 0, 4), (0, 5, 3, 4), (0, 4, 5, 3)),
        bass=Part("root", ("pluck", "bass"), ("x.......o.......", "x...o...x...o..."), 3, 6),
        harmony=Part("arpeggio", ("pluck", "pluck", "piano"), ("xoxoxoxoxoxoxoxo", "xoxxxoxoxoxxxoxo"), 4, 3),
        lead=Part("melody", ("pluck", "bell"), ("x.....x.x.......", "................"), 5, 6),
    ),
    "Pop": Style(
        bpm=(100, 126),
        scales=("major",),
        progressions=((0, 4, 5, 3), (5, 3, 0, 4), (0, 5, 3, 4)),
        drums=(
            {"kick": "x.....x.x.......", "clap": BACKBEAT, "hat": EIGHTHS},
            {"kick": "x..x..x...x.....", "snare": BACKBEAT, "hat": EIGHTHS},
        ),
        bass=Part("root", ("bass", "sub"), ("x.....x.x.....x.", "x..x..x.x..x..x."), 2, 3),
        harmony=Part("chord", ("pad", "saw", "piano"), ("x...............", "x.......x......."), 4, 12),
        lead=Part("melody", ("lead", "flute", "lead"), ("x...x...x...x.x.", "x.....x.x...x..."), 5, 5),
    ),
    "International": Style(
        bpm=(66, 92),
        scales=("phrygian dominant", "phrygian dominant", "dorian"),
        progressions=((0,), (0, 0, 1, 0)),
        drums=(
            {"hand": "x..o..x.x.o.x.", "slap": "..x.o...o.x.oo"},
            {"hand": "x..x.o....", "slap": "..o..ox.xo"},
            {"hand": "x.o..x.x.o..", "slap": "..x.o.o.x.oo", "shaker": "x..x..x..x.."},
        ),
        bass=Part("chord", ("pad", "saw"), ("x.............",), 3, 16),
        lead=Part("melody", ("pluck", "pluck", "bell"), ("x.xox.xxo.x.x.", "xoxxo.x.xo", "x.ox.xx.oxx."), 5, 2),
    ),
    "Instrumental": Style(
        bpm=(52, 76),
        scales=("major", "minor", "dorian"),
        progressions=((0, 3, 5, 4), (0, 5, 3, 3), (0, 4)),
        bass=Part("root", ("pad",), ("x...............",), 2, 18),
        harmony=Part("chord", ("pad", "pad", "piano"), ("x.......o.......", "x..............."), 4, 16),
        lead=Part(
            "melody",
            ("piano", "bell", "flute"),
            ("x.....o...x.....", "....x...o.......", "x.......?...?..."),
            5,
            8,
        ),
    ),
    "Experimental": Style(
        bpm=(60, 150),
        swing=0.4,
        scales=("cluster",),
        progressions=((0, 4, 1), (0,), (0, 2)),
        drums=(
            {"burst": "?..?...?.....?.."},
            {"slap": "?.??..?...?.???.", "burst": "?.....?...?...?."},
            {"burst": "...?....?....?..", "kick": "?....?..?.?....?"},
        ),
        bass=Part("chord", ("saw", "siren"), ("?.......?.......",), 3, 12),
        harmony=Part("melody", ("bell", "pluck", "siren"), ("?.?..??...?.??..", "??..?.....???..."), 5, 3),
        lead=Part("root", ("siren",), ("?......?........",), 4, 12),
    ),
}
