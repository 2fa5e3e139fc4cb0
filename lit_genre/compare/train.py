"""Train and test the runs of a comparison, each in a process of its own."""

import subprocess
import sys
from typing import Literal, NamedTuple

from lit_genre.compare.claims import claim
from lit_genre.console import console
from lit_genre.runs.folder import RunFolder


class Job(NamedTuple):
    """A run of a comparison.

    Attributes:
        folder: Folder of the run.
        options: Options of the command.
        kind: Command that makes the run: "fit" for a network, "baseline" for the MFCC baseline, "probe" for a head on a
            frozen backbone.
    """

    folder: RunFolder
    options: list[str]
    kind: Literal["fit", "baseline", "probe"]

    @property
    def is_finished(self) -> bool:
        """Whether the run is trained and tested."""
        return self.folder.summary.exists() and self.folder.test_table.exists()


def train_all(jobs: list[Job], trust: list[str]) -> int:
    """Train and test the runs that are not finished, except those that other processes are training.

    Args:
        jobs: The runs, in the order of training.
        trust: Options for checkpoints that are not trusted.

    Returns:
        Number of runs that other processes are still training in the end.
    """
    pending = list(enumerate(jobs, start=1))
    while True:
        claimed_by_others, n_trained = [], 0
        for number, job in pending:
            with claim(job.folder) as is_claimed:
                if not is_claimed:
                    claimed_by_others.append((number, job))
                elif not job.is_finished:
                    console.rule(f"{number} of {len(jobs)}: {job.folder.path.name}", align="left")
                    _train_and_test(job, trust)
                    n_trained += 1
        # In the time of a training, another process may have finished its run, or died.
        if not claimed_by_others or not n_trained:
            return len(claimed_by_others)
        pending = claimed_by_others


def _train_and_test(job: Job, trust: list[str]) -> None:
    """Train and test a run; write the error if one of the two fails."""
    folder, options = job.folder, job.options
    folder.error.unlink(missing_ok=True)
    error = ""
    if job.kind != "fit":
        error = _run_command(job.kind, *options, f"--output={folder.path}")
    elif not folder.summary.exists():
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
