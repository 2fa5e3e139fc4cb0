"""The shape of the house: who imports whom, and that the map in the package's docstring is true."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import lit_genre

PACKAGE = Path(lit_genre.__file__).parent
MODULES = {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}
HEAVY = ("matplotlib", "scipy", "sklearn", "onnx", "torchaudio")


def imports(path: Path, *, at_start: bool) -> Iterator[str]:
    """Name what a module imports, at its start or anywhere in it."""
    tree = ast.parse(path.read_text())
    for node in tree.body if at_start else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} has a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def ours(path: Path) -> set[str]:
    return {name.removeprefix("lit_genre.") for name in imports(path, at_start=False) if name.startswith("lit_genre.")}


@pytest.mark.parametrize("name", MODULES)
def test_imports_run_one_way(name: str) -> None:
    used = ours(MODULES[name])
    allowed = {
        "data": ("data.", "batch", "errors", "console", "text", "files", "__file__"),
        "demo": ("demo.", "data.", "errors", "console"),
        "audit": ("audit.", "data.", "settings", "threads", "batch", "errors", "console", "text"),
        "baseline": (
            "baseline.",
            "data.",
            "callbacks.at_once",
            "model.metrics",
            "settings",
            "threads",
            "batch",
            "errors",
            "console",
        ),
        "probe": (
            "probe.",
            "data.",
            "model.",
            "callbacks.",
            "settings",
            "load",
            "run_folder",
            "trust.",
            "threads",
            "batch",
            "errors",
            "console",
        ),
        "prepare": ("prepare.", "data.", "errors", "console", "text", "files"),
        "answer": ("answer.", "data.", "model.", "load", "batch", "errors", "console", "text", "allocator"),
        "export": (
            "export.",
            "data.",
            "demo.",
            "model.",
            "load",
            "run_folder",
            "batch",
            "errors",
            "console",
            "text",
            "__version__",
        ),
        "serve": ("serve.", "answer.", "data.", "demo.", "model.", "load", "batch", "errors", "console", "allocator"),
        "model": ("model.", "batch", "errors"),
        "trust": ("trust.", "model.", "plugins", "logger", "batch", "errors"),
        "backbones": ("model.backbone", "backbones."),
        "report": (
            "report.",
            "model.metrics",
            "run_folder",
            "trust.plain",
            "errors",
            "console",
            "figure",
            "text",
            "__version__",
        ),
        "callbacks": ("callbacks", "model.", "run_folder", "errors", "console", "figure", "files", "text"),
    }.get(name.split(".")[0])
    if name == "model.backbone":
        allowed = ()
    if name == "model.classifier":
        # Lightning's way to load a checkpoint is a method of the model; it is that of `load`.
        used.remove("load.build_trained")
    if allowed is not None:
        assert all(other.startswith(allowed) for other in used), f"{name} imports {used}"
    elif name not in ("cli", "restore", "settings", "training", "__init__", "testing"):
        assert not any(other.startswith(("data.", "callbacks.")) for other in used), f"{name} imports {used}"


PLUGINS = [path for path in (PACKAGE.parent / "plugins").glob("*/*.py") if not path.name.startswith("test_")]


@pytest.mark.parametrize("path", PLUGINS, ids=lambda path: path.stem)
def test_plugins_import_the_contract_and_nothing_else_of_ours(path: Path) -> None:
    contract = {"model.backbone.Backbone", "model.backbone.InputShape"}
    # What `lit_genre` itself offers is for plugins too: a front-end to make another from.
    assert contract <= ours(path) <= contract | {"LogMel"}


@pytest.mark.parametrize("name", MODULES)
def test_heavy_libraries_are_imported_where_used(name: str) -> None:
    assert not {library.split(".")[0] for library in imports(MODULES[name], at_start=True)} & set(HEAVY)


@pytest.mark.parametrize("name", MODULES)
def test_only_the_logger_and_callbacks_know_wandb(name: str) -> None:
    if name != "logger" and not name.startswith("callbacks"):
        assert "wandb" not in {library.split(".")[0] for library in imports(MODULES[name], at_start=False)}


def test_the_map_names_files_that_exist_in_the_order_of_their_imports() -> None:
    stages = re.findall(r"\b(?:data|model)/\w+", lit_genre.__doc__ or "")
    assert len(stages) == len(set(stages)) == 11
    names = [stage.replace("/", ".") for stage in stages]
    assert all(name in MODULES or f"{name}.__init__" in MODULES for name in names)
    place = {stage.replace("/", "."): number for number, stage in enumerate(stages)}
    for stage, number in place.items():
        for other in ours(MODULES.get(stage, MODULES.get(f"{stage}.__init__"))) & place.keys():
            # The classifier holds the whole model, its scores too.
            assert place[other] < number or stage == "model.classifier", f"{stage} imports {other} from further on"


def test_the_public_names_are_there() -> None:
    assert set(lit_genre.__all__) == set(lit_genre._HOME_OF)
    for name in lit_genre.__all__:
        assert getattr(lit_genre, name).__name__ == name
    with pytest.raises(AttributeError, match="Nonsense"):
        lit_genre.Nonsense  # noqa: B018


def test_help_loads_nothing_slow() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "lit_genre", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "fit" in done.stdout
    loaded = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert "argparse" in loaded
    assert not loaded & {"torch", "numpy", "lightning", "jsonargparse", "pandas", "wandb", "rich"}
