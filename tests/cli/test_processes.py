"""Two processes by torchrun on the CPU: they train as one does with all their batches, and score each track once."""

import csv
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch

from tests.helpers.runs import ROOT, Run, metrics

COMMON = (
    "--model.backbone=tests.helpers.plain_net.PlainNet", "--model.clip_seconds=1", "--trainer.accelerator=cpu",
    "--trainer.logger=false", "--trainer.enable_progress_bar=false",
)  # fmt: skip


OF_TWO = ("--trainer.devices=2", "--trainer.strategy=ddp")


def start(*words: object) -> "subprocess.Popen[str]":
    """Start commands of `lit-genre`, separated by "--", in two processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-port", str(port),
        "-m", "tests.helpers.commands", *map(str, words),
    ]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def together(*words: object) -> str:
    """Run commands of `lit-genre`, separated by "--", in two processes to their end."""
    process = start(*words)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    return said


def test_two_processes_train_score_and_decode_as_one(fma: Path, run: Run, tmp_path: Path) -> None:
    common = (*COMMON, "--data.root", fma, "--trainer.max_epochs=4")
    run("fit", *common, "--data.batch_size=4", "--trainer.default_root_dir=one")
    store = ("--data.store_root", tmp_path / "store")
    # Seven tracks, which two processes cannot share evenly.
    with (fma / "fma_metadata" / "tracks.csv").open(newline="") as file:
        test_tracks = [row[0] for row in csv.reader(file) if "test" in row]
    drop = tmp_path / "drop.txt"
    drop.write_text(test_tracks[3])
    checkpoint = tmp_path / "alone.ckpt"
    Path("one/checkpoints/last.ckpt").rename(checkpoint)
    test = ("test", "--ckpt_path", checkpoint, *COMMON, "--data.root", fma, "--data.batch_size=2",
            f"--data.exclude=[{drop}]")  # fmt: skip
    run(*test, "--trainer.default_root_dir=tested")
    # In the same processes, as each takes seconds to start.
    said = together(
        *("fit", *common, *store, *OF_TWO, "--data.batch_size=2", "--trainer.default_root_dir=two"), "--",
        *(*test, *OF_TWO, "--trainer.default_root_dir=tested-by-two"),
    )  # fmt: skip

    assert said.count("Decoding") == 1
    alone, shared = metrics(Path("one")), metrics(Path("two"))
    for name in ("train/loss", "val/loss", "val/accuracy", "val/f1_macro", "step"):
        expected = [float(row[name]) for row in alone]
        assert [float(row[name]) for row in shared] == pytest.approx(expected, rel=1e-5)
    assert len({row["train/loss"] for row in alone}) == 4

    scored = Path("tested/test.csv").read_text()
    assert len(scored.splitlines()) == 1 + 7
    assert Path("tested-by-two/test.csv").read_text() == scored


def test_two_processes_that_get_their_signals_one_after_the_other_stop_together(fma: Path, tmp_path: Path) -> None:
    folder = tmp_path / "two"
    words = ("fit", *COMMON, *OF_TWO, "--data.root", fma, "--data.batch_size=2", "--trainer.default_root_dir", folder)
    process = start(*words, "--trainer.max_epochs=100000")
    try:
        while process.poll() is None and not (folder / "checkpoints" / "last.ckpt").exists():
            time.sleep(0.05)
        first, second = psutil.Process(process.pid).children()
        first.terminate()
        time.sleep(0.04)
        second.terminate()
        said, _ = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    # torchrun's own account of its processes.
    assert f"exitcode  : {143}" in said
    saved = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert "To resume" in said
    epochs = saved["global_step"] // 2
    together(*words, "--ckpt_path=auto", f"--trainer.max_epochs={epochs + 2}")
    assert [int(row["epoch"]) for row in metrics(folder)] == list(range(epochs + 2))
