"""Read the tags of audio files of any format: artists, album artist, MusicBrainz ids and title.

tinytag reads all values of a tag in ID3, Vorbis comments, MP4 and ASF, of which FFmpeg returns the first value only or
joins them. FFmpeg reads the formats that tinytag does not know. All values of an APEv2 tag are read here.
"""

import codecs
import io
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import BoundedSemaphore
from typing import BinaryIO, Final

from charset_normalizer import from_bytes
from tinytag import TinyTag, TinyTagException

from lit_genre.data.decoding.errors import AudioError
from lit_genre.data.decoding.ffmpeg import read_metadata

_READERS: Final = 16
"""Files that are read at once; most of the time goes into waiting for the disk."""

_CHILDREN: Final = BoundedSemaphore(4)
"""Limits the processes of FFmpeg, each of which needs memory."""

# Names of tags, without case, spaces and signs, which differ between formats and programs.
_ARTIST: Final = ("artists", "artist", "wmartists", "author", "comapplequicktimeartist")
_PERFORMER: Final = ("performer", "performers", "ensemble")
_ALBUM_ARTIST: Final = ("albumartist", "albumartists", "wmalbumartist", "band")
_ARTIST_ID: Final = ("musicbrainzartistid", "musicbrainzalbumartistid")

_SPACE: Final = " \t\r\n\ufeff"

_CODE_PAGES: Final = (
    "cp1252 cp1251 koi8_r cp866 cp1253 cp1255 cp1256 cp932 euc_jp gb18030 big5 cp949".split()  # noqa: SIM905
)
"""What 8-bit tags were written in; cp1252 is for a guess that it is none of the others."""

_CLEAR: Final = 0.2
"""Greatest share of improbable characters, as charset-normalizer measures it, in a guess that is used."""

_FOREIGN_WORD: Final = re.compile(rb"(?<![A-Za-z\x80-\xff])[\x80-\xff]{3,}(?![A-Za-z\x80-\xff])")
"""A word without a letter of ASCII: no language of Western Europe has many of these."""

_TWO_HIGH_BYTES: Final = re.compile(rb"[\x80-\xff]{2}")
_MIXED_WORD: Final = re.compile(
    r"[A-Za-z][^\W\d_A-Za-z]|[^\W\d_A-Za-z][A-Za-z]|[가-힣][一-鿿]|[一-鿿][가-힣]|[\ue000-\uf8ff]"
)
"""Latin letters next to those of another script, Korean ones next to Chinese, or characters without a meaning."""

_DSF_HEADER_BYTES: Final = 28
_DFF_HEADER_BYTES: Final = 16
_ID3V1_BYTES: Final = 128
_APE_FOOTER_BYTES: Final = 32
_MAX_APE_NAME: Final = 256
_MAX_CHUNKS: Final = 1000
"""Parts of a file that are looked through for tags."""


@dataclass(frozen=True, slots=True)
class Tags:
    """What the tags of a file say; all values of a tag, in their order.

    Attributes:
        artists: Artists of the track; its performers, or else the artists of its album, where no artist is named.
        album_artists: Artists of the album.
        artist_ids: MusicBrainz ids of both.
        title: Title of the track, "" where there is none.
        is_readable: Whether the file could be read at all.
    """

    artists: tuple[str, ...] = ()
    album_artists: tuple[str, ...] = ()
    artist_ids: tuple[str, ...] = ()
    title: str = ""
    is_readable: bool = True


def read_tags(paths: Sequence[Path]) -> list[Tags]:
    """Read the tags of files.

    Texts in an 8-bit code page, of which a tag does not name the code page, are decoded by one guess for all files:
    single names are too short for a guess.

    Args:
        paths: Files of any format. One that cannot be read has no tags.

    Returns:
        The tags of each file.
    """
    with ThreadPoolExecutor(_READERS) as pool:
        files = list(pool.map(_read, paths))
    decoded = decode_texts(text for fields in files for values in (fields or {}).values() for text in values)
    return [_tags(fields, decoded) for fields in files]


