"""Read the files in one of FMA's zip archives without trusting the archive.

An attacker may have changed the archive. It must not write outside its own folder, create links, or fill the disk or
the memory; otherwise it is refused.
"""

import os
import re
import stat
import struct
from bz2 import BZ2Decompressor
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Final
from zipfile import ZIP_BZIP2, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from lit_genre.errors import LitGenreError

# Stricter than the rules of any file system, so that no two names can mean one file. FMA's names satisfy it.
_NAME: Final = re.compile(r"\w[\w-]*(\.[\w-]+)*", re.ASCII)
_ENCRYPTED: Final = 0x41
"""Two flags of a member, for weak and strong encryption."""

# Signature, compression method, and lengths of the name and of the extra field. The directory contains the rest, too.
_LOCAL_HEADER: Final = struct.Struct("<4s4xH16xHH")
_SIGNATURE: Final = b"PK\x03\x04"
_PIECE: Final = 1 << 18
"""Most bytes that are read or decompressed at a time."""


@dataclass(frozen=True)
class Member:
    """A file in an archive.

    Attributes:
        name: Path relative to the folder in which the archive is unpacked; safe to write to.
        n_bytes: Size, bytes.
        crc: CRC-32 of its content.
        offset: Position of its local header in the archive, bytes.
        end: Position of the next member's header, or of the directory.
        compressed_bytes: Size in the archive, bytes.
        method: Number of the compression method in the ZIP format.
    """

    name: str
    n_bytes: int
    crc: int
    offset: int
    end: int
    compressed_bytes: int
    method: int


def read_members(archive: Path) -> list[Member]:
    """Read the directory of an archive, and check that all of it is safe to unpack.

    Args:
        archive: The archive; all its members must be in one folder with the name of the archive.

    Returns:
        The files in the archive, in the order of their positions.

    Raises:
        LitGenreError: The archive is damaged or not safe to unpack.
    """
    try:
        with ZipFile(archive) as zip_file:
            infos, directory = zip_file.infolist(), zip_file.start_dir
    except (BadZipFile, NotImplementedError, ValueError, struct.error) as error:
        raise LitGenreError(f"{archive} is not a complete zip archive: {error}.") from error
    infos.sort(key=lambda info: info.header_offset)
    # The content of an entry must end before the next entry: overlapping entries can make a zip bomb (Fifield, 2019).
    ends = [*(info.header_offset for info in infos), directory][1:]
    # All entries are checked before the first one is unpacked.
    kinds: dict[str, bool] = {}
    for info, end in zip(infos, ends, strict=True):
        if fault := _fault(info, end, archive.stem) or _clash(info, kinds):
            raise LitGenreError(f"{archive} contains {info.orig_filename!r}, {fault}. Nothing was unpacked.")
    return [
        Member(i.filename, i.file_size, i.CRC, i.header_offset, end, i.compress_size, i.compress_type)
        for i, end in zip(infos, ends, strict=True)
        if not i.is_dir()
    ]


def _fault(info: ZipInfo, end: int, folder: str) -> str:
    # Not `filename`, which zipfile truncates at a NUL.
    first, *others = info.orig_filename.removesuffix("/").split("/")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if not all(_NAME.fullmatch(part) for part in (first, *others)):
        return "a name that is not safe to write to"
    if first != folder or not (others or info.is_dir()):
        return f"which is not in the folder {folder}"
    # 0: the archive does not store kinds of files.
    if kind not in (0, stat.S_IFDIR if info.is_dir() else stat.S_IFREG):
        return "a link or another special file"
    if info.flag_bits & _ENCRYPTED:
        return "which is encrypted"
    if info.compress_type not in (ZIP_STORED, ZIP_BZIP2):
        return f"compressed by method {info.compress_type}, which FMA's archives do not use"
    if info.header_offset < 0:
        return "which begins before the archive"
    if info.header_offset + _LOCAL_HEADER.size + len(info.orig_filename) + info.compress_size > end:
        return "which overlaps with what follows it"
    return ""


def _clash(info: ZipInfo, kinds: dict[str, bool]) -> str:
    """Return a fault if two entries have one path, also on file systems that ignore upper and lower case, else "".

    Args:
        info: The entry.
        kinds: Whether each earlier path is a file (True) or a folder (False), which many entries may contain; the path
            of the entry is added.
    """
    path = PurePosixPath(info.filename.casefold())
    if str(path) in kinds and (kinds[str(path)] or not info.is_dir()):
        return "and another file or folder of this path"
    kinds[str(path)] = not info.is_dir()
    for parent in path.parents:
        if kinds.setdefault(str(parent), False):
            return f"and {str(parent)!r} as a file"
    return ""


def read_member(archive: Path, member: Member) -> Iterator[bytes]:
    """Decompress a member piece by piece.

    Args:
        archive: The archive.
        member: The member.

    Yields:
        Pieces of its content, each of at most 256 KiB.

    Raises:
        LitGenreError: The member is damaged, or its size differs from the size in the directory.
    """
    n_bytes = 0
    for piece in _pieces(archive, member):
        n_bytes += len(piece)
        if n_bytes > member.n_bytes:
            raise LitGenreError(
                f"{archive}: {member.name} has more than the {member.n_bytes:,} bytes that the directory gives."
            )
        yield piece
    if n_bytes < member.n_bytes:
        raise LitGenreError(f"{archive}: {member.name} ends after {n_bytes:,} of {member.n_bytes:,} bytes.")


def _pieces(archive: Path, member: Member) -> Iterator[bytes]:
    with archive.open("rb", buffering=0) as file:
        _go_to_content(file, archive, member)
        stored = _stored(file, member.compressed_bytes)
        if member.method == ZIP_STORED:
            yield from stored
            return
        decompressor = BZ2Decompressor()
        while not decompressor.eof:
            data = next(stored, None) if decompressor.needs_input else b""
            if data is None:
                return
            try:
                # At most one piece at a time, however well the data is compressed; ZipFile.open has no such limit.
                piece = decompressor.decompress(data, _PIECE)
            except OSError as error:
                raise LitGenreError(f"{archive}: {member.name} is damaged: {error}.") from error
            yield piece


def _go_to_content(file: IO[bytes], archive: Path, member: Member) -> None:
    """Move to the content after the local header, which must agree with the directory."""
    file.seek(member.offset)
    # A header that is truncated fails the comparison below.
    header = file.read(_LOCAL_HEADER.size).ljust(_LOCAL_HEADER.size, b"\0")
    signature, method, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(header)
    name = file.read(name_bytes)
    begin = file.seek(extra_bytes, os.SEEK_CUR)
    if (signature, method, name) != (_SIGNATURE, member.method, member.name.encode()):
        raise LitGenreError(f"{archive}: {member.name} is not at the position that the directory gives.")
    if begin + member.compressed_bytes > member.end:
        raise LitGenreError(f"{archive}: {member.name} overlaps with what follows it.")


def _stored(file: IO[bytes], n_bytes: int) -> Iterator[bytes]:
    while n_bytes and (data := file.read(min(n_bytes, _PIECE))):
        n_bytes -= len(data)
        yield data
