"""The command `compare`: train each configuration with each seed, test the best checkpoints, and write a report."""

import subprocess
import sys
from glob import glob
from pathlib import Path

from lit_genre.compare.page import write_page
from lit_genre.compare.plan import check_baseline_settings, plan_runs, read_models
from lit_genre.compare.plots import draw_curves, draw_overfit
from lit_genre.compare.significance import differences
from lit_genre.compare.tables import as_markdown, difference_rows, paper_table, write_results
from lit_genre.console import console
from lit_genre.errors import LitGenreError
from lit_genre.runs.folder import RunFolder
from lit_genre.runs.reader import Run, disambiguate_names, read_run

FMA_SMALL_TEST_TRACKS = 800
"""With this number of test tracks, the report includes the results of Yaacob and Goldrich (2020)."""


def compare(
    configs: list[str] | None = None,
    seeds: list[int] | None = None,
    recipes: list[str] | None = None,
    overlays: list[str] | None = None,
    options: list[str] | None = None,
    folder: Path = Path("comparison"),
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
        folder: Folder of the report and the runs.
        baseline: Add the baseline.
        report_only: Train nothing; write a report on the finished runs in the folder, and on `runs`.
        runs: Folders of other runs to include in the report; * and ? match names.
        trust: Import the classes that checkpoints of the comparison name when a run is resumed or tested. Needed for
            your own classes that no installed package declares.

    Raises:
        LitGenreError: There is nothing to compare, a file is missing, or the folder has runs with other settings.
    """
    if not report_only:
        models = read_models(configs or [], recipes or [], overlays or [])
        plan = plan_runs(models, seeds or [0, 1, 2], options or [], folder / "runs")
        if baseline:
            baseline_folder = RunFolder(folder / "runs" / "baseline")
            check_baseline_settings(baseline_folder, next(iter(plan.values())))
        try:
            if baseline:
                _train_baseline(baseline_folder, next(iter(plan.values())))
            for number, (run_folder, run_options) in enumerate(plan.items(), start=1):
                console.rule(f"{number} of {len(plan)}: {run_folder.path.name}", align="left")
                _train_and_test(run_folder, run_options, ["--trust"] if trust else [])
        except KeyboardInterrupt:
            sys.exit("Stopped. Run the same command again to continue.")
    folders = [*sorted(folder.glob("runs/*/")), *(path for name in runs or [] for path in _matching_folders(name))]
    # Patterns may overlap, and a run must not count twice.
    read = [read_run(path) for path in {path.resolve(): path for path in folders}.values()]
    disambiguate_names(read)
    report(read, folder)


def _matching_folders(name: str) -> list[Path]:
    """Return the folders that match a name or a pattern."""
    # The name first: [ and ] may be in the name of a folder.
    return [Path(name)] if Path(name).exists() else [Path(match) for match in sorted(glob(name))]


def report(runs: list[Run], folder: Path) -> None:
    """Write the report: results.csv, table.md, curves.png, overfit.png and report.html.

    Args:
        runs: The runs; those that have neither an epoch nor an error are left out.
        folder: Folder of the report.

    Raises:
        LitGenreError: There is no run.
    """
    runs = [run for run in runs if run.error or not run.history.empty]
    if not runs:
        raise LitGenreError(f"{folder} has no run to report on. Name runs with --runs, or train some with --configs.")
    folder.mkdir(parents=True, exist_ok=True)
    with_papers = any(len(run.predictions) == FMA_SMALL_TEST_TRACKS for run in runs)
    pairs = differences(runs)
    write_results(runs, folder / "results.csv")
    table = as_markdown(paper_table(runs, with_papers))
    significance = as_markdown(difference_rows(pairs)) if pairs else ""
    (folder / "table.md").write_text("\n".join(filter(None, (table, significance))), encoding="utf-8")
    draw_curves(runs, folder / "curves.png")
    draw_overfit(runs, folder / "overfit.png")
    pictures = {"Curves": folder / "curves.png", "Overfitting": folder / "overfit.png"}
    write_page(runs, pairs, pictures, with_papers, folder / "report.html")
    console.print(table)
    for run in runs:
        if run.error:
            console.print(f"{run.folder.name} failed: {run.error}")
    console.print(f"Report: {folder / 'report.html'}")


def _train_baseline(folder: RunFolder, options: list[str]) -> None:
    """Train and test the baseline on the data of a network, unless its run is finished."""
    if not folder.summary.exists():
        console.rule("baseline", align="left")
        folder.error.unlink(missing_ok=True)
        if error := _run_command("baseline", *options, f"--folder={folder.path}"):
            folder.write_error(error)


def _train_and_test(folder: RunFolder, options: list[str], trust: list[str]) -> None:
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
