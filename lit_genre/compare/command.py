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
) -> None:
    """Train configurations with several seeds, test the best checkpoint of each run, and write a report.

    All configurations are trained with the first seed, then with the second. The report includes `lit-genre baseline`
    on the same data; a network with a lower test accuracy is marked.

    The folder has results.csv, table.md, curves.png, overfit.png and report.html, and the runs in runs/. Run the same
    command again to resume interrupted runs and to repeat failed ones; finished runs are kept.

    Args:
        configs: Configurations of `lit-genre fit`; the file name is the name of the model.
        seeds: Seeds to train each model with; the default is 0, 1, 2.
        recipes: Configurations of the training, such as configs/recipes/modern.yaml. Each of configs is trained by each
            recipe; the model has both names.
        overlays: Configurations that are applied to every model, such as configs/data/demo.yaml.
        options: Options for every `lit-genre fit`, such as --trainer.max_epochs=10.
        output: Folder of the report and the runs.
        baseline: Add the baseline.
        report_only: Train nothing; write a report on the finished runs in the folder, and on `runs`.
        runs: Folders of other runs to include in the report; * and ? match names.
        trust: Import the classes that checkpoints of the comparison name when a run is resumed or tested. Needed for
            your own classes that no installed package declares.

    Raises:
        LitGenreError: There is nothing to compare, a file is missing, or the folder has runs with other settings.
    """
    # Not at the top of the module, so that the help of the command needs neither torch nor pandas.
    from lit_genre.compare.plan import check_baseline_settings, plan_runs, read_models
    from lit_genre.compare.report import report
    from lit_genre.compare.train import train_and_test, train_baseline
    from lit_genre.runs.folder import RunFolder
    from lit_genre.runs.reader import disambiguate_names, read_run

    if not report_only:
        models = read_models(configs or [], recipes or [], overlays or [])
        plan = plan_runs(models, seeds or [0, 1, 2], options or [], output / "runs")
        if baseline:
            baseline_folder = RunFolder(output / "runs" / "baseline")
            check_baseline_settings(baseline_folder, next(iter(plan.values())))
        try:
            if baseline:
                train_baseline(baseline_folder, next(iter(plan.values())))
            for number, (run_folder, run_options) in enumerate(plan.items(), start=1):
                console.rule(f"{number} of {len(plan)}: {run_folder.path.name}", align="left")
                train_and_test(run_folder, run_options, ["--trust"] if trust else [])
        except KeyboardInterrupt:
            sys.exit("Stopped. Run the same command again to continue.")
    folders = [*sorted(output.glob("runs/*/")), *(path for name in runs or [] for path in _matching_folders(name))]
    # Patterns may overlap, and a run must not count twice.
    read = [read_run(path) for path in {path.resolve(): path for path in folders}.values()]
    disambiguate_names(read)
    report(read, output)


def _matching_folders(name: str) -> list[Path]:
    """Return the folders that match a name or a pattern."""
    # The name first: [ and ] may be in the name of a folder.
    return [Path(name)] if Path(name).exists() else [Path(match) for match in sorted(glob(name))]
