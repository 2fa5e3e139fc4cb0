"""Run commands of `lit-genre`, separated by "--", one after the other in one process."""

import sys
from itertools import groupby

from lit_genre.__main__ import main

if __name__ == "__main__":
    for is_separator, words in groupby(sys.argv[1:], lambda word: word == "--"):
        if not is_separator:
            main(list(words))
