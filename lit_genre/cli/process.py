"""A run that is told to stop: what it tells who started it, and on SLURM that it wants to be started again."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from lightning.pytorch.utilities.exceptions import SIGTERMException

from lit_genre.console import console

EXIT_STATUS: Final = 128 + signal.SIGTERM
"""Of a run that SIGTERM ended; Lightning's own is 0, as if it were finished."""


@contextmanager
def preemptible() -> Iterator[None]:
    """Run what SIGTERM may stop, and in a job of SLURM the signal that announces the end of its time, SIGUSR1.

    That one, which `#SBATCH --signal=SIGUSR1@90` asks for, puts the job back into the queue before the run stops.
    """
    job = os.environ.get("SLURM_JOB_ID")
    announced = []

    def stop(signum: int, frame: FrameType | None) -> None:
        announced.append(signum)
        if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
            # Nothing is being trained yet; what is decoded is kept.
            raise SIGTERMException
        os.kill(os.getpid(), signal.SIGTERM)

    # Lightning leaves a signal alone that has a handler; its own saves in the middle of a step.
    before = signal.signal(signal.SIGUSR1, stop) if job else None
    try:
        yield
    except SIGTERMException:
        if job and announced and os.environ.get("SLURM_PROCID", "0") == "0":
            _requeue(job)
        sys.exit(EXIT_STATUS)
    finally:
        if job:
            signal.signal(signal.SIGUSR1, before)


def _requeue(job: str) -> None:
    try:
        subprocess.run(["scontrol", "requeue", job], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        console.print(f"SLURM job {job} could not be put back into the queue: {error}. Submit it again.")
