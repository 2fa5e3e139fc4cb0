"""A song for the eye, as HTML: player, spectrogram and genres over time on one axis, with a cursor that moves along.

It needs nothing from elsewhere: the picture is in the page, and the player's own events move the cursor.
"""

import base64
import html
import io
import json
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lit_genre.answer.listen import Answer
from lit_genre.answer.tables import clock, moments

_HEIGHT: Final = 140

STYLE: Final = """
.lg-song audio { width: 100%; }
.lg-axis { position: relative; cursor: crosshair; user-select: none; touch-action: manipulation; }
.lg-axis img, .lg-axis svg { display: block; width: 100%; height: 140px; }
.lg-axis img { border-radius: 6px 6px 0 0; }
.lg-axis svg { border-radius: 0 0 6px 6px; }
.lg-cursor { position: absolute; top: 0; bottom: 0; left: 0; width: 2px; margin-left: -1px; background: #fff;
  box-shadow: 0 0 0 1px #0009; pointer-events: none; }
.lg-now { font-variant-numeric: tabular-nums; min-height: 1.6em; margin: .4em 0; font-size: 1.1em; }
.lg-ends { display: flex; justify-content: space-between; font-size: .85em; opacity: .75; }
.lg-legend { display: flex; flex-wrap: wrap; gap: .2em 1em; font-size: .9em; margin-top: .4em; }
.lg-legend i { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin-right: .35em; }
.lg-message { padding: .8em 1em; border-radius: 6px; background: #b91c1c1a; border: 1px solid #b91c1c66; }
"""

# Of the player, in whose element they stand: `ontimeupdate` moves the cursor, a click on the axis moves the player.
_MOVE: Final = (
    "const s=this.closest('.lg-song'),d=JSON.parse(s.dataset.moments),t=this.currentTime,n=+s.dataset.seconds;"
    "s.querySelector('.lg-cursor').style.left=Math.min(100,100*t/n)+'%';"
    "let m=d[0];for(const e of d)if(e[0]<=t)m=e;s.querySelector('.lg-now').textContent=m[1];"
)
_SEEK: Final = (
    "const s=this.closest('.lg-song'),b=this.getBoundingClientRect(),a=s.querySelector('audio');"
    "a.currentTime=(event.clientX-b.left)/b.width*s.dataset.seconds;"
)


def colours(count: int) -> list[str]:
    """Choose colours that can be told apart, as hex."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return [to_hex(colormaps["tab20"](place % 20)) for place in range(count)]


def song_html(
    answer: Answer, classes: Sequence[str], spectrogram: NDArray[np.float32], url: str, seconds: float
) -> str:
    """Draw a song.

    Args:
        answer: What the model says of it.
        classes: Names of the genres.
        spectrogram: Shape (m, columns), 0 to 1, low bands first.
        url: Address of the audio.
        seconds: Length of a clip.
    """
    spoken = [
        [start, f"{clock(start)} – {clock(end)}: {classes[int(probs.argmax())]}, {float(probs.max()):.0%}"]
        for start, end, probs in moments(answer, seconds)
    ]
    attributes = f'data-seconds="{answer.seconds:.3f}" data-moments="{html.escape(json.dumps(spoken))}"'
    return (
        f'<div class="lg-song" {attributes}>'
        f'<audio controls src="{html.escape(url)}" ontimeupdate="{_MOVE}"></audio>'
        f'<div class="lg-now" aria-live="off">{html.escape(str(spoken[0][1]))}</div>'
        f'<div class="lg-axis" onclick="{_SEEK}">'
        f'<img alt="Mel spectrogram of the song" src="{_as_png(spectrogram)}">'
        f"{_areas(answer, classes)}"
        '<div class="lg-cursor"></div></div>'
        f'<div class="lg-ends"><span>0:00</span><span>{clock(answer.seconds)}</span></div>'
        f"{_legend(answer.probs, classes)}</div>"
    )


def message_html(text: str) -> str:
    """Show why there is no answer."""
    return f'<div class="lg-message" role="alert">{html.escape(text)}</div>'


def _as_png(spectrogram: NDArray[np.float32]) -> str:
    from matplotlib import colormaps
    from PIL import Image

    pixels = (colormaps["magma"](spectrogram[::-1])[:, :, :3] * 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def _areas(answer: Answer, classes: Sequence[str]) -> str:
    """Stack the probabilities of the genres over time, those of a clip from its begin to that of the next."""
    shares = answer.clip_probs / answer.clip_probs.sum(1, keepdim=True)
    upper = shares.cumsum(1)
    edges = [*answer.starts.tolist(), answer.seconds]
    parts = []
    for place, (name, colour) in enumerate(zip(classes, colours(len(classes)), strict=True)):
        above, under = (1 - upper[:, place]).tolist(), (1 - upper[:, place] + shares[:, place]).tolist()
        points = " ".join(_steps(edges, above) + _steps(edges, under)[::-1])
        parts.append(f'<polygon points="{points}" fill="{colour}"><title>{html.escape(name)}</title></polygon>')
    box = f'viewBox="0 0 {answer.seconds:.3f} 1" preserveAspectRatio="none" role="img" aria-label="Genres over time"'
    return f"<svg {box}>{''.join(parts)}</svg>"


def _steps(edges: list[float], heights: list[float]) -> list[str]:
    return [
        f"{edge:.3f},{height:.4f}"
        for left, right, height in zip(edges, edges[1:], heights, strict=False)
        for edge in (left, right)
    ]


def _legend(probs: Tensor, classes: Sequence[str]) -> str:
    shades = colours(len(classes))
    entries = (
        f'<span><i style="background:{shades[place]}"></i>{html.escape(classes[place])}</span>'
        for place in probs.argsort(descending=True).tolist()
    )
    return f'<div class="lg-legend">{"".join(entries)}</div>'
