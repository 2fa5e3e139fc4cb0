"""What the command line takes and refuses: `lit-genre` with words behind it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from lit_genre.cli.run_spec import read_run_spec
from lit_genre.model.backbone import Backbone, InputShape
from tests.helpers.runs import CONFIGS, QUIET, SMALL, Run, folder


class Mean(Backbone):
    """The mean spectrum."""

    def __init__(self, input_shape: InputShape) -> None:
        super().__init__()
        self.embedding_dim = input_shape[0]

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        return mel.mean(-1)


# configs/compare.yaml is of another command.
@pytest.mark.parametrize(
    "config", sorted({*CONFIGS.glob("*.yaml")} - {*CONFIGS.glob("compare*.yaml")}), ids=lambda path: path.stem
)
def test_every_shipped_config_runs(run: Run, fma: Path, config: Path) -> None:
    run(
        "fit", "--config", config, "--config", CONFIGS / "data" / "demo.yaml", f"--data.root={fma}",
        "--trainer.fast_dev_run=true", "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false",
    )  # fmt: skip
    assert len(config.read_text().splitlines()) < 20


def test_print_config_is_whole_and_can_be_read_back(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        run("fit", *SMALL, "--print_config")
    config = yaml.safe_load(capsys.readouterr().out)
    assert config["model"]["backbone"]["init_args"]["filters"] == [8, 8]
    assert config["model"]["frontend"]["init_args"]["n_fft"] == 2048
    assert config["trainer"]["max_epochs"] == 70
    Path("again.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(SystemExit, match="0"):
        run("fit", "--config", "again.yaml", "--print_config")
    assert yaml.safe_load(capsys.readouterr().out) == config


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["--model.backbone=CRNM"],
            ["--model.backbone=CRNM: there is no such class. Did you mean CRNN", ": CNN1DAttention, "],
        ),
        (
            [*SMALL, "--trainer.max_epoch=3"],
            ["--trainer.max_epoch: there is no such option. Did you mean trainer.max_epochs"],
        ),
        (
            [*SMALL, "--model.backbone.filterz=3"],
            ["--model.backbone.filterz: CRNN has no such argument. Did you mean filters?"],
        ),
        (
            [*SMALL, "--data.batch_sizes=3"],
            ["--data.batch_sizes: FMADataModule has no such argument. Did you mean batch_size"],
        ),
        ([*SMALL, "--config=typo.yaml"], ["modle.clip_seconds", "Did you mean model.clip_seconds"]),
        ([*SMALL, "--model.clip_seconds=long"], ["--model.clip_seconds=long: must be a number or null."]),
        (
            [*SMALL, "--config=absent.yaml"],
            ["absent.yaml: there is no such file", "crnn, crnn_stacked", "recipes/modern"],
        ),
        ([*SMALL, "--data.subset=smal"], ["--data.subset=smal: must be small, medium, large or full."]),
        ([*SMALL, "--data.batch_size=many"], ["--data.batch_size=many: must be a whole number."]),
        ([*SMALL, "--model.backbone.filters=wide"], ["--model.backbone.filters=wide: must be a list, such as [1,2]."]),
        ([*SMALL, "--model.optimizer.lr=fast"], ["--model.optimizer.lr=fast: must be a number."]),
        ([*SMALL, "--model.optimizer=SDG"], ["--model.optimizer=SDG: there is no such class. Use the class path"]),
        ([*SMALL, "--trainer.precision=17"], ["--trainer.precision=17: must be 64, 32, 16, ", "bf16-mixed"]),
        ([*SMALL, "--data=FolderDataModul"], ["Did you mean FolderDataModule", "GTZANDataModule"]),
        (
            [*SMALL, "--data=nowhere.Data"],
            ["--data=nowhere.Data: the class cannot be imported: No module named 'nowhere'."],
        ),
        ([*SMALL, "loose"], ["loose: unexpected argument"]),
        ([], ["model.backbone", "Known backbones"]),
    ],
)
def test_a_wrong_command_line_is_told_in_one_screen(
    run: Run, capsys: pytest.CaptureFixture[str], words: list[object], said: list[str]
) -> None:
    Path("typo.yaml").write_text("modle:\n  clip_seconds: 3\n")
    with pytest.raises(SystemExit, match="2"):
        run("fit", *words)
    error = capsys.readouterr().err
    assert all(part in error for part in said)
    assert error.startswith("lit-genre fit: ")
    assert "Parser key" not in error
    assert len(error.splitlines()) < 24
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fit", *SMALL, "--data.root=nowhere"], "No FMA small in"),
        (["test", "--ckpt_path=absent.ckpt"], "There is no checkpoint absent.ckpt"),
        (["test", "--ckpt_path=best"], "has a checkpoint yet"),
        (["test", "--ckpt_path=broken.ckpt"], "broken.ckpt is not a checkpoint of lit-genre"),
        (["test", "--ckpt_path=foreign.ckpt"], "foreign.ckpt is not a checkpoint of lit-genre"),
        (["test", "--ckpt_path=other.ckpt"], "other.ckpt is not a checkpoint of lit-genre"),
        (["test", *SMALL], "--ckpt_path is missing"),
        (["fit", *SMALL, "--model.clip_seconds=0"], "clip_seconds is 0"),
        (["fit", *SMALL, "--data.batch_size=0"], "batch_size is 0"),
    ],
)
def test_what_the_user_can_mend_is_one_message(run: Run, words: list[object], said: str) -> None:
    Path("broken.ckpt").write_text("not a checkpoint")
    torch.save({"state_dict": {}}, "foreign.ckpt")
    torch.save({"state_dict": {}, "hyper_parameters": {"lr": 1}}, "other.ckpt")
    with pytest.raises(SystemExit) as error:
        run(*words)
    assert said in str(error.value)


def test_a_checkpoint_of_another_backbone_is_refused(run: Run, fma: Path) -> None:
    run("fit", *SMALL, QUIET, f"--data.root={fma}", "--trainer.max_epochs=1")
    path = folder() / "checkpoints" / "last.ckpt"
    content = torch.load(path, weights_only=True)
    content["hyper_parameters"]["backbone"] = {"class_path": "lit_genre.RNN", "init_args": {}}
    torch.save(content, "rnn.ckpt")
    with pytest.raises(SystemExit) as error:
        run("test", *SMALL, QUIET, f"--data.root={fma}", "--ckpt_path=rnn.ckpt")
    assert "has the backbone RNN, but the configuration has CRNN" in str(error.value)


@pytest.mark.parametrize(
    ("words", "optimizer", "expected"),
    [
        (["--model.optimizer=torch.optim.SGD"], "torch.optim.SGD", {"lr": 0.001, "weight_decay": 0}),
        (["--model.optimizer=torch.optim.Adadelta"], "torch.optim.Adadelta", {"lr": 1.0, "weight_decay": 0}),
        (["--config=sgd.yaml"], "torch.optim.SGD", {"lr": 0.1, "weight_decay": 0}),
        (["--config=recipe.yaml"], "torch.optim.AdamW", {"lr": 0.002, "weight_decay": 0.05}),
        (["--model.optimizer=torch.optim.Adam"], "torch.optim.Adam", {"lr": 0.001, "weight_decay": 0.002}),
        (["--model.optimizer.lr=0.01"], "torch.optim.Adam", {"lr": 0.01, "weight_decay": 0.002}),
    ],
)
def test_another_optimiser_does_not_inherit_the_options_of_adam(
    run: Run, capsys: pytest.CaptureFixture[str], words: list[str], optimizer: str, expected: dict[str, float]
) -> None:
    Path("sgd.yaml").write_text("model:\n  optimizer: {class_path: torch.optim.SGD, init_args: {lr: 0.1}}\n")
    Path("recipe.yaml").write_text((CONFIGS / "recipes" / "modern.yaml").read_text())
    with pytest.raises(SystemExit, match="0"):
        run("fit", *SMALL, *words, "--print_config")
    described = yaml.safe_load(capsys.readouterr().out)["model"]["optimizer"]
    assert described["class_path"] == optimizer
    assert {name: described["init_args"][name] for name in expected} == expected


def test_another_scheduler_does_not_inherit_the_options_of_the_plateau(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="0"):
        run("fit", *SMALL, "--model.scheduler=torch.optim.lr_scheduler.StepLR", "--model.scheduler.step_size=3",
            "--print_config")  # fmt: skip
    described = yaml.safe_load(capsys.readouterr().out)["model"]["scheduler"]
    assert (described["init_args"]["step_size"], described["init_args"]["gamma"]) == (3, 0.1)


def test_what_the_trainer_refuses_is_one_message(run: Run, fma: Path) -> None:
    with pytest.raises(SystemExit) as error:
        run("fit", *SMALL, f"--data.root={fma}", "--trainer.limit_train_batches=-1")
    assert "limit_train_batches" in str(error.value)


def test_options_that_do_not_fit_the_checkpoint_are_refused(run: Run, fma: Path) -> None:
    run("fit", *SMALL, QUIET, f"--data.root={fma}", "--trainer.max_epochs=1")
    with pytest.raises(SystemExit) as error:
        run("test", QUIET, f"--data.root={fma}", "--ckpt_path=last", "--model.backbone.filters=[16]")
    assert "do not fit the model" in str(error.value)


def test_a_folder_that_cannot_be_written_is_said(run: Run, fma: Path) -> None:
    Path("runs").write_text("a file in the way")
    with pytest.raises(SystemExit) as error:
        run("fit", *SMALL, QUIET, f"--data.root={fma}", "--trainer.max_epochs=1")
    assert "runs" in str(error.value)


def test_a_checkpoint_of_other_genres_is_refused(run: Run, fma: Path) -> None:
    run("fit", *SMALL, QUIET, f"--data.root={fma}", "--trainer.max_epochs=1")
    content = torch.load(folder() / "checkpoints" / "last.ckpt", weights_only=True)
    content["hyper_parameters"]["classes"][0] = "Jazz"
    torch.save(content, "jazz.ckpt")
    with pytest.raises(SystemExit) as error:
        run("test", QUIET, f"--data.root={fma}", "--ckpt_path=jazz.ckpt")
    assert "Jazz" in str(error.value)


def test_a_checkpoint_in_a_config_is_refused(run: Run, fma: Path) -> None:
    Path("resume.yaml").write_text("ckpt_path: last\n")
    with pytest.raises(SystemExit) as error:
        run("fit", *SMALL, f"--data.root={fma}", "--config=resume.yaml")
    assert "must be an option" in str(error.value)


def test_options_override_configurations_wherever_they_stand(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    Path("five.yaml").write_text("trainer:\n  max_epochs: 5\ndata:\n  init_args:\n    batch_size: 5\n")
    with pytest.raises(SystemExit, match="0"):
        run("fit", "--trainer.max_epochs=3", "-c", "five.yaml", *SMALL, "--data.batch_size=6", "--print_config")
    config = yaml.safe_load(capsys.readouterr().out)
    assert (config["trainer"]["max_epochs"], config["data"]["init_args"]["batch_size"]) == (3, 6)


def test_other_data_does_not_take_over_what_a_run_says_of_its_own(run: Run, fma: Path) -> None:
    Path("drop.txt").write_text("1\n")
    run("fit", *SMALL, QUIET, f"--data.root={fma}", "--data.exclude=[drop.txt]", "--trainer.max_epochs=1")
    last = folder() / "checkpoints" / "last.ckpt"

    def data_of(*words: str) -> dict[str, Any]:
        return read_run_spec([f"--ckpt_path={last}", *words]).plain()["data"]["init_args"]

    def own(*words: str) -> tuple[object, object]:
        data = data_of(*words)
        return data["root"], data["exclude"]

    assert own() == own("--data.batch_size=3") == (str(fma), ["drop.txt"])
    assert own("--data=lit_genre.FMADataModule") == ("data", ["drop.txt"])
    assert own("--data.root=elsewhere") == ("elsewhere", ["drop.txt"])
    assert own("--data=lit_genre.GTZANDataModule") == ("data", None)
    Path("gtzan.yaml").write_text("data:\n  class_path: lit_genre.GTZANDataModule\n")
    assert own("--config=gtzan.yaml") == ("data", None)
    Path("more.yaml").write_text("data:\n  class_path: lit_genre.FMADataModule\n  init_args:\n    batch_size: 3\n")
    assert own("--config=more.yaml") == (str(fma), ["drop.txt"])
    music = data_of("--data=lit_genre.FolderDataModule", "--data.path=music")
    assert (music["path"], music["exclude"]) == ("music", None)


def test_the_papers_recipe_is_for_any_data(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    paper, gtzan = (["--config", CONFIGS / name] for name in ("recipes/paper.yaml", "data/gtzan.yaml"))
    for words in ([*paper, *gtzan], [*gtzan, *paper], [*paper, "--data=lit_genre.GTZANDataModule"]):
        with pytest.raises(SystemExit, match="0"):
            run("fit", *SMALL, *words, "--print_config")
        data = yaml.safe_load(capsys.readouterr().out)["data"]
        assert (data["class_path"], data["init_args"]["batch_size"]) == ("lit_genre.GTZANDataModule", 32)


def test_unknown_commands_are_answered_by_the_known(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        run("train")
    said = capsys.readouterr().err
    assert all(name in said for name in ("fit", "test", "predict", "demo"))


@pytest.mark.parametrize("name", ["crnn", "configs/crnn.yaml", "crnn.yaml"])
def test_shipped_configurations_are_found_by_name_from_any_folder(
    run: Run, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    with pytest.raises(SystemExit, match="0"):
        run("fit", "--config", name, "--config=recipes/modern", "--print_config")
    config = yaml.safe_load(capsys.readouterr().out)
    assert config["model"]["backbone"]["class_path"].endswith("CRNN")
    assert config["model"]["clip_seconds"] == 6


def test_a_file_of_the_user_comes_before_a_shipped_configuration(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    Path("configs").mkdir()
    Path("configs/crnn.yaml").write_text("model:\n  backbone: RNN\n")
    with pytest.raises(SystemExit, match="0"):
        run("fit", "--config", "configs/crnn.yaml", "--print_config")
    assert yaml.safe_load(capsys.readouterr().out)["model"]["backbone"]["class_path"].endswith("RNN")


def test_a_data_module_is_found_by_its_short_name(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        run("fit", *SMALL, "--data=FolderDataModule", "--data.path=music", "--print_config")
    data = yaml.safe_load(capsys.readouterr().out)["data"]
    assert (data["class_path"].rpartition(".")[2], data["init_args"]["path"]) == ("FolderDataModule", "music")


@pytest.mark.parametrize("words", [["test", "--ckpt_path", "absent.ckpt"], ["fit", "--ckpt_path=absent.ckpt"]])
def test_a_wrong_path_is_reported_before_torch_is_imported(tmp_path: Path, words: list[str]) -> None:
    program = (
        "import sys; from lit_genre.__main__ import main\n"
        f"try: main({words!r})\n"
        "except SystemExit as error: print(error, 'torch' in sys.modules)"
    )
    command = [sys.executable, "-c", program]
    output = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert "There is no checkpoint absent.ckpt" in output
    assert output.strip().endswith("False")
