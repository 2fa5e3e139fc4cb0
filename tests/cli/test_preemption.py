"""A run that is told to stop saves inside its epoch, says so to who started it, and goes on as if nothing had been."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lightning.pytorch import Callback, LightningModule, Trainer

from tests.helpers.runs import CONFIGS, QUIET, SMALL, Run, assert_same_weights, metrics

STOPPED = Path("stopped-once")


class Stop(Callback):
    """Sends this process a signal in one step of the run, once.

    Args:
        step: Steps before it.
        signum: Number of the signal.
    """

    def __init__(self, step: int, signum: int) -> None:
        self.step, self.signum = step, signum

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == self.step and not STOPPED.exists():
            STOPPED.touch()
            os.kill(os.getpid(), self.signum)


def fit(run: Run, fma: Path, folder: str, *options: object) -> None:
    # Dropout and mixup draw random numbers in each step; four steps an epoch.
    run("fit", *SMALL, QUIET, "--data.root", fma, "--data.batch_size=2", "--trainer.max_epochs=3",
        "--model.backbone.dropout=0.2", "--model.augment=[{class_path: lit_genre.Mixup}]",
        "--trainer.default_root_dir", folder, *options)  # fmt: skip


def stop(run: Run, fma: Path, folder: str, step: int, signum: int = signal.SIGTERM, *options: object) -> int:
    stopper = f"{{class_path: tests.cli.test_preemption.Stop, init_args: {{step: {step}, signum: {int(signum)}}}}}"
    with pytest.raises(SystemExit) as ended:
        fit(run, fma, folder, "--trainer.callbacks+", stopper, *options)
    return int(ended.value.code or 0)


@pytest.mark.parametrize(("step", "saved_steps"), [(0, 1), (6, 7), (7, 8)])
def test_stopped_in_any_step_it_ends_as_if_it_had_not_been(fma: Path, run: Run, step: int, saved_steps: int) -> None:
    fit(run, fma, "whole")
    assert stop(run, fma, "stopped", step) == 143
    last = Path("stopped/checkpoints/last.ckpt")
    saved = torch.load(last, weights_only=True)
    # It was saved behind the step; behind the last of an epoch, when that was validated.
    assert saved["global_step"] == saved_steps
    run("fit", "--ckpt_path", last, "--trust", QUIET, "--trainer.enable_progress_bar=false")
    assert_same_weights(Path("whole/checkpoints/last.ckpt"), last)
    whole, stopped = metrics(Path("whole")), metrics(Path("stopped"))
    assert [row["epoch"] for row in stopped] == ["0", "1", "2"]
    for name in ("step", "val/loss", "val/accuracy", "lr"):
        assert [row[name] for row in stopped] == [row[name] for row in whole]
    assert all(0 < float(row["seconds"]) < 60 for row in stopped)


@pytest.mark.parametrize("step", [1, 6])
def test_the_rate_of_one_cycle_goes_on_where_it_was(fma: Path, run: Run, step: int) -> None:
    modern = ("--config", CONFIGS / "recipes" / "modern.yaml", "--model.clip_seconds=1", "--trainer.max_epochs=3")
    fit(run, fma, "whole", *modern)
    assert stop(run, fma, "stopped", step, signal.SIGTERM, *modern) == 143
    last = Path("stopped/checkpoints/last.ckpt")
    run("fit", "--ckpt_path", last, "--trust", QUIET, "--trainer.enable_progress_bar=false")
    assert_same_weights(Path("whole/checkpoints/last.ckpt"), last)
    whole, stopped = ([row["lr"] for row in metrics(Path(name))] for name in ("whole", "stopped"))
    assert stopped == whole


def test_it_stops_behind_a_step_of_the_optimiser(fma: Path, run: Run) -> None:
    fit(run, fma, "whole", "--trainer.accumulate_grad_batches=2")
    assert stop(run, fma, "stopped", 2, signal.SIGTERM, "--trainer.accumulate_grad_batches=2") == 143
    last = Path("stopped/checkpoints/last.ckpt")
    run("fit", "--ckpt_path", last, "--trust", QUIET, "--trainer.enable_progress_bar=false")
    assert_same_weights(Path("whole/checkpoints/last.ckpt"), last)


def test_inside_an_epoch_the_batches_stay_as_large(fma: Path, run: Run) -> None:
    assert stop(run, fma, "stopped", 5) == 143
    with pytest.raises(SystemExit) as ended:
        run("fit", "--ckpt_path", "stopped/checkpoints/last.ckpt", "--trust", QUIET, "--data.batch_size=4")
    assert "2 clips per step, and cannot be resumed with 4" in str(ended.value)


def test_auto_is_for_training(fma: Path, run: Run) -> None:
    with pytest.raises(SystemExit) as ended:
        run("test", *SMALL, "--data.root", fma, "--ckpt_path=auto", "--trainer.default_root_dir=nowhere")
    assert "auto is for fit" in str(ended.value)


def test_one_command_begins_and_goes_on(fma: Path, run: Run) -> None:
    # What is appended to lists is appended once.
    more = ("--config", CONFIGS / "recipes" / "early_stopping.yaml", "--model.augment+=lit_genre.SpecAugment")
    fit(run, fma, "whole", *more)
    assert stop(run, fma, "again", 5, signal.SIGTERM, *more, "--ckpt_path", "auto") == 143
    fit(run, fma, "again", *more, "--ckpt_path=auto")
    assert_same_weights(Path("whole/checkpoints/last.ckpt"), Path("again/checkpoints/last.ckpt"))
    whole, again = (yaml.safe_load((Path(name) / "config.yaml").read_text()) for name in ("whole", "again"))
    assert again["model"] == whole["model"]
    assert len(again["trainer"]["callbacks"]) == len(whole["trainer"]["callbacks"])
    with pytest.raises(SystemExit) as ended:
        run("fit", *SMALL, QUIET, "--data.root", fma, "--ckpt_path=auto")
    assert "--trainer.default_root_dir" in str(ended.value)


def test_a_job_of_slurm_goes_back_into_the_queue(fma: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    program = Path("bin/scontrol")
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "$@" > asked.txt\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent.resolve()}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "1234")
    before = signal.getsignal(signal.SIGUSR1)
    assert stop(run, fma, "job", 5, signal.SIGUSR1) == 143
    assert Path("asked.txt").read_text() == "requeue 1234\n"
    assert torch.load("job/checkpoints/last.ckpt", weights_only=True)["global_step"] == 6
    assert signal.getsignal(signal.SIGUSR1) == before
