"""Fixtures of all tests: small data in FMA's layout, the program in this process, and one trained run."""

import os
import signal
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nnAudio.features.stft
import pytest
import torch

from lit_genre.__main__ import main
from tests.helpers.fma import WriteFMA, write_tracks
from tests.helpers.runs import QUIET, ROOT, SMALL

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# One thread here and in the programs that tests start: on a few cores, threads of several processes would wait for each
# other in busy loops.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
# A shell starts a background job with Ctrl-C ignored, and the programs that tests interrupt inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Each model computes the Fourier kernels of its front-end, in 0.06 s; the tests build thousands of models.
nnAudio.features.stft.create_fourier_kernels = cache(nnAudio.features.stft.create_fourier_kernels)
# No test asks the network; the hubs' library reads this when it is imported.
os.environ["HF_HUB_OFFLINE"] = "1"
for variable in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"):
    os.environ.pop(variable, None)


SLOW = (
    *("audit/test_audit", "backbones/test_command", "baseline/", "cli/", "commands/", "configs/"),
    *("compare/report/", "compare/test_compare", "compare/test_cross_validation", "compare/test_probes"),
    *("callbacks/test_dashboard", "callbacks/test_other_loggers", "callbacks/test_pictures"),
    *("data/datamodules/test_folder", "data/decoding/", "data/store/", "demo/", "export/"),
    *("inference/test_classify", "inference/test_load"),
    *("model/checks/", "model/test_classifier", "model/training/"),
    *("plugins/", "prepare/", "probe/", "runs/test_locate", "scaffold/", "security/", "serve/"),
    *("test_docs", "test_notebooks", "testing/"),
)
"""Files whose tests train, serve, export or decode for seconds, relative to tests/."""


def is_slow(path: Path) -> bool:
    """Return whether the tests of a file are slow: those in SLOW, and those of plugins."""
    inside = path.relative_to(ROOT).as_posix()
    return inside.startswith(("plugins/", *(f"tests/{prefix}" for prefix in SLOW)))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even import slow files where slow tests are left out, as importing all takes 15 s."""
    leaves_out = "not slow" in config.getoption("markexpr") and collection_path.suffix == ".py"
    return True if leaves_out and is_slow(collection_path) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests as slow or browser by their file, as nearly all tests of these files are."""
    for item in items:
        if is_slow(item.path):
            item.add_marker(pytest.mark.slow)
        if item.path == ROOT / "tests" / "serve" / "test_page.py":
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session", autouse=True)
def _state_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the key that signs configurations, and cached lists, out of the home folder."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))


@pytest.fixture(scope="session")
def fma(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight genres, three artists each (one a split), one MP3 of 2 s each."""
    from lit_genre.demo.write import write_demo

    root = tmp_path_factory.mktemp("fma")
    write_demo(root, artists=3, tracks_per_artist=1, seconds=2.0)
    return root


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Run `lit-genre` in this process, from an empty folder and without an account of W&B."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
    return lambda *argv: main([str(argument) for argument in argv])


@pytest.fixture
def write_fma(tmp_path: Path) -> WriteFMA:
    """Write a data set in FMA's layout, track by track."""
    return lambda tracks: write_tracks(tmp_path / "by_hand", tracks)


@pytest.fixture(scope="session")
def trained(fma: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The best checkpoint of a small run, which has been tested."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    options = (*SMALL, QUIET, f"--data.root={fma}", "--trainer.max_epochs=2", f"--trainer.default_root_dir={folder}")
    main(["fit", *map(str, options)])
    checkpoint = folder / "checkpoints" / "best.ckpt"
    main(["test", f"--ckpt_path={checkpoint}"])
    return checkpoint


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> "list[Figure]":
    """All figures that are written, in their order."""
    from matplotlib.figure import Figure

    written: list[Figure] = []
    save = Figure.savefig

    def record(figure: Figure, *arguments: Any, **options: Any) -> None:
        written.append(figure)
        save(figure, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", record)
    return written
