"""The help of the commands: one style, short, and without importing torch."""

import re
import subprocess
import sys

import pytest

from lit_genre.commands.source_docs import read_arguments, read_summary
from lit_genre.commands.table import COMMANDS, GROUPS
from lit_genre.commands.training_help import training_help
from tests.helpers.runs import Run

HEAVY = {"torch", "lightning", "pandas", "sklearn", "scipy", "matplotlib", "wandb", "soundfile"}


def test_the_overview_has_groups_with_each_command_once(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        run("--help")
    text = capsys.readouterr().out
    assert list(GROUPS) == ["data", "training", "evaluation", "use", "development"]
    for name, command in COMMANDS.items():
        assert len(re.findall(rf"^  {name} +{re.escape(command.summary)}$", text, re.MULTILINE)) == 1
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("name", COMMANDS)
def test_help_imports_nothing_heavy_and_has_examples(name: str) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "lit_genre", name, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"usage: lit-genre {name}" in done.stdout
    assert f"\n  lit-genre {name}" in done.stdout.partition("examples:")[2]
    loaded = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert "lit_genre.commands.table" in loaded
    assert not loaded & HEAVY


def test_the_help_of_fit_fits_two_screens() -> None:
    lines = training_help("fit").splitlines()
    assert len(lines) <= 90
    assert max(map(len, lines)) <= 100
    for words in ("FolderDataModule", "CRNNStacked", "auto, which resumes", "--help trainer", "--data.subset"):
        assert any(words in line for line in lines), words


@pytest.mark.parametrize(
    ("options", "expected", "absent"),
    [
        (("--help", "data"), "--data.subset", "--data.split_seed"),
        (("--data", "FolderDataModule", "--help", "data"), "--data.split_seed", "--data.subset"),
        (("--help=model",), "--model.mean_normalized_channels", "--trainer.max_epochs"),
        (("--help", "trainer"), "--trainer.gradient_clip_val", "--model.head_dim"),
    ],
)
def test_the_pages_of_a_part_have_all_its_options(
    run: Run, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], expected: str, absent: str
) -> None:
    with pytest.raises(SystemExit, match="0"):
        run("fit", *options)
    text = capsys.readouterr().out
    assert expected in text
    assert absent not in text


def test_an_unknown_page_is_refused(run: Run) -> None:
    with pytest.raises(SystemExit, match="--help dat: there is no such page"):
        run("fit", "--help", "dat")


def test_arguments_are_read_from_the_source() -> None:
    arguments = read_arguments("lit_genre.data.datamodules.base:TrackDataModule")
    assert arguments["batch_size"] == ("Number of clips in a batch of one process", "32")
    assert arguments["num_workers"].help == "Processes that read batches"
    assert read_summary("lit_genre.backbones.rnn.RNN") == "A plain LSTM over the frames."


def test_the_list_of_data_sets_has_their_own_options(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run("datasets", "--format=csv")
    rows = capsys.readouterr().out.splitlines()
    assert rows[0] == "name,package,version,summary,options,error"
    assert any(row.startswith("FMADataModule,lit-genre,") and "subset" in row for row in rows)
    run("datasets")
    assert "GTZANDataModule" in capsys.readouterr().out


def test_a_reader_that_ends_early_is_no_error() -> None:
    command = f"{sys.executable} -m lit_genre datasets --format=json | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert done.stdout == "[\n"
    assert "Traceback" not in done.stderr
