"""Measure the time of alternatives alternately, so that noise of the machine affects all of them."""

import statistics
import time
from collections.abc import Callable


def medians(rounds: int, **alternatives: Callable[[], object]) -> dict[str, float]:
    """Call each alternative in turn, `rounds` times after one that does not count; median seconds of each."""
    seconds: dict[str, list[float]] = {name: [] for name in alternatives}
    for round_number in range(rounds + 1):
        for name, call in alternatives.items():
            began = time.perf_counter()
            call()
            if round_number:
                seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in seconds.items()}
