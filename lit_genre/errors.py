"""Define the exception for errors that the user can correct."""


class LitGenreError(Exception):
    """An error in a folder, a file or a setting. The command line prints its text without a traceback.

    The text describes what is wrong, with the value, where, and what to do.
    """


def check_at_least(**bounds: tuple[float, float]) -> None:
    """Check that arguments are not too small.

    Args:
        **bounds: For each argument, by its name, its value and the least value that is allowed.

    Raises:
        LitGenreError: A value is too small, or NaN.
    """
    for name, (value, least) in bounds.items():
        # Not `value < least`, which is false for NaN.
        if not value >= least:
            raise LitGenreError(f"{name} is {value}, but must be at least {least}.")
