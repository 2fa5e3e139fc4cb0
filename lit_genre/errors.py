"""The one exception for what the user can mend: the command line prints its text and no traceback."""


class LitGenreError(Exception):
    """Something outside the code is wrong: a folder, a file, a setting.

    The text says what was wrong, with its value and place, and what to do next.
    """
