"""What README says can be typed can be typed."""

import ast
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import lit_genre
from lit_genre.__main__ import COMMANDS, main
from tests.helpers.runs import README, ROOT

STEEPER = 20
"""How many times the weights of a head are multiplied that has been trained for two epochs only."""

SAME = 0.0005
"""How far probabilities of PyTorch and of ONNX Runtime may be apart."""

COMMAND_LINES = re.findall(r"^lit-genre (.*)$", README, re.MULTILINE)


def test_every_command_is_in_the_table() -> None:
    assert {line.split()[0] for line in COMMAND_LINES} <= COMMANDS.keys()


# What is said of one's own package is run by tests/plugins/test_outside_plugins.py.
@pytest.mark.parametrize("line", [line for line in COMMAND_LINES if "--config" in line and "my_net" not in line])
def test_every_configuration_parses(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(SystemExit, match="0"):
        main([*shlex.split(line), "--print_config"])


@pytest.mark.filterwarnings("ignore:The .*_dataloader. does not have many workers")
def test_python_runs(run: Callable[..., None], fma: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"## From Python\n\n```python\n(.*?)```", README, re.DOTALL)
    monkeypatch.setattr(lit_genre, "write_demo", lambda root: None, raising=False)
    exec(code.replace("data/demo", str(fma)).replace("trainer(", "trainer(accelerator='cpu', "))
    (folder,) = Path("runs").iterdir()
    assert {"metrics.csv", "test.csv", "checkpoints"} <= {path.name for path in folder.iterdir()}


@pytest.fixture
def decided(trained: Path, tmp_path: Path) -> Path:
    """The trained model with a steeper head: its probabilities follow what small changes of the waveform change."""
    content = torch.load(trained, weights_only=True)
    head = [name for name in content["state_dict"] if name.startswith("head.")]
    assert head
    for name in head:
        content["state_dict"][name] *= STEEPER
    torch.save(content, path := tmp_path / "decided.ckpt")
    return path


def write_loud_song(path: Path) -> None:
    """Write a square wave almost at full scale; resampled, it is beyond full scale behind each edge."""
    moments = np.arange(2 * 44100) / 44100
    soundfile.write(path, 0.99 * np.sign(np.sin(2 * np.pi * 2000 * moments)), 44100, format="MP3")


@pytest.mark.parametrize("is_loud", [False, True])
def test_onnx_runs_without_torch_and_says_what_classify_says(
    run: Callable[..., None], decided: Path, fma: Path, is_loud: bool
) -> None:
    (code,) = re.findall(r"ONNX needs neither.*?```python\n(.*?)```", README, re.DOTALL)
    if is_loud:
        write_loud_song(Path("song.mp3"))
    else:
        Path("song.mp3").write_bytes((fma / "fma_small" / "000" / "000001.mp3").read_bytes())
    run("export", decided, "CRNN.onnx")
    run("classify", decided, "song.mp3", "--output", "genres.jsonl", "--top_k", "8")
    without = "import sys; sys.modules.update(torch=None, lit_genre=None)\n"
    done = subprocess.run([sys.executable, "-c", without + code], capture_output=True, text=True, check=True)
    expected = json.loads(Path("genres.jsonl").read_text())["genres"]
    assert ast.literal_eval(done.stdout) == pytest.approx(expected, abs=SAME)


def test_files_that_are_named_exist() -> None:
    # Each plugin can be deleted.
    for name in re.findall(r"\]\((?!plugins/)([^):]+)\)", README):
        assert (ROOT / name).exists(), name


def test_the_map_is_the_packages_own() -> None:
    drawn = re.findall(r"^    (?:data/metadata.*?)(?=\n\n)", README, re.DOTALL | re.MULTILINE)
    assert drawn
    for line in drawn[0].splitlines()[:5]:
        assert line.strip() in (lit_genre.__doc__ or "")
