"""The notebooks in docs/ run from the first cell to the last, on a small demo."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.helpers.runs import ROOT

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))

SMALL = {"ARTISTS": "3", "SECONDS": "4.0", "EPOCHS": "1", "SEEDS": "[0]", "CONFIGS": '"[cnn1d_shallow]"'}
"""Values of the constants in the first cell, so that a notebook takes seconds."""

PROGRAM = re.compile(r"^!lit-genre (.*?)( > \{log\})?( 2>&1)?( \| tail -\d+)?$", re.MULTILINE)
"""A line that runs the program. The test runs it in the process of the notebook, which has imported PyTorch already."""


IN_THIS_PROCESS = """
import lit_genre.compare.train
from lit_genre.__main__ import main
lit_genre.compare.train._run_command = lambda *words: main(words) or ""
"""
"""`compare` starts a process for each command of a run; its own tests prove that."""


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = nbformat.read(path, as_version=4)
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    for name, value in SMALL.items():
        first.source = re.sub(rf"^{name} = [^#\n]+", f"{name} = {value}", first.source, flags=re.MULTILINE)
    first.source += IN_THIS_PROCESS
    commands = [cell for cell in notebook.cells if cell.cell_type == "code" and "!lit-genre" in cell.source]
    for cell in commands:
        cell.source = PROGRAM.sub(r"%run -m lit_genre \1", cell.source)
        assert "!lit-genre" not in cell.source
    monkeypatch.setenv("WANDB_MODE", "offline")
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
    texts = [output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not any("lit-genre" in text and "Error" in text for text in texts)
    if path.stem == "train_and_compare":
        assert {"report.html", "results.csv"} <= {part.name for part in (tmp_path / "comparison").iterdir()}
    else:
        assert len((tmp_path / "genres.csv").read_text().splitlines()) == 1 + 48
        assert any("Nothing was changed. Add --yes" in text for text in texts)
