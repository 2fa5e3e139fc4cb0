"""The command `compare`: train each configuration with each seed, test the best checkpoints, and write a report."""

import sys
from glob import glob
from pathlib import Path

from lit_genre.console import console


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

    Raises:
        LitGenreError: There is nothing to compare, a file is missing, or the folder has runs with other settings.
    """
    # Not at the top of the module, so that the help of the command needs neither torch nor pandas.
    from lit_genre.compare.plan import (
        check_baseline_settings,
        plan_folds,
        plan_runs,
        read_models,
        trains_multilabel,
    )
    from lit_genre.compare.report import report
    from lit_genre.compare.train import Job, train_all
    from lit_genre.runs.folder import RunFolder
    from lit_genre.runs.reader import read_run

    n_others = 0
    if not report_only:
        models = read_models(configs or [], recipes or [], overlays or [])
        planned_folds = plan_folds(folds, repeats)
        plan = plan_runs(models, seeds or [0, 1, 2], options or [], output / "runs", planned_folds)
        jobs = [Job(run_folder, run_options, "fit") for run_folder, run_options in plan.items()]
        data_options = next(iter(plan.values()))
        if baseline and trains_multilabel(data_options):
            console.print("The baseline is for the multiclass task, so the comparison has none.")
        elif baseline:
            baselines = []
            for fold in planned_folds:
                baseline_folder = RunFolder(output / "runs" / f"baseline{fold.suffix}")
                fold_options = [option for option in data_options if not option.startswith("--data.fold")]
                baselines.append(Job(baseline_folder, [*fold_options, *fold.options], "baseline"))
                check_baseline_settings(baseline_folder, baselines[-1].options)
            jobs = [*baselines, *jobs]
        try:
            n_others = train_all(jobs, ["--trust"] if trust else [])
        except KeyboardInterrupt:
            sys.exit("Stopped. Run the same command again to continue.")
    folders = [*sorted(output.glob("runs/*/")), *(path for name in runs or [] for path in _matching_folders(name))]
    # Patterns may overlap, and a run must not count twice.
    read = [read_run(path) for path in {path.resolve(): path for path in folders}.values()]
    report(read, output)
    if n_others:
        console.print(f"{n_others} runs are being trained by other processes, and are not in this report.")


def _matching_folders(name: str) -> list[Path]:
    """Return the folders that match a name or a pattern."""
    # The name first: [ and ] may be in the name of a folder.
    return [Path(name)] if Path(name).exists() else [Path(match) for match in sorted(glob(name))]
