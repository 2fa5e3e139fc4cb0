"""Unpack one of FMA's zip archives in parallel; each file is verified before it gets its name."""

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
_WITHOUT_CHECKSUM: Final = ("README.txt", "checksums", "not_found.pickle")
"""Files in FMA's archives that have no checksum in the list."""

_MAX_LIST_BYTES: Final = 100_000_000
"""Largest list of checksums that is read into memory; that of FMA full has about 6 MB."""


class _StopError(Exception):
    """Raised in all threads when another file could not be unpacked, or the user has pressed Ctrl-C."""


def unpack(archive: Path, root: Path, all_listed: bool, workers: int | None = None) -> dict[str, int]:
    """Unpack an archive, and verify each file with the checksums in the archive.

    A file that exists already is kept if it is the same; otherwise it is an error. After an interruption, the same call
    resumes.

    Args:
        archive: The zip archive; all its files are in a folder of its name.
        root: Folder in which this folder is created.
        all_listed: Whether the list `checksums` in the archive must contain all files, and no others.
        workers: Number of threads; None for one per core.

    Returns:
        Size of each file, bytes, by its path relative to root.

    Raises:
        LitGenreError: The archive is damaged or not safe, a file differs from its checksum or from an existing file, or
            the disk is full.
    """
    members = read_members(archive)
    sums = _read_checksums(archive, members, all_listed)
    stop = Event()
    # Threads instead of processes: decompression, SHA-1 and writing release the GIL.
    pool = ThreadPoolExecutor(workers or os.cpu_count())
    try:
        with byte_progress(f"Unpacking {archive.stem}", sum(member.n_bytes for member in members)) as advance:

            def stoppable(pieces: Iterable[bytes]) -> Iterator[bytes]:
                for piece in pieces:
                    if stop.is_set():
                        raise _StopError
                    yield piece
                    advance(len(piece))

            # After an error or Ctrl-C, threads stop at the next piece instead of finishing their files.
            jobs = [pool.submit(_unpack_one, archive, m, sums.get(m.name, ""), root, stoppable) for m in members]
            # In the order in which they end, so that the first error stops the others at once.
            for job in as_completed(jobs):
                job.result()
    except OSError as error:
        raise LitGenreError(
            f"{archive.name} cannot be unpacked in {root}: {error}. Free space, or choose another --root. The "
            "unpacked files are kept, and the same command resumes there."
        ) from error
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)
    return {member.name: member.n_bytes for member in members}


def _unpack_one(
    archive: Path,
    member: Member,
    expected_sha1: str,
    root: Path,
    stoppable: Callable[[Iterable[bytes]], Iterator[bytes]],
) -> None:
    path = root / member.name
    # lexists, because a broken link is also in the way.
    if os.path.lexists(path):
        if not path.is_file() or not _passes(stoppable(_read(path)), member, expected_sha1):
            raise LitGenreError(
                f"{path} exists, and is not the file that {archive.name} has by that name. It was not changed. "
                "Move it away, or choose another --root."
            )
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # The temporary name begins with a dot, so it is not the name of a member. Not durable: the command `prepare` forces
    # all files to the disk at once.
    with atomic_write(path, durable=False) as file:
        if not _passes(stoppable(read_member(archive, member)), member, expected_sha1, file.write):
            raise LitGenreError(f"{archive}: {member.name} differs from its checksum, so it was not unpacked.")


def _passes(
    pieces: Iterable[bytes], member: Member, expected_sha1: str, write: Callable[[bytes], object] = lambda piece: None
) -> bool:
    """Pass on all pieces, and compare them with their SHA-1, or with the CRC-32 of the zip if there is no SHA-1."""
    digest, crc = sha1(usedforsecurity=False), 0
    for piece in pieces:
        if expected_sha1:
            digest.update(piece)
        else:
            crc = crc32(piece, crc)
        write(piece)
    return digest.hexdigest() == expected_sha1 if expected_sha1 else crc == member.crc


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(1 << 18):
            yield piece


def _read_checksums(archive: Path, members: list[Member], all_listed: bool) -> dict[str, str]:
    folder = archive.stem
    checksums = next((member for member in members if member.name == f"{folder}/checksums"), None)
    if checksums is None or checksums.n_bytes > _MAX_LIST_BYTES:
        fault = "lacks" if checksums is None else f"has {checksums.n_bytes:,} bytes of"
        raise LitGenreError(f"{archive} {fault} {folder}/checksums, with which its files are verified.")
    sums = _parse(b"".join(read_member(archive, checksums)), f"{archive}: {checksums.name}", folder)
    if all_listed:
        names = {member.name for member in members}
        unlisted = names - sums.keys() - {f"{folder}/{name}" for name in _WITHOUT_CHECKSUM}
        for faulty, fault in ((unlisted, "has no checksum of"), (sums.keys() - names, "lists a file that is missing,")):
            if faulty:
                raise LitGenreError(f"{archive}: {checksums.name} {fault} {min(faulty)} ({len(faulty)} such files).")
    return sums


def _parse(text: bytes, source: str, folder: str) -> dict[str, str]:
    sums: dict[str, str] = {}
    for number, line in enumerate(text.decode("utf-8", "replace").splitlines(), start=1):
        match = _LINE.fullmatch(line)
        if match is None:
            raise LitGenreError(f"{source}, line {number} is not a SHA-1 and a name: {line[:80]!r}.")
        name = f"{folder}/{match[2]}"
        if sums.setdefault(name, match[1]) != match[1]:
            raise LitGenreError(f"{source}, line {number} has a second checksum of {match[2]}.")
    return sums
