"""Build what GET requests return: the HTML page, its style sheet and scripts, and synthetic examples.

Nothing comes from other servers, and uploads are never served: the browser plays a song from its own copy.
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
from lit_genre.demo.synth import GENRES, synthesise
from lit_genre.serve.limits import Limits

_EXAMPLE_SECONDS: Final = 12.0
_STATIC: Final = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "timeline.js": "text/javascript",
    "recorder.js": "text/javascript",
    "worklet.js": "text/javascript",
}


class Resource(NamedTuple):
    """Content that the server sends for an address.

    Attributes:
        content: Body of the response.
        media_type: Its media type, such as "text/html; charset=utf-8".
    """

    content: bytes
    media_type: str


class Page:
    """Everything that GET requests can return.

    Args:
        backbone: Name of the model's backbone.
        classes: Class names. They come from a checkpoint and are not trusted: they may contain markup.
        limits: Limits of an upload.

    Attributes:
        index: The HTML page.
    """

    def __init__(self, backbone: str, classes: Sequence[str], limits: Limits) -> None:
        # A model cannot predict the genre of an example if that is not one of its classes.
        self._examples = {f"{genre.lower()}.mp3": genre for genre in GENRES if genre in classes}
        self._audio: dict[str, Resource] = {}
        self._lock = threading.Lock()
        settings = {
            "maxBytes": limits.max_bytes,
            "maxSeconds": limits.max_seconds,
            "tooLarge": limits.too_large,
            "classes": list(classes),
            "examples": [{"name": name, "genre": genre} for name, genre in self._examples.items()],
        }
        text = Template(_read("page.html").decode()).substitute(
            backbone=html.escape(backbone),
            n_genres=len(classes),
            minutes=f"{limits.max_seconds / 60:g}",
            megabytes=f"{limits.max_bytes / 1e6:g}",
            # In an attribute: the security policy allows no scripts inside the page.
            settings=html.escape(json.dumps(settings)),
        )
        self._static = {name: Resource(_read(name), f"{kind}; charset=utf-8") for name, kind in _STATIC.items()}
        self.index = Resource(text.encode(), "text/html; charset=utf-8")

    def find(self, name: str) -> Resource | None:
        """Return a style sheet or a script.

        Args:
            name: Name of the file, from the address.

        Returns:
            The file, or None if there is none of this name.
        """
        return self._static.get(name)

    def find_example(self, name: str) -> Resource | None:
        """Return a synthetic song, as MP3.

        Args:
            name: Name of the song, from the address, such as "rock.mp3".

        Returns:
            The song, or None if there is none of this name.
        """
        if name not in self._examples:
            return None
        # Synthesised at the first request, since it takes seconds; the lock keeps other threads from doing it too.
        with self._lock:
            if name not in self._audio:
                self._audio[name] = Resource(_synthesise_mp3(self._examples[name]), "audio/mpeg")
            return self._audio[name]


def _synthesise_mp3(genre: str) -> bytes:
    # Artists and tracks that the demo data set, with its default size, does not contain.
    number = GENRES.index(genre)
    file = io.BytesIO()
    song = synthesise(genre, artist=90 + number, track=900 + number, seconds=_EXAMPLE_SECONDS, seed=0)
    soundfile.write(file, song, SAMPLE_RATE, format="MP3")
    return file.getvalue()


def _read(name: str) -> bytes:
    return (files("lit_genre.serve") / name).read_bytes()
