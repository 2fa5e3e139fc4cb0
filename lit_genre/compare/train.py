"""Train and test the runs of a comparison, each in a process of its own."""

import subprocess
import sys

from lit_genre.console import console
from lit_genre.runs.folder import RunFolder


def train_baseline(folder: RunFolder, options: list[str]) -> None:
    """Train and test the baseline on the data of a network, unless its run is finished."""
    if not folder.summary.exists():
        console.rule("baseline", align="left")
        folder.error.unlink(missing_ok=True)
        if error := _run_command("baseline", *options, f"--output={folder.path}"):
            folder.write_error(error)


def train_and_test(folder: RunFolder, options: list[str], trust: list[str]) -> None:
    """Train and test a run, unless that is done; write the error if one of the two fails."""
    folder.error.unlink(missing_ok=True)
    error = ""
    if not folder.summary.exists():
        resume = folder.last.exists()
        if not resume:
            # Metrics of a first epoch that was interrupted before its checkpoint do not belong to the new training.
            folder.metrics.unlink(missing_ok=True)
        begin = [*options, f"--trainer.default_root_dir={folder.path}"]
        error = _run_command("fit", *(["--ckpt_path", str(folder.last), *trust] if resume else begin))
    if not error and not folder.test_table.exists():
        # A checkpoint does not store logger, accelerator and other options of the trainer.
        trainer = [option for option in options if option.startswith("--trainer.")]
        checkpoint = folder.best if folder.best.exists() else folder.last
        error = _run_command("test", "--ckpt_path", str(checkpoint), *trainer, *trust)
    if error:
        folder.write_error(error)


def _run_command(*args: str) -> str:
    """Run a command in a subprocess; return its last line of stderr if it failed, else ""."""
    # A subprocess, because a crash of one run, such as out of memory, must not end the comparison.
    last_line = ""
    command = [sys.executable, "-m", "lit_genre", *args]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace") as process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                sys.stderr.write(line)
                if line.strip():
                    last_line = line.strip()
        except KeyboardInterrupt:
            # Ctrl-C reaches the subprocess too; wait until it has finished its files.
            process.wait()
            raise
    if process.returncode == 0:
        return ""
    return last_line or f"lit-genre {args[0]} ended with status {process.returncode}"
