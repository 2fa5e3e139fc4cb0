"""Unpack one of FMA's zips: in parallel, each file verified on its way to disk, never half a file under its name."""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from hashlib import sha1
from pathlib import Path
from threading import Event
from typing import Final
from zlib import crc32

from lit_genre.console import byte_progress
from lit_genre.errors import LitGenreError
from lit_genre.files import atomic_write
from lit_genre.prepare.members import Member, read_member, read_members

_LINE: Final = re.compile(r"([0-9a-f]{40}) [ *](\S.*)", re.ASCII)
_NOT_LISTED: Final = ("README.txt", "checksums", "not_found.pickle")
_LONGEST_LIST: Final = 100_000_000


class _StopError(Exception):
    """Another file could not be unpacked, or somebody pressed Ctrl-C."""


def unpack(archive: Path, root: Path, all_listed: bool, workers: int | None = None) -> dict[str, int]:
    """Unpack an archive, and verify each file by the checksums that the archive has.

    A file that is there already is kept where it is the same, and is an error where it is not. After an interruption
    the same call goes on.

    Args:
        archive: The zip; everything in it is in a folder of its name.
        root: Where that folder goes.
        all_listed: Whether the archive's `checksums` must list all files, and no others.
        workers: Threads; None for one a core.

    Returns:
        Size of each file, by its path from root on.

    Raises:
        LitGenreError: The archive is damaged or not safe, a file differs from its checksum or from the one that is
            there, or the disk is full.
    """
    members = read_members(archive)
    sums = _read_checksums(archive, members, all_listed)
    stop = Event()
    # Threads suffice: decompression, SHA-1 and writing release the GIL.
    pool = ThreadPoolExecutor(workers or os.cpu_count())
    try:
        with byte_progress(f"Unpacking {archive.stem}", sum(member.n_bytes for member in members)) as moved:

            def watched(pieces: Iterable[bytes]) -> Iterator[bytes]:
                for piece in pieces:
                    if stop.is_set():
                        raise _StopError
                    yield piece
                    moved(len(piece))

            jobs = [pool.submit(_unpack_one, archive, m, sums.get(m.name, ""), root, watched) for m in members]
            for job in as_completed(jobs):
                job.result()
    except OSError as error:
        raise LitGenreError(
            f"{archive.name} cannot be unpacked in {root}: {error}. Free space, or name another --root. What is "
            "unpacked is kept, and the same command goes on from there."
        ) from error
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)
    return {member.name: member.n_bytes for member in members}


def _unpack_one(
    archive: Path, member: Member, listed: str, root: Path, watched: Callable[[Iterable[bytes]], Iterator[bytes]]
) -> None:
    path = root / member.name
    if os.path.lexists(path):
        if not path.is_file() or not _passes(watched(_read(path)), member, listed):
            raise LitGenreError(
                f"{path} is there, and is not the file that {archive.name} has by that name. It was left alone: "
                "move it away, or name another --root."
            )
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # The name of the new file is no member's, for no name begins with a dot. `prepare` writes all to the disk at once.
    with atomic_write(path, durable=False) as file:
        if not _passes(watched(read_member(archive, member)), member, listed, file.write):
            raise LitGenreError(f"{archive}: {member.name} differs from its checksum, so it was not unpacked.")


def _passes(
    pieces: Iterable[bytes], member: Member, listed: str, write: Callable[[bytes], object] = lambda piece: None
) -> bool:
    """Hand all pieces on, and compare them with their SHA-1, or with the zip's CRC-32 where no SHA-1 is listed."""
    digest, crc = sha1(usedforsecurity=False), 0
    for piece in pieces:
        if listed:
            digest.update(piece)
        else:
            crc = crc32(piece, crc)
        write(piece)
    return digest.hexdigest() == listed if listed else crc == member.crc


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(1 << 18):
            yield piece


def _read_checksums(archive: Path, members: list[Member], all_listed: bool) -> dict[str, str]:
    folder = archive.stem
    listing = next((member for member in members if member.name == f"{folder}/checksums"), None)
    if listing is None or listing.n_bytes > _LONGEST_LIST:
        fault = "lacks" if listing is None else f"has {listing.n_bytes:,} bytes of"
        raise LitGenreError(f"{archive} {fault} {folder}/checksums, by which its files are verified.")
    sums = _parse(b"".join(read_member(archive, listing)), f"{archive}: {listing.name}", folder)
    if all_listed:
        names = {member.name for member in members}
        unlisted = names - sums.keys() - {f"{folder}/{name}" for name in _NOT_LISTED}
        for faulty, fault in ((unlisted, "has no checksum of"), (sums.keys() - names, "lists a file that is missing,")):
            if faulty:
                raise LitGenreError(f"{archive}: {listing.name} {fault} {min(faulty)} ({len(faulty)} such files).")
    return sums


def _parse(text: bytes, where: str, folder: str) -> dict[str, str]:
    sums: dict[str, str] = {}
    for number, line in enumerate(text.decode("utf-8", "replace").splitlines(), start=1):
        found = _LINE.fullmatch(line)
        if found is None:
            raise LitGenreError(f"{where}, line {number} is not a SHA-1 and a name: {line[:80]!r}.")
        name = f"{folder}/{found[2]}"
        if sums.setdefault(name, found[1]) != found[1]:
            raise LitGenreError(f"{where}, line {number} gives {found[2]} a second checksum.")
    return sums
