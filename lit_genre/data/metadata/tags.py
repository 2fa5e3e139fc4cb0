"""Read the tags of audio files of any format: artists, album artists, MusicBrainz ids and title.

tinytag reads all values of a tag in ID3, Vorbis comments, MP4 and ASF; FFmpeg returns only the first value or joins
them. FFmpeg reads the formats that tinytag does not support. All values of an APEv2 tag are read in this module.
"""

import io
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import BoundedSemaphore
from typing import BinaryIO, Final

from tinytag import TinyTag, TinyTagException

from lit_genre.data.decoding.errors import AudioError
from lit_genre.data.decoding.ffmpeg import read_metadata
from lit_genre.data.metadata.code_pages import decode_texts

_READERS: Final = 16
"""Files that are read at once; most of the time is spent waiting for the disk."""

_CHILDREN: Final = BoundedSemaphore(4)
"""Limits the processes of FFmpeg, each of which needs memory."""

# Names of tags in lower case, without spaces and signs, which differ between formats and programs.
_ARTIST: Final = ("artists", "artist", "wmartists", "author", "comapplequicktimeartist")
_PERFORMER: Final = ("performer", "performers", "ensemble")
_ALBUM_ARTIST: Final = ("albumartist", "albumartists", "wmalbumartist", "band")
_ARTIST_ID: Final = ("musicbrainzartistid", "musicbrainzalbumartistid")

_SPACE: Final = " \t\r\n\ufeff"

_DSF_HEADER_BYTES: Final = 28
_DFF_HEADER_BYTES: Final = 16
_ID3V1_BYTES: Final = 128
_APE_FOOTER_BYTES: Final = 32
_MAX_APE_NAME: Final = 256
_MAX_CHUNKS: Final = 1000
"""Chunks or items of a file that are searched for tags: a damaged file must not keep the search busy for ever."""


@dataclass(frozen=True, slots=True)
class Tags:
    """The tags of a file, with all values of a tag, in their order.

    Attributes:
        artists: Artists of the track; if none is named, its performers, or else the artists of its album.
        album_artists: Artists of the album.
        artist_ids: MusicBrainz ids of both.
        title: Title of the track, "" if there is none.
        is_readable: Whether the file could be read.
    """

    artists: tuple[str, ...] = ()
    album_artists: tuple[str, ...] = ()
    artist_ids: tuple[str, ...] = ()
    title: str = ""
    is_readable: bool = True


def read_tags(paths: Sequence[Path]) -> list[Tags]:
    """Read the tags of files.

    Texts in an 8-bit code page that the tag does not name are decoded by one guess for all files.

    Args:
        paths: Files of any format.

    Returns:
        The tags of each file, in the order of the files; a file that cannot be read has no tags.
    """
    with ThreadPoolExecutor(_READERS) as pool:
        files = list(pool.map(_read, paths))
    decoded = decode_texts(text for fields in files for values in (fields or {}).values() for text in values)
    return [_tags(fields, decoded) for fields in files]


def _read(path: Path) -> dict[str, list[str]] | None:
    """Return all texts by the names of their tags, None if the file cannot be read."""
    fields: dict[str, list[str]] = defaultdict(list)
    try:
        with path.open("rb") as file:
            for name, text in (*_read_ape(file), *_read_by_tinytag(file)):
                _add(fields, name, text)
        # A process of FFmpeg takes longer than tinytag, so it starts only if no artist was read.
        if not any("\ufffd" not in text for name in _ARTIST for text in fields.get(name, ())):
            with _CHILDREN:
                metadata = read_metadata(path)
            # FFmpeg keeps the bytes of texts that tinytag cannot decode because it expects UTF-8.
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
    """Yield the names and texts that tinytag reads; it finds the format by the content of the file, not by its name."""
    source = _find_id3(file) or file
    source.seek(0)
    try:
        # The duration is not needed, and reading it takes longer than reading the tags.
        tags = TinyTag.get(file_obj=source, duration=False).as_dict()
    except TinyTagException:
        return
    for name, values in tags.items():
        if isinstance(values, list):
            yield from ((name, _swapped(text)) for text in values)


def _find_id3(file: BinaryIO) -> BinaryIO | None:
    """Return the ID3v2 tag of a file if tinytag does not find it there or cannot read it unchanged, else None."""
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
    # Unsynchronisation (ID3v2.3, section 5): a zero byte follows each byte 255, also in the byte order mark of a text.
    # Version 2.4 applies it to single frames, and their UTF-8 texts do not contain the byte 255.
    if header[:3] == b"ID3" and header[3] < 4 and header[5] & 0x80:
        size = sum((byte & 0x7F) << shift for byte, shift in zip(header[6:10], (21, 14, 7, 0), strict=True))
        file.seek(10)
        content = file.read(size).replace(b"\xff\x00", b"\xff")
        return io.BytesIO(header[:5] + b"\0" + header[6:10] + content + bytes(size - len(content)))
    return None


def _read_ape(file: BinaryIO) -> Iterator[tuple[str, str]]:
    """Yield the names and texts of an APEv2 tag at the end of a file, or before its ID3v1 tag."""
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
            if not flags & 0b110:  # A text; other items are pictures and links.
                yield name.decode("latin-1"), content[position : position + length].decode("utf-8", "surrogateescape")
            position += length
        return


def _swapped(text: str) -> str:
    """Swap the bytes of a UTF-16 text without a byte order mark that was read in the wrong byte order.

    Swapped Latin and Cyrillic letters have a low byte near zero; other swapped texts have private-use characters.
    """
    if text.isascii():
        return text
    is_swapped = all(ord(char) & 0xFF < 7 for char in text) or any("\ue000" <= char <= "\uf8ff" for char in text)
    if not is_swapped or len(text) < 2:
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-be", "replace")


def _tags(fields: dict[str, list[str]] | None, decoded: dict[str, str]) -> Tags:
    if fields is None:
        return Tags(is_readable=False)

    def values(names: Iterable[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(decoded.get(text, text) for name in names for text in fields.get(name, ())))

    album_artists = values(_ALBUM_ARTIST)
    artists = values(_ARTIST) or values(_PERFORMER) or album_artists
    return Tags(artists, album_artists, values(_ARTIST_ID), next(iter(values(["title"])), ""))