def decode_texts(texts: Iterable[str]) -> dict[str, str]:
    """Decode those of the texts that may have been decoded by a wrong code page.

    These are texts with surrogates, which stand for bytes that are not UTF-8, and texts of Latin-1 characters only,
    which ID3 tags declare whatever they contain. A text of which the code page is not clear is taken for Western.

    Args:
        texts: Texts of one collection.

    Returns:
        Each text that is another when decoded, and what it is then.
    """
    contents = {text: content for text in set(texts) if (content := _eight_bit(text)) is not None}
    code_page = _guess_code_page(contents.values())
    return {text: _decode(content, code_page) for text, content in contents.items()}


def _read(path: Path) -> dict[str, list[str]] | None:
    """Return all texts by the names of their tags, or None where the file cannot be read."""
    fields: dict[str, list[str]] = defaultdict(list)
    try:
        with path.open("rb") as file:
            for name, text in (*_read_ape(file), *_read_by_tinytag(file)):
                _add(fields, name, text)
        if not any("\ufffd" not in text for name in _ARTIST for text in fields.get(name, ())):
            with _CHILDREN:
                metadata = read_metadata(path)
            # FFmpeg keeps the bytes of texts that tinytag, which expects UTF-8, cannot decode.
            for name in [name for name, values in fields.items() if any("\ufffd" in text for text in values)]:
                del fields[name]
            for name, text in metadata.items():
                _add(fields, name, text)
    except (AudioError, OSError):
        return fields or None
    return fields


def _add(fields: dict[str, list[str]], name: str, text: str) -> None:
    values = fields[re.sub(r"[^a-z]", "", name.casefold())]
    # A NUL separates the values of a tag in ID3v2.4 and APEv2.
    values += (value for part in text.split("\0") if (value := part.strip(_SPACE)) and value not in values)


def _read_by_tinytag(file: BinaryIO) -> Iterator[tuple[str, str]]:
    """Read what tinytag reads, by the content of the file whatever its name."""
    source = _find_id3(file) or file
    source.seek(0)
    try:
        # The length of the sound is not needed, and takes longer than the tags.
        tags = TinyTag.get(file_obj=source, duration=False).as_dict()
    except TinyTagException:
        return
    for name, values in tags.items():
        if isinstance(values, list):
            yield from ((name, _swapped(text)) for text in values)


def _find_id3(file: BinaryIO) -> BinaryIO | None:
    """Return the ID3v2 tag of a file in which tinytag does not find it, or cannot read it as it is."""
    n_bytes = file.seek(0, io.SEEK_END)
    file.seek(0)
    header = file.read(_DSF_HEADER_BYTES)
    if len(header) < _DSF_HEADER_BYTES:
        return None
    if header[:4] == b"DSD " and (position := int.from_bytes(header[20:28], "little")) < n_bytes:
        file.seek(position)
        return io.BytesIO(file.read())
    if header[:4] == b"FRM8":
        position = _DFF_HEADER_BYTES
        for _ in range(_MAX_CHUNKS):
            if position >= n_bytes:
                break
            file.seek(position)
            chunk = file.read(12)
            size = int.from_bytes(chunk[4:], "big")
            if chunk[:4] == b"ID3 ":
                return io.BytesIO(file.read(min(size, n_bytes)))
            position += 12 + size + size % 2
    # "Unsynchronised": a zero byte follows each byte 255, also within the byte order mark of a text. Frames of version
    # 2.4 are so one by one, and their texts are UTF-8, in which there is none.
    if header[:3] == b"ID3" and header[3] < 4 and header[5] & 0x80:
        size = sum((byte & 0x7F) << shift for byte, shift in zip(header[6:10], (21, 14, 7, 0), strict=True))
        file.seek(10)
        content = file.read(size).replace(b"\xff\x00", b"\xff")
        return io.BytesIO(header[:5] + b"\0" + header[6:10] + content + bytes(size - len(content)))
    return None


