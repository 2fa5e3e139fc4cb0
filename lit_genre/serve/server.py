"""Extend Uvicorn by time limits for reading requests and writing responses, and by a prompt shutdown."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from lit_genre.serve.limits import Limits

_GRACE_SECONDS: Final = 1.0
"""Time before the rate of a connection is judged, s."""


class TimedProtocol(H11Protocol):
    """HTTP/1.1 on one connection, which is closed if a request does not arrive, or its response is not read, in time.

    Uvicorn closes a connection that is idle after a response, but any byte stops that timer, and there is none before
    the first request. Half-sent headers would keep a connection open for ever (the Slowloris attack).

    Attributes:
        limits: Limits of the server.
    """

    limits = Limits()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the time limit of the first request.

        Args:
            transport: The connection.
        """
        super().connection_made(transport)
        self._timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._since, self._n_bytes = self.loop.time(), 0
        self._watch()
        self._make_room()

    def data_received(self, data: bytes) -> None:
        """Stop the time limit if the header of a request is complete; other bytes do not extend it.

        Args:
            data: Bytes that arrived.
        """
        self._n_bytes += len(data)
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Start the time limit of the next request, within which the rest of a refused body must arrive, too."""
        self._since, self._n_bytes = self.loop.time(), 0
        super().on_response_complete()
        self._watch()

    def pause_writing(self) -> None:
        """Start the time limit for reading a response: the client has left much of it unread."""
        super().pause_writing()
        self._write_timer = self.loop.call_later(self.limits.response_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop the time limit for reading a response."""
        super().resume_writing()
        self._stop_write_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop all time limits.

        Args:
            exc: Reason for the end of the connection; None if it was closed.
        """
        self._stop_timer()
        self._stop_write_timer()
        super().connection_lost(exc)

    @property
    def awaits_header(self) -> bool:
        """Whether the header of the next request has not arrived yet."""
        return self.cycle is None or self.cycle.response_complete

    def _watch(self) -> None:
        if not self.awaits_header:
            self._stop_timer()
        elif self._timer is None and self in self.connections:
            self._timer = self.loop.call_later(self.limits.header_seconds, self._expire)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _stop_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _expire(self) -> None:
        """Close the connection when its time limit is over, unless it still has time to read a response."""
        self._timer = None
        unread = self.transport.get_write_buffer_size()
        if not unread:
            self.transport.close()
        elif self.loop.time() - self._since < self.limits.response_seconds:
            self._watch()
        else:
            # `close` would first wait until the client has read everything.
            self.transport.abort()

    def _make_room(self) -> None:
        """Close the slowest connection without a complete request if there are too many."""
        # A closed connection stays in the set until the next turn of the event loop, in which many may arrive.
        connections = (other for other in self.connections if isinstance(other, TimedProtocol))
        others = [other for other in connections if other is not self and not other.transport.is_closing()]
        incomplete = [other for other in others if other.awaits_header or other.cycle.more_body]
        if len(others) >= self.limits.max_connections and incomplete:
            min(incomplete, key=TimedProtocol._rate).transport.abort()

    def _rate(self) -> tuple[bool, float]:
        """Return a sort key: first connections that had time to send something, by bytes a second, then by age."""
        seconds = self.loop.time() - self._since
        return (False, self._n_bytes / seconds) if seconds > _GRACE_SECONDS else (True, -seconds)


class Server(uvicorn.Server):
    """A server that calls `stop` before it waits for the requests in flight.

    Args:
        app: The application.
        limits: Limits of the connections.
        stop: Ends all requests in flight; called in the event loop.
    """

    def __init__(self, app: Any, limits: Limits, stop: Callable[[], None]) -> None:
        # Uvicorn creates the protocol itself, so the limits are an attribute of its class.
        protocol = type("LimitedProtocol", (TimedProtocol,), {"limits": limits})
        super().__init__(
            uvicorn.Config(
                app,
                http=protocol,
                loop="asyncio",
                ws="none",
                lifespan="off",
                # Any client can cause warnings, by requests that are not HTTP.
                log_level="error",
                access_log=False,
                server_header=False,
                # Headers with the address of a client are trustworthy only from a proxy, and there is none.
                proxy_headers=False,
                # Seconds in which the requests that `stop` ended may send their responses.
                timeout_graceful_shutdown=2,
            )
        )
        self._stop = stop

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the requests in flight, then the server.

        Args:
            sockets: Sockets of the server.
        """
        self._stop()
        await super().shutdown(sockets)
