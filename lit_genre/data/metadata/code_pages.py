"""Decode texts of tags that are in an 8-bit code page which the tag does not name."""

import codecs
import re
from collections.abc import Iterable
from typing import Final

from charset_normalizer import from_bytes

_CODE_PAGES: Final = (
    "cp1252 cp1251 koi8_r cp866 cp1253 cp1255 cp1256 cp932 euc_jp gb18030 big5 cp949".split()  # noqa: SIM905
)
"""Code pages of 8-bit tags; cp1252 is among them so that a guess can be that it is none of the others."""

_MAX_MESS: Final = 0.2
"""Largest part of improbable characters in an accepted guess, as charset-normalizer measures it."""

_FOREIGN_WORD: Final = re.compile(rb"(?<![A-Za-z\x80-\xff])[\x80-\xff]{3,}(?![A-Za-z\x80-\xff])")
"""A word without an ASCII letter: no language of Western Europe has many of these."""

_TWO_HIGH_BYTES: Final = re.compile(rb"[\x80-\xff]{2}")
_MIXED_WORD: Final = re.compile(
    r"[A-Za-z][^\W\d_A-Za-z]|[^\W\d_A-Za-z][A-Za-z]|[가-힣][一-鿿]|[一-鿿][가-힣]|[\ue000-\uf8ff]"
)
"""Latin letters next to letters of another script, Korean letters next to Chinese ones, or private-use characters."""


def decode_texts(texts: Iterable[str]) -> dict[str, str]:
    """Decode those texts again that may have been decoded by a wrong code page.

    These are texts with surrogates, which stand for bytes that are not UTF-8, and texts of Latin-1 characters only,
    because programs declare ID3 tags as Latin-1 whatever they contain. If the code page is not clear, a text is decoded
    as Western (cp1252).

    Args:
        texts: Texts of one collection. One code page is guessed for all, because single names are too short.

    Returns:
        The decoded text, by the text, for each text that may have been decoded by a wrong code page.
    """
    contents = {text: content for text in set(texts) if (content := _eight_bit(text)) is not None}
    code_page = _guess_code_page(contents.values())
    return {text: _decode(content, code_page) for text, content in contents.items()}


def _eight_bit(text: str) -> bytes | None:
    """Return the bytes of a text that may have been decoded by a wrong code page."""
    if any("\udc80" <= char <= "\udcff" for char in text):
        return text.encode("utf-8", "surrogateescape")
    return None if text.isascii() or max(text) > "\xff" else text.encode("latin-1")


def _guess_code_page(contents: Iterable[bytes]) -> str | None:
    """Guess the code page of all contents together; None if there is nothing to guess from, or if it is Western."""
    foreign = sorted({content for content in contents if _FOREIGN_WORD.search(content) and _as_utf8(content) is None})
    if not foreign:
        return None
    pool = b"\n".join(foreign)
    guesses = list(from_bytes(pool, steps=8, chunk_size=4096, cp_isolation=_CODE_PAGES, threshold=_MAX_MESS))
    if not guesses:
        return None
    # charset-normalizer sorts by its own measure, which decides between guesses with equally many mixed words.
    guess = min(guesses, key=lambda guess: len(_MIXED_WORD.findall(str(guess)))).encoding
    return guess if guess != "cp1252" else None


def _decode(content: bytes, code_page: str | None) -> str:
    if (text := _as_utf8(content)) is not None:
        return text
    # Single high bytes between Latin letters are Western accents, whatever the code page of the other texts.
    if code_page and (_TWO_HIGH_BYTES.search(content) or not re.search(rb"[A-Za-z]", content)):
        try:
            text = content.decode(code_page)
        except UnicodeDecodeError:
            pass
        else:
            if not _MIXED_WORD.search(text):
                return text
    try:
        return content.decode("cp1252")
    except UnicodeDecodeError:
        # cp1252 leaves five bytes undefined.
        return content.decode("latin-1")


def _as_utf8(content: bytes) -> str | None:
    """Decode UTF-8 whose last character may be truncated, as in an ID3v1 tag of 30 bytes; None if it is not UTF-8."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(content)
    except UnicodeDecodeError:
        return None
    return None if text.isascii() else text
