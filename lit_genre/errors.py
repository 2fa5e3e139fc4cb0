"""The one exception for what the user can mend: the command line prints its text and no traceback."""


class LitGenreError(Exception):
    """Something outside the code is wrong: a folder, a file, a setting.

    The text says what was wrong, with its value and place, and what to do next.
    """


def check_at_least(**bounds: tuple[float, float]) -> None:
    """Refuse arguments that are too small: `name=(value, least)`."""
    for name, (value, least) in bounds.items():
        if not value >= least:
            raise LitGenreError(f"{name} is {value}, but must be at least {least}.")
