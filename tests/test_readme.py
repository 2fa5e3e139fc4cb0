"""What README says can be typed can be typed."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

import lit_genre
from lit_genre.__main__ import COMMANDS, main
from tests.runs import README, ROOT

COMMAND_LINES = re.findall(r"^lit-genre (.*)$", README, re.MULTILINE)


def test_every_command_is_in_the_table() -> None:
    assert {line.split()[0] for line in COMMAND_LINES} <= COMMANDS.keys()


# What is said of one's own package is run by tests/test_outside_plugins.py.
@pytest.mark.parametrize("line", [line for line in COMMAND_LINES if "--config" in line and "my_net" not in line])
def test_every_configuration_parses(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(SystemExit, match="0"):
        main([*shlex.split(line), "--print_config"])


@pytest.mark.filterwarnings("ignore:The .*_dataloader. does not have many workers")
def test_python_runs(run: Callable[..., None], fma: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"## From Python\n\n```python\n(.*?)```", README, re.DOTALL)
    monkeypatch.setattr(lit_genre, "write_demo", lambda root: None, raising=False)
    exec(code.replace("data/demo", str(fma)).replace("Trainer(", "Trainer(accelerator='cpu', logger=False, "))
    assert list(Path("checkpoints").iterdir())


def test_files_that_are_named_exist() -> None:
    # Each plugin can be deleted.
    for name in re.findall(r"\]\((?!plugins/)([^):]+)\)", README):
        assert (ROOT / name).exists(), name


def test_the_map_is_the_packages_own() -> None:
    drawn = re.findall(r"^    (?:data/fma.*?)(?=\n\n)", README, re.DOTALL | re.MULTILINE)
    assert drawn
    for line in drawn[0].splitlines()[:6]:
        assert line.strip() in (lit_genre.__doc__ or "")
