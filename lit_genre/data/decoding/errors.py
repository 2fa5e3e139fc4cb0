"""The error that all decoders raise."""


class AudioError(Exception):
    """Raised for a file without usable audio; the message is the reason."""
