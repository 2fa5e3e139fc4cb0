"""Receives the bodies of requests into files, within limits of size, number and time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from starlette.requests import ClientDisconnect, Request

from lit_genre.serve.limits import Limits

_GRACE_SECONDS: Final = 1.0
"""Time before the rate of an upload is judged, s."""

_FREE_BYTES: Final = 1 << 16
"""How much of a body may arrive without a place: what Uvicorn keeps in memory anyway."""


class RefusedError(Exception):
    """A request that gets no result; the text is the reason.

    Attributes:
        status: HTTP status of the answer.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(eq=False)
class Upload:
    """One request, from its first byte until its answer is computed.

    Attributes:
        started: When it began, s, by the clock of the event loop.
        n_bytes: Bytes received so far.
        has_place: Whether it counts among the requests at once.
        timeout: Ends the receiving of its body; None before and after.
        reason: Why `timeout` was moved to this moment; empty if the client was too slow.
    """

    started: float
    n_bytes: int = 0
    has_place: bool = False
    timeout: asyncio.Timeout | None = None
    reason: str = ""

    def rate(self) -> float:
        """Compute the mean bytes a second; an upload that has just begun counts as fast."""
        seconds = asyncio.get_running_loop().time() - self.started
        return self.n_bytes / seconds if seconds > _GRACE_SECONDS else float("inf")

    def interrupt(self, reason: str) -> None:
        """Stop receiving."""
        if self.timeout is not None and not self.timeout.expired():
            self.reason = reason
            self.timeout.reschedule(asyncio.get_running_loop().time())
            self.timeout = None


@dataclass
class Uploads:
    """All requests in flight; used by the event loop only, so that it needs no lock.

    A request needs one of `Limits.max_requests` places once it has sent its body, or a large part. Before, it costs the
    server next to nothing, so that half-sent requests take no place from others; `TimedProtocol` limits them.
    """

    limits: Limits
    _uploads: set[Upload] = field(default_factory=set)
    _stopped: bool = False

    @asynccontextmanager
    async def register(self) -> AsyncIterator[Upload]:
        """Count a request as in flight."""
        upload = Upload(asyncio.get_running_loop().time())
        self._uploads.add(upload)
        try:
            yield upload
        finally:
            self._uploads.discard(upload)

    async def receive(self, upload: Upload, request: Request, path: Path) -> None:
        """Write the body of a request to a file, and take a place.

        Args:
            upload: From `register`.
            request: Nothing of its body has been read.
            path: The file.

        Raises:
            RefusedError: The body is too large, does not arrive whole and in time, or there is no place.
        """
        self._check_running()
        if _content_length(request) > self.limits.max_bytes:
            raise RefusedError(413, self.limits.too_large)
        try:
            async with asyncio.timeout_at(self._deadline(upload)) as upload.timeout:
                with path.open("wb") as file:
                    async for chunk in request.stream():
                        self._count(upload, len(chunk))
                        file.write(chunk)
                        if upload.timeout is not None:
                            upload.timeout.reschedule(self._deadline(upload))
                self._take_place(upload)
        except TimeoutError as error:
            self._check_running()
            raise RefusedError(408, upload.reason or "it did not arrive in time") from error
        except ClientDisconnect as error:
            raise RefusedError(499, "it did not arrive whole") from error
        except OSError as error:
            raise RefusedError(503, f"the server cannot store it: {error.strerror}") from error
        finally:
            upload.timeout = None

    def stop(self) -> None:
        """Refuse new requests, and those whose body is still arriving."""
        self._stopped = True
        for upload in self._uploads:
            upload.interrupt("the server is stopping")

    def _check_running(self) -> None:
        if self._stopped:
            raise RefusedError(503, "the server is stopping")

    def _deadline(self, upload: Upload) -> float:
        now = asyncio.get_running_loop().time()
        return min(upload.started + self.limits.body_seconds, now + self.limits.idle_seconds)

    def _count(self, upload: Upload, n_bytes: int) -> None:
        upload.n_bytes += n_bytes
        if upload.n_bytes > self.limits.max_bytes:
            raise RefusedError(413, self.limits.too_large)
        # Bytes that have arrived, not those that are announced: announcing costs a client nothing.
        if sum(other.n_bytes for other in self._uploads) > self.limits.max_total_bytes:
            raise RefusedError(503, "the server stores too many uploads; try again in a moment")
        if upload.n_bytes > _FREE_BYTES:
            self._take_place(upload)

    def _take_place(self, upload: Upload) -> None:
        if upload.has_place:
            return
        with_place = [other for other in self._uploads if other.has_place]
        if len(with_place) >= self.limits.max_requests:
            # An upload that arrives so slowly looks like an attack (Slowloris).
            receiving = [other for other in with_place if other.timeout is not None]
            slowest = min(receiving, key=Upload.rate, default=None)
            if slowest is None or slowest.rate() >= self.limits.min_rate:
                raise RefusedError(503, "the server is busy; try again in a moment")
            slowest.has_place = False
            slowest.interrupt("it arrived too slowly while others were waiting")
        upload.has_place = True


def _content_length(request: Request) -> int:
    """Return the announced length of a body; 0 if it comes in chunks of any length."""
    length = request.headers.get("content-length", "")
    return int(length[:20]) if length.isdecimal() else 0
