"""Two processes by torchrun on the CPU: they train as one does with all their batches, and score each track once."""

import csv
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runs import ROOT, Run, metrics

COMMON = (
    "--model.backbone=tests.plain_net.PlainNet", "--model.clip_seconds=1", "--trainer.accelerator=cpu",
    "--trainer.logger=false", "--trainer.enable_progress_bar=false",
)  # fmt: skip


def together(*words: object) -> str:
    """Run `lit-genre` in two processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-port", str(port),
        "-m", "lit_genre", *map(str, words), "--trainer.devices=2", "--trainer.strategy=ddp",
    ]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_two_processes_train_score_and_decode_as_one(fma: Path, run: Run, tmp_path: Path) -> None:
    common = (*COMMON, "--data.root", fma, "--trainer.max_epochs=4")
    run("fit", *common, "--data.batch_size=4", "--trainer.default_root_dir=one")
    store = ("--data.store_root", tmp_path / "store")
    said = together("fit", *common, *store, "--data.batch_size=2", "--trainer.default_root_dir=two")
    assert said.count("Decoding") == 1
    alone, shared = metrics(Path("one")), metrics(Path("two"))
    for name in ("train/loss", "val/loss", "val/accuracy", "val/f1_macro", "step"):
        expected = [float(row[name]) for row in alone]
        assert [float(row[name]) for row in shared] == pytest.approx(expected, rel=1e-5)
    assert len({row["train/loss"] for row in alone}) == 4

    # Seven tracks, which two processes cannot share evenly.
    with (fma / "fma_metadata" / "tracks.csv").open(newline="") as file:
        test_tracks = [row[0] for row in csv.reader(file) if "test" in row]
    drop = tmp_path / "drop.txt"
    drop.write_text(test_tracks[3])
    checkpoint = tmp_path / "alone.ckpt"
    Path("one/checkpoints/last.ckpt").rename(checkpoint)
    test = ("test", "--ckpt_path", checkpoint, *COMMON, "--data.root", fma, "--data.batch_size=2",
            f"--data.drop=[{drop}]")  # fmt: skip
    run(*test, "--trainer.default_root_dir=tested")
    together(*test, "--trainer.default_root_dir=tested-by-two")
    scored = Path("tested/test.csv").read_text()
    assert len(scored.splitlines()) == 1 + 7
    assert Path("tested-by-two/test.csv").read_text() == scored
