"""Damaged files of each kind; benchmarks/fuzz.py tries thousands."""

from collections import defaultdict
from pathlib import Path

from tests.helpers.damage.fuzzing import BUG, make_cases, try_all
from tests.helpers.damage.mutations import FORMATS, MUTATIONS, write_whole_files


def test_damaged_files_are_refused_by_name_or_read_as_far_as_they_are_right(fma: Path, tmp_path: Path) -> None:
    whole = write_whole_files(tmp_path / "whole", fma)
    assert whole.keys() == MUTATIONS.keys()
    # Each kind of file is damaged in each way.
    count = len(whole) * max(map(len, MUTATIONS.values()))
    results: dict[str, set[str]] = defaultdict(set)
    bugs = []
    for outcome in try_all(list(make_cases(tmp_path / "cases", whole, fma, 2 * count, seed=0))):
        results[outcome.case.kind].add(outcome.result)
        if outcome.result.startswith(BUG):
            bugs.append(f"{outcome.case.mutation}: {outcome.case.path}\n{outcome.result}\n{outcome.said}")
    assert not bugs, "\n\n".join(bugs)
    # Neither is all refused, nor is all taken.
    assert all({"complete", "truncated"} <= results[name] for name in FORMATS)
    assert all({"recovered"} <= results[name] for name in ("MP3", "FLAC"))
    assert all({"no audio that can be decoded"} <= results[name] for name in ("OGG", "WAV"))
    assert all({"read", "refused"} <= results[name] for name in ("tracks.csv", "genres.csv"))
    assert {"unpacked", "refused"} <= results["ZIP"]
    assert {"as good as new", "refused"} <= results["index.csv"]
    assert {"as good as new", "other samples, by their checksums"} <= results["pcm-1.int16"]
