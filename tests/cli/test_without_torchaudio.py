"""Commands in a process that cannot import torchaudio, as next to a torch of another build."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

from tests.helpers.runs import QUIET, ROOT, SMALL

PROGRAM = """
import shlex
import sys

sys.modules["torchaudio"] = None  # Each import of it raises ImportError.
from lit_genre.__main__ import main

for line in sys.stdin:
    main(shlex.split(line))
"""


def test_fit_test_predict_and_baseline(fma: Path, tmp_path: Path) -> None:
    augment = "--model.augment+=lit_genre.SpecAugment"
    commands = [
        ("fit", *SMALL, QUIET, augment, f"--data.root={fma}", "--trainer.max_epochs=1"),
        ("test", "--ckpt_path=best", QUIET),
        ("predict", "--ckpt_path=best", QUIET),
        ("baseline", f"--data.root={fma}", "--output=baseline"),
    ]
    # In one process, as importing the libraries takes seconds.
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input="".join(f"{shlex.join(map(str, command))}\n" for command in commands),
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (run_folder,) = (tmp_path / "runs").iterdir()
    assert "SpecAugment" in (run_folder / "config.yaml").read_text()
    assert (run_folder / "predictions.csv").read_text() == (run_folder / "test.csv").read_text()
    for folder in (run_folder, tmp_path / "baseline"):
        # A header, and a row for each of the eight test tracks.
        assert len((folder / "test.csv").read_text().splitlines()) == 9
