"""SIGTERM and SLURM preemption: exit status and requeue."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

from lightning.pytorch.utilities.exceptions import SIGTERMException

from lit_genre.console import console

EXIT_STATUS: Final = 128 + signal.SIGTERM
"""Exit status of a run that SIGTERM ended. Lightning's own is 0, which means success."""

_ANNOUNCEMENT: Final[Any] = getattr(signal, "SIGUSR1", None)
"""Signal that SLURM sends before the time limit of a job; None on Windows, which has no such signal."""


@contextmanager
def preemptible() -> Iterator[None]:
    """Exit with `EXIT_STATUS` after SIGTERM and, in a job of SLURM, after SIGUSR1.

    SLURM sends SIGUSR1 before the time limit if the job has `#SBATCH --signal=SIGUSR1@90`. The job is then put back
    into the queue before the run stops.
    """
    job = os.environ.get("SLURM_JOB_ID") if _ANNOUNCEMENT else None
    announced = []

    def stop(signum: int, frame: FrameType | None) -> None:
        announced.append(signum)
        if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
            # The training has not begun, so that there is no state to save; decoded tracks are in the store.
            raise SIGTERMException
        os.kill(os.getpid(), signal.SIGTERM)

    # Installed first: Lightning's handler would save in the middle of a step, and is not installed over another.
    before = signal.signal(_ANNOUNCEMENT, stop) if job else None
    try:
        yield
    except SIGTERMException:
        if job and announced and os.environ.get("SLURM_PROCID", "0") == "0":
            _requeue(job)
        sys.exit(EXIT_STATUS)
    finally:
        if job:
            signal.signal(_ANNOUNCEMENT, before)


def _requeue(job: str) -> None:
    try:
        subprocess.run(["scontrol", "requeue", job], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        console.print(f"SLURM job {job} could not be put back into the queue: {error}. Submit it again.")
