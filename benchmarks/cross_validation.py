"""Train the runs of cross-validations side by side, on a machine with many cores and a GPU.

    python benchmarks/cross_validation.py benchmarks/cross_validation/*_emotify.yaml --processes 15 --minutes 9

`lit-genre compare` starts two processes for each run, and each loads PyTorch and Lightning. For hundreds of runs of
some seconds, this script loads them once and forks. Its arguments are configurations of `lit-genre compare`; afterwards
`lit-genre compare --config FILE` finds the runs finished, trains those that are missing, and writes the report. Run the
script again to continue. All first seeds are trained first, then the second ones; those of the first file come first.
"""

import argparse
import os
import shutil
import sys
import time
from pathlib import Path

import yaml

from lit_genre.compare.plan import plan_folds, plan_runs, read_models
from lit_genre.compare.train import Job
from lit_genre.runs.folder import RunFolder


def plan_jobs(configs: list[Path], seeds: list[int] | None) -> list[Job]:
    """Return the runs of comparisons in the order of training.

    Args:
        configs: Configurations of `lit-genre compare`.
        seeds: Seeds, in place of those of the configurations.
    """
    jobs_by_seed: dict[int, list[Job]] = {}
    for path in configs:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        models = read_models(config["configs"], config.get("recipes", []), config.get("overlays", []))
        folds = plan_folds(config.get("folds"), config.get("repeats", 1))
        for seed in seeds or config["seeds"]:
            plan = plan_runs(models, [seed], config.get("options", []), Path(config["output"]) / "runs", folds)
            jobs = [Job(run_folder, options, "fit") for run_folder, options in plan.items()]
            jobs_by_seed.setdefault(seed, []).extend(jobs)
    return [job for jobs in jobs_by_seed.values() for job in jobs]


def run_job(job: Job) -> None:
    """Train and test a run in this process, with all output in log.txt of its folder."""
    from lit_genre.__main__ import main

    folder: RunFolder = job.folder
    folder.path.mkdir(parents=True, exist_ok=True)
    log = os.open(folder.path / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    if not folder.summary.exists():
        # A run that was stopped starts again: it takes seconds.
        shutil.rmtree(folder.checkpoints, ignore_errors=True)
        folder.metrics.unlink(missing_ok=True)
        _call(main, ["fit", *job.options, f"--trainer.default_root_dir={folder.path}"])
    checkpoint = folder.best if folder.best.exists() else folder.last
    _call(
        main, ["test", "--ckpt_path", str(checkpoint), "--trainer.logger=false", "--trainer.enable_progress_bar=false"]
    )


def _call(main, args: list[str]) -> None:  # type: ignore[no-untyped-def]
    try:
        main(args)
    except SystemExit as error:
        if error.code not in (None, 0):
            raise


def run_all(jobs: list[Job], processes: int, minutes: float) -> None:
    """Run jobs side by side; after some minutes start no further one, and end those that are running."""
    # Loaded before the forks, so that each run starts at once. None of them starts a thread or uses the GPU.
    import lightning.pytorch.callbacks  # noqa: F401
    import sklearn.model_selection  # noqa: F401
    import torch

    import lit_genre.cli  # noqa: F401

    torch.set_num_threads(1)
    began = time.monotonic()
    running: dict[int, Job] = {}
    waiting = [job for job in jobs if not job.is_finished]
    n_all, n_done, n_failed = len(waiting), 0, 0
    while waiting or running:
        left = 60 * minutes - (time.monotonic() - began)
        while waiting and len(running) < processes and left > 0:
            job = waiting.pop(0)
            if (pid := os.fork()) == 0:
                try:
                    run_job(job)
                    os._exit(0)
                except BaseException as error:
                    print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
                    os._exit(1)
            running[pid] = job
        if left <= 0:
            for pid in running:
                os.kill(pid, 9)
            waiting = []
        pid, status = os.wait()
        job = running.pop(pid)
        n_done += status == 0
        n_failed += status != 0 and left > 0
        print(
            f"{time.monotonic() - began:5.0f} s  {n_done} of {n_all}, {n_failed} failed  {job.folder.path}", flush=True
        )


def main() -> None:
    """Train what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", nargs="+", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", help="train these seeds only")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--minutes", type=float, default=60, help="start no run after this time, and end all")
    options = parser.parse_args()
    run_all(plan_jobs(options.configs, options.seeds), options.processes, options.minutes)


if __name__ == "__main__":
    main()
