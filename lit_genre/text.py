"""Escape text from files, to show it safely on a terminal, in plots, in spreadsheets and in Markdown.

Names of genres, tracks, files, folders, runs and packages come from data, metadata, configurations and checkpoints.
Another person may have written these. Each medium interprets some characters, and one function here escapes them for
each medium. Elsewhere `html.escape` escapes HTML, and `json.dumps` JSON.
"""

import re
import shlex
import sys
from typing import Final
from unicodedata import category

SHORT: Final = 24
"""Longest name in a plot, characters; `shorten` cuts a longer one in its middle."""

# Zero-width non-joiner and joiner. Persian, and emoji of several characters, need them; they are harmless.
_JOINERS: Final = "\u200c\u200d"

# Also the full-width forms, which some spreadsheets interpret as the ASCII characters.
_STARTS_FORMULA: Final = re.compile(r"^(?=[=+\-@＝＋－＠\t\r\n])|(?<=[;\t\r\n])(?=[=+\-@＝＋－＠])")

# Characters that are markup within a line. An underscore inside a word is not, and is common in names.
_MARKDOWN: Final = re.compile(r"[\\`*\[\]|~$]|(?<![^\W_])_|_(?![^\W_])|(?<=\w):(?=//)|(?<=\bwww)\.")
# What neither cmd nor PowerShell changes, and what both take literally in double quotes; no path has a quote there.
_PLAIN_ON_WINDOWS: Final = re.compile(r"[\w.:\\/=-]+")
_QUOTED_ON_WINDOWS: Final = re.compile(r"[^\"$`%!]*[^\"$`%!\\]")

_ENTITIES: Final = {"<": "&lt;", ">": "&gt;"}
_MARKUP: Final = re.compile(r"[<>]|&(?=#|\w+;)")


def printable(text: str) -> str:
    r"""Escape the characters that control a terminal or reorder a line; line ends and tabs are kept.

    These are control characters, the overrides of Unicode's bidirectional algorithm, other invisible characters and
    bytes that are not UTF-8. Printable characters of any script are kept.

    >>> print(printable("\x1b[2J one\ntwo\r \u202e three"))
    \x1b[2J one
    two\r \u202e three
    """
    return _escaped(text, "\n\t")


def one_line(text: str) -> str:
    r"""Escape as `printable` does, and also line ends and tabs, for a name in a sentence or a table.

    >>> print(one_line("one\ntwo"))
    one\ntwo
    """
    return _escaped(text, "")


def shorten(text: str, width: int = SHORT) -> str:
    """Cut a name in its middle, because many names differ only at their ends. The result is on one line.

    Args:
        text: The name.
        width: Largest length of the result, characters.

    >>> shorten("a name that is much too long", 9)
    'a na…long'
    """
    text = one_line(text)
    return text if len(text) <= width else f"{text[: width // 2]}…{text[len(text) - (width - 1) // 2 :]}"


def spreadsheet_cell(text: str) -> str:
    """Put an apostrophe before a text that a spreadsheet would compute as a formula (OWASP, "CSV Injection").

    A formula can also begin after a semicolon, a tab or a line end, if the spreadsheet separates cells there.

    The tables that people open pass through this function: results.csv of a comparison, the lists of an audit, the
    table of `classify --output`, and the predictions.csv of a folder of files. (`--data.exclude` reads only the track
    ids of an audit's lists.) The tables that this package reads again contain the exact names: test.csv,
    predictions.csv of a data set, genres.csv, saved splits and the index.csv of decoded audio. If the names in them
    come from an unknown source, import them into a spreadsheet as text.

    >>> spreadsheet_cell("=1+1"), spreadsheet_cell("Rock;@x"), spreadsheet_cell("Hip-Hop")
    ("'=1+1", "Rock;'@x", 'Hip-Hop')
    """
    return _STARTS_FORMULA.sub("'", text)


def shell_argument(text: str) -> str:
    r"""Quote an argument of a command line that a user may copy: for the shells of this operating system.

    On Windows, `cmd` has no quotes for a text with `$`, a backtick, `%` or `!`. Such a text is quoted for PowerShell.

    >>> print(shell_argument("runs/a b"), shell_argument("runs/it's"))
    'runs/a b' 'runs/it'"'"'s'
    """
    if sys.platform != "win32":
        return shlex.quote(text)
    if _PLAIN_ON_WINDOWS.fullmatch(text):
        return text
    return f'"{text}"' if _QUOTED_ON_WINDOWS.fullmatch(text) else "'" + text.replace("'", "''") + "'"


def markdown(text: str) -> str:
    r"""Escape the markup of Markdown, and of HTML within it, on one line, as a cell of a table needs it.

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
    # Python does not count spaces of other widths as printable, but Japanese and French texts often contain them.
    return char.isprintable() or category(char) == "Zs" or char in _JOINERS
