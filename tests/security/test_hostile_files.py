"""Every hostile file against every command: nothing is executed, read or written elsewhere, or ends in a traceback."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import Mock

import pytest
from PIL import Image

from lit_genre import LitGenreError, load_model
from lit_genre.__main__ import main
from tests.helpers.hostile.canary import MODULE, Canary
from tests.helpers.hostile.files import COMMANDS, KINDS, Kind, table
from tests.helpers.runs import ROOT

_ONE_OF_EACH_WAY = ("fit", "classify", "compare")

Run = Callable[..., None]


@pytest.fixture(scope="session")
def good(trained: Path, fma: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of this account, the same model in the format of the Hub, and its embeddings of a song."""
    folder = tmp_path_factory.mktemp("good")
    shutil.copytree(trained.parents[1], folder / "run")
    song = fma / "fma_small" / "000" / "000001.mp3"
    checkpoint = folder / "run" / "checkpoints" / "best.ckpt"
    main(["export", "--ckpt_path", str(checkpoint), "--output", str(folder / "hub"), "--format", "hub"])
    main(
        [
            "classify",
            "--ckpt_path",
            str(checkpoint),
            str(song),
            "--device",
            "cpu",
            "--embeddings",
            str(folder / "songs.npz"),
        ]
    )
    return folder / "run"


@pytest.fixture
def canary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Canary]:
    with Canary(tmp_path / "elsewhere") as canary:
        monkeypatch.syspath_prepend(canary.folder)
        # What was imported before would not be noticed again.
        monkeypatch.delitem(sys.modules, MODULE, raising=False)
        monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "hf_modules"))
        # Drawing takes most of the time of a test; a file is written all the same.
        monkeypatch.setattr(
            "matplotlib.figure.Figure.savefig", lambda self, path, **_: Image.new("L", (1, 1)).save(path)
        )
        monkeypatch.setenv("WANDB_MODE", "disabled")
        # The server itself has its own tests.
        monkeypatch.setattr("lit_genre.serve.command.start_decoders", lambda _: nullcontext())
        monkeypatch.setattr("lit_genre.serve.command.build_server", lambda *_, **__: Mock())
        yield canary


def words_of(command: str, path: Path, good: Path, fma: Path) -> list[object]:
    """Write the command line that gives a file to a command."""
    song = fma / "fma_small" / "000" / "000001.mp3"
    quiet = ["--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false"]
    data = f"--data.root={fma}"
    return {
        "fit": ["fit", "--ckpt_path", path, data, "--trainer.max_epochs=3", "--trainer.logger=false", *quiet],
        "validate": ["validate", "--ckpt_path", path, data, *quiet],
        "test": ["test", "--ckpt_path", path, data, *quiet],
        "predict": ["predict", "--ckpt_path", path, data, *quiet],
        "probe": ["probe", "--ckpt_path", path, data, "--device", "cpu", "--output", "made", *quiet],
        "baseline": ["baseline", "--ckpt_path", path, data, "--output", "made", "--classifier", "logistic"],
        "classify": ["classify", "--ckpt_path", path, song, "--device", "cpu"],
        "similar": ["similar", good.parent / "songs.npz", song, "--ckpt_path", path, "--device", "cpu"],
        "export": ["export", "--ckpt_path", path, "--output", "made", "--format", "hub"],
        "serve": ["serve", "--ckpt_path", path, "--no_browser", "--port", "0", "--device", "cpu"],
        "compare": ["compare", "--report_only", "--runs", f'["{path.parents[1]}"]', "--output", "made"],
    }[command]


def commands_for(kind: Kind) -> list[str]:
    """Choose the commands of each way to read a file, and one more by turns; all of them where that is asked for."""
    commands = COMMANDS[kind.form]
    if "EVERY_COMMAND" in os.environ:
        return list(commands)
    others = [command for command in commands if command not in _ONE_OF_EACH_WAY]
    chosen = {*_ONE_OF_EACH_WAY, others[KINDS.index(kind) % len(others)]}
    return [command for command in commands if command in chosen]


_LOAD_EACH = """
import sys
from contextlib import suppress
from pathlib import Path
from lit_genre import LitGenreError, load_model
marker, *paths = map(Path, sys.argv[1:])
for path in paths:
    sys.modules.pop("canary_module", None)
    with suppress(LitGenreError):
        load_model(path, trust=True)
    print(marker.exists())
    marker.unlink(missing_ok=True)
"""


def test_the_canary_notices_what_trust_allows(good: Path, canary: Canary, tmp_path: Path) -> None:
    names = (
        "front-end is subprocess.getoutput",
        "backbone of a module on the path",
        "transformers' encoder with code of its own",
        "class of the model on the path",
        "joined backbones with one of a module on the path",
    )
    paths = []
    for number, name in enumerate(names):
        (kind,) = (kind for kind in KINDS if kind.name == name)
        (tmp_path / str(number)).mkdir()
        paths.append(kind.make(good, tmp_path / str(number), canary))
    # In another process: the classes of these files would be subclasses of Backbone for all tests that follow.
    environment = os.environ | {"PYTHONPATH": str(canary.folder)}
    words = [sys.executable, "-c", _LOAD_EACH, canary.marker, *paths]
    loaded = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert loaded.stdout.split() == ["True"] * len(names), loaded.stdout + loaded.stderr
    for path in paths:
        with pytest.raises(LitGenreError):
            load_model(path)
    assert canary.check() == []


def test_the_security_policy_lists_every_kind() -> None:
    assert table() in (ROOT / "SECURITY.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_hostile_file_does_nothing_but_what_it_is_for(
    kind: Kind, good: Path, canary: Canary, run: Run, fma: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    problems = []
    for command in commands_for(kind):
        folder = Path(command)
        folder.mkdir()
        path = kind.make(good, folder, canary)
        canary.opened.clear()
        before = {found.name for found in Path().iterdir()}
        try:
            run(*words_of(command, path.absolute(), good, fma))
        except SystemExit as end:
            problems += [f"{command}: {end.code} is a traceback"] if "Traceback" in str(end.code) else []
        except BaseException as error:  # What a user would see as a traceback.
            problems.append(f"{command}: {type(error).__name__}: {str(error)[:300]}")
        problems += [f"{command}: {happened}" for happened in canary.check()]
        new = {found.name for found in Path().iterdir()} - before
        problems += [f"{command} wrote {name}" for name in new if name.startswith((".hidden", "written", "w."))]
        shutil.rmtree("made", ignore_errors=True)
        shutil.rmtree(folder)
    assert not problems, "\n".join(problems)