def _read_ape(file: BinaryIO) -> Iterator[tuple[str, str]]:
    """Read the texts of an APEv2 tag at the end of a file, or before its ID3v1 tag."""
    n_bytes = file.seek(0, io.SEEK_END)
    for end in (n_bytes, n_bytes - _ID3V1_BYTES):
        file.seek(max(0, end - _APE_FOOTER_BYTES))
        footer = file.read(_APE_FOOTER_BYTES)
        size, n_items = int.from_bytes(footer[12:16], "little"), int.from_bytes(footer[16:20], "little")
        if footer[:8] != b"APETAGEX" or not _APE_FOOTER_BYTES <= size <= end:
            continue
        file.seek(end - size)
        content, position = file.read(size - _APE_FOOTER_BYTES), 0
        for _ in range(min(n_items, _MAX_CHUNKS)):
            length = int.from_bytes(content[position : position + 4], "little")
            flags = int.from_bytes(content[position + 4 : position + 8], "little")
            name, _, _ = content[position + 8 : position + 8 + _MAX_APE_NAME].partition(b"\0")
            position += 8 + len(name) + 1
            if not flags & 0b110:  # A text; others are pictures and links.
                yield name.decode("latin-1"), content[position : position + length].decode("utf-8", "surrogateescape")
            position += length
        return


def _swapped(text: str) -> str:
    """Swap the bytes of a text of UTF-16 without a byte order mark that was read in the wrong order.

    Swapped Latin and Cyrillic letters have a low byte near zero; other swapped texts have characters without a meaning.
    """
    if text.isascii():
        return text
    is_swapped = all(ord(char) & 0xFF < 7 for char in text) or any("\ue000" <= char <= "\uf8ff" for char in text)
    if not is_swapped or len(text) < 2:
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-be", "replace")


def _eight_bit(text: str) -> bytes | None:
    """Return the bytes of a text that may have been decoded by a wrong code page."""
    if any("\udc80" <= char <= "\udcff" for char in text):
        return text.encode("utf-8", "surrogateescape")
    return None if text.isascii() or max(text) > "\xff" else text.encode("latin-1")


def _guess_code_page(contents: Iterable[bytes]) -> str | None:
    """Guess the code page of all contents together; None where there is nothing to guess from, or it is Western."""
    foreign = sorted({content for content in contents if _FOREIGN_WORD.search(content) and _as_utf8(content) is None})
    if not foreign:
        return None
    pool = b"\n".join(foreign)
    guesses = list(from_bytes(pool, steps=8, chunk_size=4096, cp_isolation=_CODE_PAGES, threshold=_CLEAR))
    if not guesses:
        return None
    # The first of those that are equally good is the best.
    guess = min(guesses, key=lambda guess: len(_MIXED_WORD.findall(str(guess)))).encoding
    return guess if guess != "cp1252" else None


def _decode(content: bytes, code_page: str | None) -> str:
    if (text := _as_utf8(content)) is not None:
        return text
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
        return content.decode("latin-1")


def _as_utf8(content: bytes) -> str | None:
    """Decode UTF-8, of which the last character may be cut, as in the 30 bytes of an ID3v1 tag."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(content)
    except UnicodeDecodeError:
        return None
    return None if text.isascii() else text


def _tags(fields: dict[str, list[str]] | None, decoded: dict[str, str]) -> Tags:
    if fields is None:
        return Tags(is_readable=False)

    def values(names: Iterable[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(decoded.get(text, text) for name in names for text in fields.get(name, ())))

    album_artists = values(_ALBUM_ARTIST)
    artists = values(_ARTIST) or values(_PERFORMER) or album_artists
    return Tags(artists, album_artists, values(_ARTIST_ID), next(iter(values(["title"])), ""))
