"""Limits of the server: how much one client may send, how long it may take, and how many may ask at once."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits that hold for every client.

    Attributes:
        max_bytes: Size of one upload.
        max_seconds: Length of one recording, s.
        max_total_bytes: Sum of the bytes of all uploads that are stored at one moment.
        max_requests: Uploads that are received or analysed at one moment.
        max_connections: Open connections. One more closes the slowest of those that have not sent a whole request.
        header_seconds: Time for a connection to send the header of its next request, s.
        body_seconds: Time for the whole body of a request, s.
        idle_seconds: Time between two pieces of a body, s.
        response_seconds: Time for the client to read an answer, s.
        decode_seconds: Time for decoding one upload, s.
        decode_bytes: Memory of a process that decodes. The imported libraries need 0.8 GB of it.
        min_rate: Bytes a second below which an upload must make room for others when all places are taken.
    """

    max_bytes: int = 100_000_000
    max_seconds: float = 1200.0
    max_total_bytes: int = 400_000_000
    max_requests: int = 32
    max_connections: int = 256
    header_seconds: float = 10.0
    body_seconds: float = 120.0
    idle_seconds: float = 15.0
    response_seconds: float = 60.0
    decode_seconds: float = 90.0
    decode_bytes: int = 3_000_000_000
    min_rate: float = 10_000.0

    @property
    def too_large(self) -> str:
        """The reason for refusing an upload that is too large."""
        return f"larger than {self.max_bytes / 1e6:g} MB"
