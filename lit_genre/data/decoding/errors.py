"""The error of every decoder."""


class AudioError(Exception):
    """A file that holds no usable audio; the text is the reason."""
