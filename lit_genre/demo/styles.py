"""What makes the demo's eight genres: tempo, rhythm, harmony and figures, as a table of strings and numbers."""

from collections.abc import Mapping
from dataclasses import dataclass

SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "phrygian dominant": (0, 1, 4, 5, 7, 8, 10),
    "cluster": (0, 1, 2, 6, 7, 8, 11),
}
# Scale degrees that sound at the n-th note of a figure, above the chord's root; None follows the track's own motif.
FIGURES: dict[str, tuple[tuple[int, ...], ...] | None] = {
    "root": ((0,),),
    "chord": ((0, 2, 4),),
    "power": ((-7, -3, 0),),
    "arpeggio": ((0,), (4,), (7,), (2,), (4,), (9,), (7,), (4,)),
    "climb": ((0,), (2,), (4,), (7,)),
    "melody": None,
}


@dataclass(frozen=True)
class Part:
    """What one player does: in a pattern, `x` is a loud step, `o` a soft one, `?` perhaps, `.` a rest."""

    figure: str
    timbres: tuple[str, ...]
    patterns: tuple[str, ...]
    octave: int  # of the tonic, as in MIDI: 4 is middle C
    hold: float  # steps


@dataclass(frozen=True)
class Style:
    """What tracks of one genre share; the length of the patterns is the bar, in sixteenths."""

    bpm: tuple[float, float]
    scales: tuple[str, ...]
    progressions: tuple[tuple[int, ...], ...]  # scale degrees, one chord a bar
    drums: tuple[Mapping[str, str], ...] = ({},)
    bass: Part | None = None
    harmony: Part | None = None
    lead: Part | None = None
    swing: float = 0.0  # delay of every second step, in steps
    pump: float = 0.0  # how far the beat ducks the other players, 0 to 1


EIGHTHS, BACKBEAT = "x.o.x.o.x.o.x.o.", "....x.......x..."

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
