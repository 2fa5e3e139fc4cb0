"""The layout of the package: heavy libraries, plugins, public names, and the map in the package's docstring."""

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
HEAVY = ("matplotlib", "scipy", "sklearn", "onnx")


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


PLUGINS = [path for path in (PACKAGE.parent / "plugins").glob("*/*.py") if not path.name.startswith("test_")]


@pytest.mark.parametrize("path", PLUGINS, ids=lambda path: path.stem)
def test_plugins_import_the_contract_and_nothing_else_of_ours(path: Path) -> None:
    contract = {"model.backbone.Backbone", "model.backbone.InputShape"}
    # What `lit_genre` itself offers is for plugins too: a front-end to make another from. An error of the user may be
    # raised as one.
    assert ours(path) & contract
    assert ours(path) <= contract | {"LogMel", "GenreClassifier", "errors.LitGenreError"}


@pytest.mark.parametrize("name", MODULES)
def test_heavy_libraries_are_imported_where_used(name: str) -> None:
    assert not {library.split(".")[0] for library in imports(MODULES[name], at_start=True)} & set(HEAVY)


@pytest.mark.parametrize("name", MODULES)
def test_torchaudio_is_not_imported(name: str) -> None:
    # Where its build does not match that of torch, importing it fails.
    assert "torchaudio" not in {library.split(".")[0] for library in imports(MODULES[name], at_start=False)}


@pytest.mark.parametrize("name", MODULES)
def test_only_the_logger_and_callbacks_know_wandb(name: str) -> None:
    if not name.startswith(("loggers", "callbacks")):
        assert "wandb" not in {library.split(".")[0] for library in imports(MODULES[name], at_start=False)}


def test_the_map_names_folders_and_files_that_exist() -> None:
    stages = re.findall(r"\b(?:data|model)/\w+", lit_genre.__doc__ or "")
    assert len(stages) == len(set(stages)) == 8
    assert all((PACKAGE / stage).is_dir() or (PACKAGE / f"{stage}.py").is_file() for stage in stages)
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert all(re.search(rf"\b{folder}(?:/|\b)", lit_genre.__doc__ or "") for folder in folders)


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
    assert "lit_genre.commands.table" in loaded
    assert not loaded & {"torch", "numpy", "lightning", "jsonargparse", "pandas", "wandb", "rich"}
