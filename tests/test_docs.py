"""Every command and every block of code in README and in docs/ is accepted or runs."""

import ast
import importlib
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml

import lit_genre
from lit_genre.__main__ import main
from lit_genre.cli.run_spec import read_run_spec
from lit_genre.commands import functions
from lit_genre.commands.table import COMMANDS
from tests.helpers.runs import README, ROOT

STEEPER = 20
"""How many times the weights of a head are multiplied that has been trained for two epochs only."""

SAME = 0.0005
"""How far probabilities of PyTorch and of ONNX Runtime may be apart."""

PAGES = {"README": README} | {path.stem: path.read_text() for path in sorted((ROOT / "docs").glob("*.md"))}

TRAINING = ("fit", "validate", "test", "predict")


def blocks(language: str) -> list[tuple[str, str]]:
    """Return page and content of each block of code of a language."""
    return [
        (page, block)
        for page, text in PAGES.items()
        for block in re.findall(rf"^ *```{language}\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    ]


COMMAND_LINES = [
    (page, line.strip())
    for page, block in blocks("sh")
    for line in block.replace("\\\n", " ").splitlines()
    if line.strip().startswith("lit-genre ")
]


# tests/plugins/test_outside_plugins.py runs the lines about a package of one's own.
@pytest.mark.parametrize(("page", "line"), [pair for pair in COMMAND_LINES if "fit --config my_net" not in pair[1]])
def test_every_command_is_accepted_by_its_parser(
    page: str, line: str, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    name, *words = shlex.split(line.partition(" #")[0].partition(" | ")[0])[1:]
    # Any checkpoint has the model that a line needs.
    for position, word in enumerate(words):
        if word.startswith("--ckpt_path=") or (words[position - 1] == "--ckpt_path" and word != "auto"):
            words[position] = f"--ckpt_path={trained}" if "=" in word else str(trained)
    module = COMMANDS[name].target.partition(":")[0]
    if name in functions.FUNCTIONS:
        functions.parse(name, words)
    elif name in TRAINING:
        with pytest.raises(SystemExit, match="0"):
            main([name, *words] if any("help" in word for word in words) else [name, *words, "--print_config"])
    else:
        _, rest = importlib.import_module(module).parser().parse_known_args(words)
        if name in ("audit", "baseline", "probe"):
            read_run_spec(rest, "CRNN")
        else:
            assert not rest


PYTHON = [(page, code) for page, code in blocks("python") if "onnxruntime" not in code]


@pytest.mark.parametrize(("page", "code"), PYTHON, ids=[f"{page}-{n}" for n, (page, _) in enumerate(PYTHON)])
@pytest.mark.filterwarnings("ignore:The .*_dataloader. does not have many workers")
def test_python_runs(
    page: str, code: str, run: Callable[..., None], fma: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lit_genre, "write_demo", lambda root: None, raising=False)
    Path("data").mkdir()
    Path("data/demo").symlink_to(fma)
    shutil.copytree(fma / "fma_small" / "000", "songs")
    shutil.copy("songs/000001.mp3", "song.mp3")
    shutil.copy(trained, "best.ckpt")
    shutil.copytree(trained.parents[1], "runs/CRNN")
    exec(compile(code.replace("trainer(max", "trainer(accelerator='cpu', max"), page, "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize(("page", "text"), blocks("yaml"))
def test_yaml_is_valid(page: str, text: str) -> None:
    assert isinstance(yaml.safe_load(text), dict | list)


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
    (code,) = [code for _, code in blocks("python") if "onnxruntime" in code]
    if is_loud:
        write_loud_song(Path("song.mp3"))
    else:
        Path("song.mp3").write_bytes((fma / "fma_small" / "000" / "000001.mp3").read_bytes())
    run("export", "--ckpt_path", decided, "--output", "CRNN.onnx")
    run("classify", "song.mp3", "--ckpt_path", decided, "--output", "genres.jsonl", "--top_k", "8")
    without = "import sys; sys.modules.update(torch=None, lit_genre=None)\n"
    done = subprocess.run([sys.executable, "-c", without + code], capture_output=True, text=True, check=True)
    expected = json.loads(Path("genres.jsonl").read_text())["genres"]
    assert ast.literal_eval(done.stdout) == pytest.approx(expected, abs=SAME)


def test_files_that_are_named_exist() -> None:
    # Each plugin can be deleted.
    for name in re.findall(r"\]\((?!plugins/)([^):]+)\)", README):
        assert (ROOT / name.partition("#")[0]).exists(), name
