"""The page as bytes: HTML with the settings of this server, its style sheet and scripts, and synthetic examples.

Nothing of it comes from elsewhere, and what a client sends is never served: the browser plays a song from its own copy.
"""

import html
import io
import json
import threading
from collections.abc import Sequence
from importlib.resources import files
from string import Template
from typing import Final, NamedTuple

import soundfile

from lit_genre.demo.instruments import SAMPLE_RATE
from lit_genre.demo.synth import synthesise
from lit_genre.serve.limits import Limits

_EXAMPLES: Final = ("Rock", "Folk", "Electronic", "Hip-Hop")
_EXAMPLE_SECONDS: Final = 12.0
_STATIC: Final = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "timeline.js": "text/javascript",
    "recorder.js": "text/javascript",
    "worklet.js": "text/javascript",
}


class Resource(NamedTuple):
    """What the server sends for an address."""

    content: bytes
    media_type: str


class Page:
    """All that GET requests can ask for.

    Args:
        backbone: Name of the model's backbone.
        classes: Names of the genres; any text, as data sets and checkpoints choose them.
        limits: Limits of an upload.

    Attributes:
        start: The page itself.
    """

    def __init__(self, backbone: str, classes: Sequence[str], limits: Limits) -> None:
        # A model that has learned other classes would name them for the demo's songs, which helps nobody.
        self._examples = {f"{genre.lower()}.mp3": genre for genre in _EXAMPLES if genre in classes}
        self._audio: dict[str, Resource] = {}
        self._lock = threading.Lock()
        settings = {
            "maxBytes": limits.max_bytes,
            "maxSeconds": limits.max_seconds,
            "tooLarge": limits.too_large,
            "classes": list(classes),
            "examples": list(self._examples),
        }
        text = Template(_read("page.html").decode()).substitute(
            backbone=html.escape(backbone),
            n_genres=len(classes),
            minutes=f"{limits.max_seconds / 60:g}",
            megabytes=f"{limits.max_bytes / 1e6:g}",
            settings=html.escape(json.dumps(settings)),
        )
        self._static = {name: Resource(_read(name), f"{kind}; charset=utf-8") for name, kind in _STATIC.items()}
        self.start = Resource(text.encode(), "text/html; charset=utf-8")

    def find(self, name: str) -> Resource | None:
        """Return a style sheet or a script; None if there is no such part."""
        return self._static.get(name)

    def find_example(self, name: str) -> Resource | None:
        """Return a synthetic song, which is composed when it is first asked for; None if there is no such song."""
        if name not in self._examples:
            return None
        with self._lock:
            if name not in self._audio:
                self._audio[name] = Resource(_compose(self._examples[name]), "audio/mpeg")
            return self._audio[name]


def _compose(genre: str) -> bytes:
    number = _EXAMPLES.index(genre)
    file = io.BytesIO()
    song = synthesise(genre, artist=90 + number, track=900 + number, seconds=_EXAMPLE_SECONDS, seed=0)
    soundfile.write(file, song, SAMPLE_RATE, format="MP3")
    return file.getvalue()


def _read(name: str) -> bytes:
    return (files("lit_genre.serve") / name).read_bytes()
