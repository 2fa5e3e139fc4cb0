"""`lit-genre compare` from end to end: a small configuration that works and one that fails."""

import json
from collections.abc import Callable
from pathlib import Path
from shutil import rmtree

import pandas as pd
import pytest
import yaml

from lit_genre.__main__ import main
from lit_genre.compare import train as module
from lit_genre.compare.plan import plan_runs
from lit_genre.runs.folder import RunFolder
from tests.helpers.runs import CONFIGS, Run

OPTIONS = json.dumps([
    "--model.clip_seconds=1", "--trainer.max_epochs=2", "--trainer.logger=false", "--trainer.accelerator=cpu",
    "--trainer.enable_progress_bar=false",
])  # fmt: skip


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the commands that were run, with "on" if they continue from a checkpoint."""
    asked: list[str] = []

    def spy(*words: str) -> str:
        # A test in this process, as each process takes seconds to start.
        if words[0] == "test":
            return run_here(asked, *words)
        asked.append(words[0] + (" on" if words[1] == "--ckpt_path" else ""))
        return real(*words)

    real: Callable[..., str] = module._run_command
    monkeypatch.setattr(module, "_run_command", spy)
    return asked


def run_here(commands: list[str], *words: str) -> str:
    """Run a command in this process, and note its name as `commands` does."""
    commands.append(words[0] + (" on" if words[1] == "--ckpt_path" else ""))
    try:
        main(words)
    except SystemExit as error:
        return str(error)
    return ""


def write_config(name: str, text: str) -> str:
    Path(name).write_text(text)
    return name


def test_what_works_is_trained_tested_and_reported_and_what_fails_is_a_row(
    run: Run, fma: Path, commands: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = write_config("wrong.yaml", "model:\n  backbone:\n    class_path: CRNN\n    init_args: {dropout: 2}\n")
    data = write_config("data.yaml", f"data:\n  init_args:\n    root: {fma}\n")
    words = ["compare", "--configs", json.dumps([str(CONFIGS / "cnn1d_shallow.yaml"), wrong]), "--seeds=[3]"]
    words += ["--baseline=false", "--overlays", json.dumps([data]), "--options", OPTIONS, "--output", "out"]
    run(*words)
    assert commands == ["fit", "test on", "fit"]
    table = pd.read_csv("out/results.csv", index_col="model")
    assert (table.loc["cnn1d_shallow", "epochs"], table.loc["cnn1d_shallow", "seed"]) == (2, 3)
    assert 0 <= table.loc["cnn1d_shallow", "test_accuracy"] <= 1
    assert table.loc["cnn1d_shallow", "parameters"] == 65856
    assert "dropout probability has to be between 0 and 1" in table.loc["wrong", "error"]

    # As if it had been killed after its last epoch.
    Path("out/runs/cnn1d_shallow-seed3/summary.json").unlink()
    before = Path("out/results.csv").read_text().splitlines()[1]
    commands.clear()
    # In this process, as each command would take seconds to start.
    monkeypatch.setattr(module, "_run_command", lambda *words: run_here(commands, *words))
    run(*words)
    assert commands == ["fit on", "fit"]
    assert Path("out/results.csv").read_text().splitlines()[1] == before

    commands.clear()
    run("compare", "--report_only", "--output", "elsewhere", "--runs", json.dumps(["out/runs/cnn*"]))
    assert commands == []
    assert pd.read_csv("elsewhere/results.csv")["model"].tolist() == ["cnn1d_shallow"]

    with pytest.raises(SystemExit, match="cnn1d_shallow-seed3 was made with other settings"):
        run(*words[:-4], "--options", json.dumps(["--trainer.max_epochs=9"]), "--output", "out")
    Path("data.yaml").write_text(f"data:\n  init_args:\n    root: {fma}\n    batch_size: 3\n")
    with pytest.raises(SystemExit, match="was made with other settings"):
        run(*words)
    assert commands == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "There is nothing to compare"),
        (["--configs=[absent.yaml]"], "There is no file absent.yaml"),
        (["--configs=[broken.yaml]"], "broken.yaml is not valid YAML"),
        (["--configs=[words.yaml]"], "words.yaml is not a configuration"),
        (["--configs=[right.yaml]", "--options=[--trainer.accelerator, cpu]"], "--trainer.accelerator' has no value"),
        (["--report_only"], "has no run to report on"),
    ],
)
def test_invalid_arguments_are_refused(run: Run, words: list[str], said: str) -> None:
    for name, text in (("broken", "a: [1"), ("words", "crnn"), ("right", "data: lit_genre.FolderDataModule\n")):
        write_config(f"{name}.yaml", text)
    with pytest.raises(SystemExit, match=said):
        run("compare", *words)
    assert not Path("comparison").exists()


def test_two_configurations_of_one_name_are_refused(run: Run) -> None:
    for folder in ("a", "b"):
        Path(folder).mkdir()
        write_config(f"{folder}/net.yaml", "")
    with pytest.raises(SystemExit, match="Two configurations are called net.yaml"):
        run("compare", "--configs=[a/net.yaml, b/net.yaml]")


def test_a_baseline_of_other_data_does_not_stay(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_run_command", lambda *words: "not run")
    write_config("net.yaml", "")
    words = ["compare", "--configs=[net.yaml]", "--seeds=[0]", "--output=out"]
    run(*words, "--options=[--data.subset=small]")
    # As the message on the network says.
    rmtree("out/runs/net-seed0")
    with pytest.raises(SystemExit, match="baseline was made with other settings"):
        run(*words, "--options=[--data.subset=medium]")
    # Nor where a configuration names the data.
    words[-1] = "--output=out2"
    (data := Path("data.yaml")).write_text("data:\n  init_args:\n    subset: small\n")
    Path("recipe.yaml").write_text("trainer:\n  max_epochs: 3\n")
    words += ["--recipes=[data.yaml]", "--overlays=[recipe.yaml]"]
    run(*words)
    data.write_text(data.read_text().replace("small", "medium"))
    rmtree("out2/runs/net-data-seed0")
    with pytest.raises(SystemExit, match="baseline was made with other settings"):
        run(*words)
    data.write_text(data.read_text().replace("medium", "small"))
    # How the network is trained does not matter to it.
    Path("recipe.yaml").write_text("trainer:\n  max_epochs: 4\n")
    rmtree("out2/runs/net-data-seed0", ignore_errors=True)
    run(*words)


def test_all_are_trained_with_the_first_seed_before_any_with_the_second(tmp_path: Path) -> None:
    plan = plan_runs({"a": [], "b": []}, [4, 2], ["--x=1"], tmp_path)
    assert [folder.path.name for folder in plan] == ["a-seed4", "b-seed4", "a-seed2", "b-seed2"]
    assert plan[RunFolder(tmp_path / "b-seed2")] == ["--x=1", "--seed_everything=2"]


@pytest.mark.parametrize("name", ["compare.yaml", "compare_recipes.yaml"])
def test_the_shipped_comparisons_name_all_seven(name: str) -> None:
    plan = yaml.safe_load((CONFIGS / name).read_text())
    others = {"cnn1d_attention.yaml", "compare.yaml", "compare_recipes.yaml", "compare_encoders.yaml"}
    assert {Path(config).name for config in plan["configs"]} == {path.name for path in CONFIGS.glob("*.yaml")} - others
    assert all((CONFIGS.parent / path).exists() for path in (*plan["configs"], *plan.get("recipes", [])))


def test_each_configuration_is_trained_by_each_recipe_beside_the_baseline(
    run: Run, fma: Path, commands: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_run_command", lambda *words: run_here(commands, *words))
    data = write_config("data.yaml", f"data:\n  init_args:\n    root: {fma}\n")
    recipes = [write_config(f"{name}.yaml", f"select_by: {by}\n") for name, by in (("a", "last"), ("b", "val/loss"))]
    run(
        "compare", "--configs", json.dumps([str(CONFIGS / "cnn1d_shallow.yaml")]), "--recipes", json.dumps(recipes),
        "--seeds=[0]", "--overlays", json.dumps([data]), "--options", OPTIONS, "--output", "out",
    )  # fmt: skip
    assert commands == ["baseline", "fit", "test on", "fit", "test on"]
    table = pd.read_csv("out/results.csv", index_col="model")
    assert set(table.index) == {"MFCC+SVM", "cnn1d_shallow-a", "cnn1d_shallow-b"}
    assert table.loc["cnn1d_shallow-a", ["chosen_epoch", "chosen_by"]].tolist() == [2, "the last"]
    assert table.loc["cnn1d_shallow-b", "chosen_by"] == "least val loss"
    # Of the same tracks.
    tested = [pd.read_csv(path, index_col="track_id").index for path in Path("out/runs").glob("*/test.csv")]
    assert len(tested) == 3
    assert all(index.equals(tested[0]) for index in tested)
    assert "| over MFCC+SVM, points |" in Path("out/table.md").read_text()
