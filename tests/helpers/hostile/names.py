"""Names that mean something to what shows them, and how a test reads back what was shown."""

import csv
import re
from html.parser import HTMLParser
from pathlib import Path

import torch
from markdown_it import MarkdownIt

from lit_genre.data.metadata.track import Track
from lit_genre.model.metrics import TrackScores
from lit_genre.text import one_line

NAMES = (
    "[/x]",
    "exp [lr=0.1]",
    "[bold red]Pop[/bold red]",
    "[link=file:///x]Jazz[/link]",
    ":warning: Blues",
    "$uicide$",
    r"\frac{1}{0}$x_{1$",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "R&B &lt;b&gt; \"x\" 'y'",
    "=cmd|' /C calc'!A0",
    "+44",
    "-5",
    "@SUM(A1:A9)",
    "\t=1+1",
    "Rock;=1+1",
    "\uff1d1+1",
    "a|b",
    "**Folk** _x_ `y` ~~z~~",
    "[click](https://example.com) ![](x)",
    "https://example.com www.example.com",
    "\x1b[2J\x1b[31mred",
    "\x1b]8;;https://example.com\x1b\\link\x1b]8;;\x1b\\",
    "\x1b]52;c;ZWNobw==\x07clipboard",
    "\x9b2J",
    "over\rwritten",
    "two\nlines",
    "evil\u202egnp.exe",
    "\u2066isolate\u2069 \u200ehidden\u00ad",
    "\u2028line \x0bseparators\x0c \x85",
    "n" * 300,
    "Z" + "\u0301\u0337" * 40,
    "日本のロック\u3000演歌",
    "🎸 👩\u200d🎤",
    "עברית 123 العربية",
    "100% {0} {name} %s $title ${summary} %(x)d",
    r"C:\new\table\x41",
    "# heading",
    "_private",
    "__init__",
    "genre",
    "predicted",
    "track_id",
    "title",
    "--help",
    "'; rm -rf ~; '",
    "²",
    "+-1",
    " ",
)
"""Used as the names of genres, tracks, files, folders, runs and packages."""

RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""What commands a terminal, or hides or reorders text; lines and tabs are not among it."""

FORMULA = re.compile(r"\s*[=+\-@\uff1d]")


def assert_clean(text: str) -> None:
    """Fail where something is in a text that a terminal obeys."""
    found = RAW.search(text)
    assert found is None, f"{found} in {text[max(0, found.start() - 40) :]!r}"


def folder_name(name: str) -> str:
    """Return a name as a file system takes it."""
    return name.replace("/", "\u2215")[:80].rstrip()


def squeezed(text: str) -> str:
    """Return a text without the spaces and lines by which a table breaks it."""
    return re.sub(r"[\s│┃]+", "", text)


class Page(HTMLParser):
    """Collects the tags with their attributes, and the text, of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[tuple[str, tuple[str, ...]]] = set()
        self.cells: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add((tag, tuple(name for name, _ in attrs)))
        if tag in ("td", "button"):
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        if self.cells:
            self.cells[-1] += data


class Markdown:
    """Collects the kinds of elements, and the text of each block, of a text in Markdown."""

    def __init__(self, text: str) -> None:
        tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
        inner = [token.children or [] for token in tokens if token.type == "inline"]
        self.kinds = {token.type for token in tokens} | {token.type for children in inner for token in children}
        self.texts = ["".join(token.content for token in children) for children in inner]


def scores(n_classes: int = len(NAMES)) -> TrackScores:
    """A track of each class, all recognised."""
    return TrackScores(torch.arange(1, n_classes + 1), torch.eye(n_classes), torch.arange(n_classes))


def tracks() -> list[Track]:
    return [Track(i, "train", name, (name,), name, i, name, -1) for i, name in enumerate(NAMES, start=1)]


def cells(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def assert_no_formula(path: Path) -> None:
    for cell in (cell for row in cells(path) for cell in row):
        # A spreadsheet may also separate cells by these.
        for part in re.split("[;\t\r\n]", cell):
            assert not FORMULA.match(part) or re.fullmatch(r"-?[0-9.]+", part), repr(cell)


def assert_shown(out: str) -> None:
    assert_clean(out)
    for name in NAMES:
        assert squeezed(one_line(name)) in squeezed(out), repr(name)
