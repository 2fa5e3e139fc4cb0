"""The command `compare`: train each configuration with each seed, test the best checkpoints, and write a report."""

import sys
from glob import glob
from pathlib import Path

from lit_genre.console import console
from lit_genre.errors import LitGenreError


def compare(
    configs: list[str] | None = None,
    seeds: list[int] | None = None,
    recipes: list[str] | None = None,
    overlays: list[str] | None = None,
    options: list[str] | None = None,
    output: Path = Path("comparison"),
    baseline: bool = True,
    report_only: bool = False,
    runs: list[str] | None = None,
    trust: bool = False,
    folds: int | None = None,
    repeats: int = 1,
    probes: list[str] | None = None,
    probe_options: list[str] | None = None,
) -> None:
    """Train configurations with several seeds, test the best checkpoint of each run, and write a report.

    All configurations are trained with the first seed, then with the second. The report includes `lit-genre baseline`
    on the same data; a network with a significantly lower test accuracy is marked.

    Several processes may run the same command on one folder, on other GPUs or on machines with a shared disk: each run
    is trained by the process that claims it first.

    The folder has results.csv, table.md, pictures and report.html, and the runs in runs/. Run the same command again to
    resume interrupted runs and to repeat failed ones; finished runs are kept.

    Args:
        configs: Configurations of `lit-genre fit`; the file name is the name of the model.
        seeds: Seeds to train each model with; the default is 0, 1, 2.
        recipes: Configurations of the training, such as recipes/modern. Each of configs is trained by each recipe;
            the model has both names.
        overlays: Configurations that are applied to every model, such as data/demo.
        options: Options for every `lit-genre fit`, such as --trainer.max_epochs=10.
        output: Folder of the report and the runs.
        baseline: Add the baseline.
        report_only: Train nothing; write a report on the finished runs in the folder, and on `runs`.
        runs: Folders of other runs to include in the report; * and ? match names.
        trust: Import the classes that checkpoints of the comparison name when a run is resumed or tested. Needed for
            your own classes that no installed package declares.
        folds: Number of folds of a cross-validation by artist, such as 5, which tests each track once. Use it for a
            small collection, whose test split has few tracks. null for the splits of the data set.
        repeats: Number of repeats of the cross-validation, each with other folds.
        probes: Configurations of encoders, such as encoders/musicnn, or encoders/* for all that are shipped: `lit-genre
            probe` trains a head on each, once, whatever the seeds. Those that are not installed are left out.
        probe_options: Options for every `lit-genre probe`, such as --layers=all.

    Raises:
        LitGenreError: There is nothing to compare, a file is missing, or the folder has runs with other settings.
    """
    # Not at the top of the module, so that the help of the command needs neither torch nor pandas.
    from lit_genre.compare.plan import plan_baselines, plan_folds, plan_probes, plan_runs, read_models
    from lit_genre.compare.report.write import report
    from lit_genre.compare.train import Job, train_all
    from lit_genre.runs.reader import read_run

    jobs: list[Job] = []
    n_others = 0
    if not report_only:
        if not configs and not probes:
            raise LitGenreError("There is nothing to compare. Name configurations: --configs '[crnn, rnn]'.")
        models = read_models(configs or [], recipes or [], overlays or [])
        planned_folds = plan_folds(folds, repeats)
        folder = output / "runs"
        plan = plan_runs(models, seeds or [0, 1, 2], options or [], folder, planned_folds)
        probe_plan, left_out = plan_probes(
            probes or [], overlays or [], options or [], probe_options or [], folder, planned_folds
        )
        if left_out:
            console.print(f"Left out, as no installed package has their backbone: {', '.join(left_out)}.")
        jobs = [Job(run_folder, its_options, "probe") for run_folder, its_options in probe_plan.items()]
        jobs += [Job(run_folder, run_options, "fit") for run_folder, run_options in plan.items()]
        if not jobs:
            raise LitGenreError("None of the encoders is installed. See docs/pretrained.md.")
        if baseline:
            # The data is that of the first run. The baseline has no options of a probe.
            first = next(iter((plan or probe_plan).values()))
            of_probes = {option for option in first if option in (probe_options or []) or option.startswith("--name=")}
            data_options = [option for option in first if option not in of_probes]
            baselines = plan_baselines(data_options, folder, planned_folds)
            jobs = [*(Job(run_folder, its_options, "baseline") for run_folder, its_options in baselines.items()), *jobs]
        try:
            n_others = train_all(jobs, ["--trust"] if trust else [])
        except KeyboardInterrupt:
            sys.exit("Stopped. Run the same command again to continue.")
    folders = [*sorted(output.glob("runs/*/")), *(path for name in runs or [] for path in _matching_folders(name))]
    # Patterns may overlap, and a run must not count twice.
    read = [read_run(path) for path in {path.resolve(): path for path in folders}.values()]
    report(read, output)
    if n_others:
        console.print(
            f"Being trained by other processes, and not in this report: {n_others} of {len(jobs)} runs. "
            "For the whole report, run the same command again when they have ended."
        )


def _matching_folders(name: str) -> list[Path]:
    """Return the folders that match a name or a pattern."""
    # The name first: [ and ] may be in the name of a folder.
    return [Path(name)] if Path(name).exists() else [Path(match) for match in sorted(glob(name))]
