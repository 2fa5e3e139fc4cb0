"""Nothing is lost by kill -9; benchmarks/kill.py does it more often, and at random moments."""

import os
from pathlib import Path

import soundfile

from tests.helpers.audio import tone
from tests.helpers.kills import Moment, assert_same_run, assert_same_store, build_and_kill, fit, fit_and_kill
from tests.helpers.runs import QUIET, SMALL

RATE = 22050


def test_a_run_that_is_killed_ends_as_if_it_had_not_been(tmp_path: Path, fma: Path) -> None:
    # The learning rate is to depend on all the epochs before.
    words = (
        *SMALL, QUIET, f"--data.root={fma}", "--data.batch_size=4", "--trainer.max_epochs=8",
        "--model.scheduler.init_args.patience=1",
    )  # fmt: skip
    fit(tmp_path / "whole", words)
    # The first while its first checkpoint is written, so that there is none.
    moments = [Moment("checkpoint", 1), Moment("training", 2), Moment("validation", 3), Moment("checkpoint", 5)]
    first, *others = list(fit_and_kill(tmp_path / "killed", words, moments))
    assert first.torn
    assert not first.resumable
    assert [kill.resumable for kill in others] == [True] * 3
    assert [kill.phase for kill in others[:2]] == ["training", "validation"]
    assert_same_run(tmp_path / "whole", tmp_path / "killed")


def test_a_store_whose_build_is_killed_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    files = {number: tmp_path / f"{number}.wav" for number in range(200)}
    for number, path in files.items():
        if number < 10:
            soundfile.write(path, tone(100 + 20 * number, 5.0 + number, 44100), 44100)
        else:
            os.link(files[number % 10], path)
    assert not list(build_and_kill(tmp_path / "whole", files, RATE, []))
    found = list(build_and_kill(tmp_path / "killed", files, RATE, [(0, 0.1), (64, 0), (128, 0)]))
    assert len(found) == 3
    assert 128 <= found[2] < 200
    assert_same_store(tmp_path / "whole", tmp_path / "killed", list(files))
