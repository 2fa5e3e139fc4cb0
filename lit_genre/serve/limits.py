"""Define the limits of the server: bytes, seconds and number of requests of its clients."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits of all clients together and of each.

    Attributes:
        max_bytes: Size of one upload, bytes.
        max_seconds: Length of one recording, s.
        max_total_bytes: Size of all uploads that are stored at the same time, bytes.
        max_requests: Uploads that are received or analysed at the same time.
        max_connections: Open connections. Another one closes the slowest of those that have not sent a whole request.
        header_seconds: Time for a connection to send the header of its next request, s.
        body_seconds: Time for the whole body of a request, s.
        idle_seconds: Time between two pieces of a body, s.
        response_seconds: Time for the client to read a response, s.
        decode_seconds: Time for decoding one upload, s.
        decode_bytes: Memory of a process that decodes, bytes. The imported libraries need 0.8 GB of it.
        min_rate: Rate, bytes/s, below which an upload is refused if another one needs its slot.
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
        """Reason for refusing an upload of more than `max_bytes`."""
        return f"larger than {self.max_bytes / 1e6:g} MB"
