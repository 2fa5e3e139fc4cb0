"""Makes text from outside safe to show: on a terminal, in pictures, in spreadsheets and in Markdown.

Names of genres, tracks, files, folders, runs and packages come from data, metadata, configurations and checkpoints,
which anyone may have written. Each medium gives some characters a meaning, and one function here takes it away. HTML is
escaped by `html.escape` (report/page.py), words of a shell by `shlex.quote`, JSON by `json.dumps`.
"""

import re
from typing import Final
from unicodedata import category

SHORT: Final = 24
"""Characters of a name in a picture; a longer one is cut in its middle."""

# Emoji of several characters, and Persian, need these two; both only join or separate their neighbours.
_JOINERS: Final = "\u200c\u200d"

_STARTS_FORMULA: Final = re.compile(r"^(?=[=+\-@＝＋－＠\t\r\n])|(?<=[;\t\r\n])(?=[=+\-@＝＋－＠])")

# Characters that begin or end something within a line. An underscore within a word does not, and is common in names.
_MARKDOWN: Final = re.compile(r"[\\`*\[\]|~$]|(?<![^\W_])_|_(?![^\W_])|(?<=\w):(?=//)|(?<=\bwww)\.")
_ENTITIES: Final = {"<": "&lt;", ">": "&gt;"}
_MARKUP: Final = re.compile(r"[<>]|&(?=#|\w+;)")


def printable(text: str) -> str:
    r"""Replace the characters that command a terminal or reorder a line by their escapes; lines and tabs stay.

    These are control characters, the overrides of Unicode's bidirectional algorithm, other invisible characters and
    bytes that are no UTF-8. What is printable in any script stays as it is.

    >>> print(printable("\x1b[2J one\ntwo\r \u202e three"))
    \x1b[2J one
    two\r \u202e three
    """
    return _escaped(text, "\n\t")


def one_line(text: str) -> str:
    r"""Do as `printable` does, and replace the ends of lines too: for a name within a sentence or a table.

    >>> print(one_line("one\ntwo"))
    one\ntwo
    """
    return _escaped(text, "")


def shorten(text: str, width: int = SHORT) -> str:
    """Cut a name in its middle, for names that differ at their ends only are common; on one line.

    >>> shorten("a name that is much too long", 9)
    'a na…long'
    """
    text = one_line(text)
    return text if len(text) <= width else f"{text[: width // 2]}…{text[len(text) - (width - 1) // 2 :]}"


def spreadsheet_cell(text: str) -> str:
    """Put an apostrophe before a text that a spreadsheet would compute as a formula (OWASP, "CSV Injection").

    A formula also begins after a semicolon, a tab or the end of a line, where a spreadsheet separates cells by these.

    Written through this function are tables that people open and this package does not read: results.csv of a
    comparison, the lists of an audit, of which `--data.exclude` reads numbers only, the table of `classify --output`,
    and the predictions.csv of a folder of files. Written exactly are tables that this package reads again, where a name
    must come back as it was: test.csv, predictions.csv of a data set, genres.csv, saved splits and the index.csv of
    decoded audio. Open those in a spreadsheet as text, if you do not know where their names come from.

    >>> spreadsheet_cell("=1+1"), spreadsheet_cell("Rock;@x"), spreadsheet_cell("Hip-Hop")
    ("'=1+1", "Rock;'@x", 'Hip-Hop')
    """
    return _STARTS_FORMULA.sub("'", text)


def markdown(text: str) -> str:
    r"""Escape what Markdown, or HTML within it, would take for markup; on one line, so also in a cell of a table.

    >>> print(markdown("a|b <i> _c_ d_e R&B"))
    a\|b &lt;i&gt; \_c\_ d_e R&B
    """
    text = _MARKDOWN.sub(lambda match: f"\\{match[0]}", one_line(text))
    return _MARKUP.sub(lambda match: _ENTITIES.get(match[0], "&amp;"), text)


def _escaped(text: str, kept: str) -> str:
    if text.isprintable():
        return text
    return "".join(char if _is_shown(char) or char in kept else repr(char)[1:-1] for char in text)


def _is_shown(char: str) -> bool:
    # Spaces of other widths are not "printable" in Python's sense, but Japanese and French texts are full of them.
    return char.isprintable() or category(char) == "Zs" or char in _JOINERS
