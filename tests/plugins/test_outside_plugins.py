"""Packages outside this repository are created, installed, found and trained by name."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lit_genre.backbones import registry as plugins
from lit_genre.model.backbone import Backbone
from lit_genre.testing import check_backbone
from tests.helpers.runs import QUIET, README, Run

FIT = ("--model.clip_seconds=1", QUIET, "--trainer.fast_dev_run=true", "--trainer.accelerator=cpu")

GOOD = """
import torch
from lit_genre.model.backbone import Backbone

class {name}(Backbone):
    def __init__(self, input_shape):
        super().__init__()
        self.embedding_dim = 4
        self.linear = torch.nn.Linear(input_shape[0], 4)

    def forward(self, mel):
        return self.linear(mel.mean(-1))
"""


SECTION = README.partition("## Your own network")[2].partition("\n## ")[0]
NEW, INSTALL, TEST, TRAIN, _ = re.findall(r"^(?:lit-genre|pip|pytest) .*$", SECTION, re.MULTILINE)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the commands of README are run, up to the installation of the new package."""
    workspace = tmp_path_factory.mktemp("workspace")
    assert run_module(workspace, NEW.replace("lit-genre", "lit_genre")).returncode == 0
    # Without network: hatchling is installed with the tests, and torch and lit-genre are installed.
    offline = "pip install --quiet --no-deps --no-index --no-build-isolation --target installed"
    done = run_module(workspace, INSTALL.replace("pip install -e '", f"{offline} './").replace("[test]", ""))
    assert done.returncode == 0, done.stderr
    return workspace


def run_module(workspace: Path, line: str) -> subprocess.CompletedProcess[str]:
    """Run a module of Python in a folder, with the packages that are installed in it."""
    paths = [str(workspace / "installed"), str(Path(plugins.__file__).parents[2])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-m", *shlex.split(line)]
    return subprocess.run(command, capture_output=True, text=True, cwd=workspace, env=environment, check=False)


def test_the_section_of_readme_is_short() -> None:
    assert len(SECTION.strip().splitlines()) < 40


def test_the_code_in_readme_meets_the_contract() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)
    names: dict[str, type[Backbone]] = {}
    exec(code, names)
    backbone = names["MyNet"]((128, 130))
    # Pickling looks the class up in its module, which a class that exec defines does not have.
    backbone.__class__.__module__ = __name__
    globals()["MyNet"] = names["MyNet"]
    check_backbone(backbone)


def test_a_new_package_passes_its_own_tests(workspace: Path) -> None:
    done = run_module(workspace, f"{TEST} -q")
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout


def test_a_new_backbone_is_trained_by_its_name(workspace: Path, fma: Path) -> None:
    line = TRAIN.replace("lit-genre", "lit_genre", 1) + f" --data.root={fma} " + " ".join(FIT)
    done = run_module(workspace, line)
    assert done.returncode == 0, done.stderr
    assert "MyNet: " in done.stderr


Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install packages for this process, as pip would leave them: name, entry point and code."""
    target = tmp_path / "installed"
    target.mkdir()

    def install_one(package: str, entry: str, code: str) -> None:
        module = entry.partition("=")[2].partition(":")[0].strip()
        (target / f"{module}.py").write_text(code)
        info = target / f"{package.replace('-', '_')}-2.5.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 2.5\n")
        (info / "entry_points.txt").write_text(f"[{plugins.GROUP}]\n{entry}\n")
        plugins.backbones.cache_clear()

    before = set(sys.modules)
    monkeypatch.syspath_prepend(target)
    yield install_one
    for module in set(sys.modules) - before:
        if module.startswith("outside_"):
            del sys.modules[module]
    plugins.backbones.cache_clear()


def test_a_broken_import_causes_a_warning_and_the_run_continues(run: Run, fma: Path, install: Install) -> None:
    install("broken-one", "Broken = outside_broken:Broken", "import a_module_that_does_not_exist")
    with pytest.warns(
        UserWarning, match="backbone Broken of broken-one 2.5 is left out: .*a_module_that_does_not_exist"
    ):
        run("fit", "--model.backbone=CRNN", f"--data.root={fma}", *FIT)


@pytest.mark.filterwarnings("ignore:backbone .* is left out")
@pytest.mark.parametrize(
    ("packages", "requested", "message"),
    [
        (
            [("twin-a", "Twin = outside_twin_a:Twin"), ("twin-b", "Twin = outside_twin_b:Twin")],
            "Twin",
            "more than one package declares this name: twin-a 2.5 and twin-b 2.5. Uninstall one of them",
        ),
        (
            [("no-base", "Path = outside_no_base:Path")],
            "Path",
            "outside_no_base:Path is not a subclass of lit_genre.Backbone",
        ),
        ([("good-one", "Found = outside_good:Found")], "Lost", "good-one 2.5: Found"),
    ],
    ids=["duplicate name", "wrong base class", "unknown name"],
)
def test_an_unusable_name_is_an_error_with_the_reason_and_the_usable_names(
    run: Run,
    install: Install,
    capsys: pytest.CaptureFixture[str],
    packages: list[tuple[str, str]],
    requested: str,
    message: str,
) -> None:
    for package, entry in packages:
        name = entry.partition(" ")[0]
        install(package, entry, "from pathlib import Path" if name == "Path" else GOOD.format(name=name))
    with pytest.raises(SystemExit, match="2"):
        run("fit", f"--model.backbone={requested}")
    output = capsys.readouterr().err
    assert message in output
    assert re.search(r"  lit-genre [\d.]+: .*\bCRNN,", output)
    assert len(output.splitlines()) < 30


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise ValueError('width is 3, but must be even')", "ValueError: width is 3, but must be even"),
        ("self.__dict__.pop('embedding_dim')", "'Odd' object has no attribute 'embedding_dim'"),
    ],
)
def test_a_backbone_that_cannot_be_built_is_an_error_without_a_traceback(
    run: Run, fma: Path, install: Install, body: str, message: str
) -> None:
    code = GOOD.format(name="Odd").replace("        self.linear", f"        {body}\n        self.linear")
    install("odd-one", "Odd = outside_odd:Odd", code)
    with pytest.raises(SystemExit) as stopped:
        run("fit", "--model.backbone=Odd", f"--data.root={fma}", *FIT)
    assert "The backbone Odd cannot be built for items of shape (128, 22)" in str(stopped.value)
    assert message in str(stopped.value)


def test_a_backbone_on_waveforms_after_a_spectrogram_is_an_error(run: Run, fma: Path, install: Install) -> None:
    install("wave-one", "Wave = outside_wave:Wave", GOOD.format(name="Wave") + "\n    takes = 'waveform'\n")
    with pytest.raises(SystemExit, match="Wave takes a waveform, .* choose frontend: torch.nn.Identity"):
        run("fit", "--model.backbone=Wave", f"--data.root={fma}", *FIT)
