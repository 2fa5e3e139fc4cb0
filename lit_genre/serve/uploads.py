"""Receive the bodies of requests into files, within limits of size, number and time."""

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
"""Bytes of a body that may arrive without a slot: as many as Uvicorn buffers in memory anyway."""


class RefusedError(Exception):
    """A request is refused; the text is the reason.

    Attributes:
        status: HTTP status of the response.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


# eq=False: a set contains the uploads, by identity.
@dataclass(eq=False)
class Upload:
    """One request, from its first byte until its result is computed.

    Attributes:
        started: Start time, s, by the clock of the event loop.
        n_bytes: Bytes received so far.
        has_slot: Whether it occupies one of the `Limits.max_requests` slots.
        timeout: Time limit of receiving its body; None before and after.
        reason: Reason for ending it early; empty if the client exceeded a time limit.
    """

    started: float
    n_bytes: int = 0
    has_slot: bool = False
    timeout: asyncio.Timeout | None = None
    reason: str = ""

    def rate(self) -> float:
        """Return the mean bytes a second.

        Returns:
            The rate; infinity in the first second, when it cannot be judged.
        """
        seconds = asyncio.get_running_loop().time() - self.started
        return self.n_bytes / seconds if seconds > _GRACE_SECONDS else float("inf")

    def interrupt(self, reason: str) -> None:
        """Stop receiving the body.

        Args:
            reason: Reason that the client gets.
        """
        if self.timeout is not None and not self.timeout.expired():
            self.reason = reason
            self.timeout.reschedule(asyncio.get_running_loop().time())
            self.timeout = None


@dataclass
class Uploads:
    """All requests in flight. Only the event loop uses it, so it needs no lock.

    A request needs one of `Limits.max_requests` slots once it has sent its body or a large part of it. Before, it costs
    the server next to nothing: half-sent requests take no slot from others, and `TimedProtocol` limits them.

    Args:
        limits: Limits of the server.
    """

    limits: Limits
    _uploads: set[Upload] = field(default_factory=set)
    _stopped: bool = False

    @asynccontextmanager
    async def register(self) -> AsyncIterator[Upload]:
        """Count a request as in flight, for the duration of the context.

        Yields:
            The upload of the request.
        """
        upload = Upload(asyncio.get_running_loop().time())
        self._uploads.add(upload)
        try:
            yield upload
        finally:
            self._uploads.discard(upload)

    async def receive(self, upload: Upload, request: Request, path: Path) -> None:
        """Write the body of a request to a file, and take a slot.

        Args:
            upload: The upload, from `register`.
            request: The request, before any of its body has been read.
            path: File to write.

        Raises:
            RefusedError: The body is too large, does not arrive whole and in time, or there is no free slot.
        """
        self._check_running()
        # Refused before the body is read. A false or missing length is noticed while the bytes are counted.
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
                self._take_slot(upload)
        except TimeoutError as error:
            self._check_running()
            raise RefusedError(408, upload.reason or "it did not arrive in time") from error
        except ClientDisconnect as error:
            # 499 is the status of nginx for a client that has closed the connection.
            raise RefusedError(499, "it did not arrive whole") from error
        except OSError as error:
            raise RefusedError(503, f"the server cannot store it: {error.strerror}") from error
        finally:
            upload.timeout = None

    def stop(self) -> None:
        """Refuse new requests, and requests with a body that is still arriving."""
        self._stopped = True
        for upload in self._uploads:
            upload.interrupt("the server is stopping")

    def _check_running(self) -> None:
        if self._stopped:
            raise RefusedError(503, "the server is stopping")

    def _deadline(self, upload: Upload) -> float:
        """Return the time at which receiving ends, s, by the clock of the event loop."""
        now = asyncio.get_running_loop().time()
        return min(upload.started + self.limits.body_seconds, now + self.limits.idle_seconds)

    def _count(self, upload: Upload, n_bytes: int) -> None:
        """Count bytes that arrived, and check the limits."""
        upload.n_bytes += n_bytes
        if upload.n_bytes > self.limits.max_bytes:
            raise RefusedError(413, self.limits.too_large)
        # Bytes that have arrived, not those that a header announces: announcing costs a client nothing.
        if sum(other.n_bytes for other in self._uploads) > self.limits.max_total_bytes:
            raise RefusedError(503, "the server stores too many uploads; try again in a moment")
        if upload.n_bytes > _FREE_BYTES:
            self._take_slot(upload)

    def _take_slot(self, upload: Upload) -> None:
        """Take a slot; if none is free, take that of the slowest upload, or refuse if none is slow."""
        if upload.has_slot:
            return
        with_slot = [other for other in self._uploads if other.has_slot]
        if len(with_slot) >= self.limits.max_requests:
            # An upload that arrives so slowly looks like a Slowloris attack. One that has arrived is never interrupted.
            receiving = [other for other in with_slot if other.timeout is not None]
            slowest = min(receiving, key=Upload.rate, default=None)
            if slowest is None or slowest.rate() >= self.limits.min_rate:
                raise RefusedError(503, "the server is busy; try again in a moment")
            slowest.has_slot = False
            slowest.interrupt("it arrived too slowly while others were waiting")
        upload.has_slot = True


def _content_length(request: Request) -> int:
    """Return the announced length of a body, bytes; 0 if it is sent in chunks of unknown total length."""
    length = request.headers.get("content-length", "")
    # Python refuses to convert thousands of digits; 20 are enough to be too large.
    return int(length[:20]) if length.isdecimal() else 0
