"""The command `compare`: train each configuration with each seed, test the best of each, and report on all."""

import subprocess
import sys
from collections import deque
from glob import glob
from hashlib import sha256
from itertools import product
from pathlib import Path

import yaml

from lit_genre.compare.page import write_page
from lit_genre.compare.plots import draw_curves, draw_overfit
from lit_genre.compare.significance import differences
from lit_genre.compare.tables import as_markdown, difference_rows, paper_table, write_results
from lit_genre.console import console
from lit_genre.errors import LitGenreError
from lit_genre.runs.folder import RunFolder
from lit_genre.runs.reader import Run, check_task, read_run, tell_apart

FMA_SMALL_TEST_TRACKS = 800


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
    """Train configurations with several seeds, one after the other, test the best checkpoint of each, and report.

    All come with the first seed before any comes with the second. Beside them stands what `lit-genre baseline` makes of
    the same data; a network that loses to it is marked.

    The folder gets results.csv, table.md, curves.png, overfit.png and report.html; the runs lie in its runs/. Started
    again, it leaves alone what is finished, goes on with what was interrupted, and tries again what failed.

    Args:
        configs: Configurations of `lit-genre fit`; a model is called by the name of its file.
        seeds: Seeds that each is trained with; 0, 1, 2 unless said.
        recipes: Configurations of how to train, such as configs/recipes/modern.yaml: each of configs is trained by
            each of them, and called by both names.
        overlays: Further configurations on top of each, such as configs/data/demo.yaml.
        options: Further words for each `lit-genre fit`, such as --trainer.max_epochs=10.
        folder: Where all of it goes.
        baseline: Whether to add the baseline.
        report_only: Train nothing; report on what is finished in the folder, and on `runs`.
        runs: Folders of further runs, trained anywhere, to report on too; * and ? stand for names.
        trust: Import what the checkpoints of the comparison name when a run is resumed or tested: for your own
            classes that no installed package declares.

    Raises:
        LitGenreError: Nothing to compare, a file is missing, or the folder holds runs of other settings.
    """
    if not report_only:
        models = _models(configs or [], recipes or [], overlays or [])
        plan = _plan(models, seeds or [0, 1, 2], options or [], folder / "runs")
        if baseline:
            baseline_folder = RunFolder(folder / "runs" / "baseline")
            _check_baseline(baseline_folder, next(iter(plan.values())))
        try:
            if baseline:
                _rate_baseline(baseline_folder, next(iter(plan.values())))
            for number, (run_folder, words) in enumerate(plan.items(), start=1):
                console.rule(f"{number} of {len(plan)}: {run_folder.path.name}", align="left")
                _train_and_test(run_folder, words, ["--trust"] if trust else [])
        except KeyboardInterrupt:
            sys.exit("Stopped. The same command goes on from here.")
    folders = [*sorted(folder.glob("runs/*/")), *(path for name in runs or [] for path in _folders_of(name))]
    # Patterns may overlap.
    read = [read_run(path) for path in {path.resolve(): path for path in folders}.values()]
    tell_apart(read)
    report(read, folder)


def _folders_of(name: str) -> list[Path]:
    """List the folders that a name or a pattern stands for; [ and ] may be in the name of a folder too."""
    return [Path(name)] if Path(name).exists() else [Path(match) for match in sorted(glob(name))]


def report(runs: list[Run], folder: Path) -> None:
    """Write and draw what finished runs come to.

    Raises:
        LitGenreError: There is no run.
    """
    runs = [run for run in runs if run.error or not run.history.empty]
    if not runs:
        raise LitGenreError(f"{folder} holds no run to report on: name some by --runs, or train by --configs.")
    folder.mkdir(parents=True, exist_ok=True)
    with_papers = any(len(run.predictions) == FMA_SMALL_TEST_TRACKS for run in runs)
    found = differences(runs)
    write_results(runs, folder / "results.csv")
    table = as_markdown(paper_table(runs, with_papers))
    pairs = as_markdown(difference_rows(found)) if found else ""
    (folder / "table.md").write_text("\n".join(filter(None, (table, pairs))), encoding="utf-8")
    draw_curves(runs, folder / "curves.png")
    draw_overfit(runs, folder / "overfit.png")
    pictures = {"Curves": folder / "curves.png", "Overfitting": folder / "overfit.png"}
    write_page(runs, found, pictures, with_papers, folder / "report.html")
    console.print(table)
    for run in runs:
        if run.error:
            console.print(f"{run.folder.name} failed: {run.error}")
    console.print(f"Report: {folder / 'report.html'}")


def _models(configs: list[str], recipes: list[str], overlays: list[str]) -> dict[str, list[str]]:
    """Name each model by its configuration and its recipe, and list the files of its `lit-genre fit`."""
    if not configs:
        raise LitGenreError(
            "nothing to compare: name configurations, --configs '[configs/crnn.yaml, configs/rnn.yaml]'."
        )
    if missing := [path for path in (*configs, *recipes, *overlays) if not Path(path).is_file()]:
        raise LitGenreError(f"there is no file {missing[0]}, which the comparison names.")
    for path in (*configs, *recipes, *overlays):
        try:
            config = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
        except (UnicodeDecodeError, yaml.YAMLError) as error:
            raise LitGenreError(f"{path} is no YAML: {error}") from error
        if not isinstance(config, dict):
            raise LitGenreError(f"{path} is no configuration of `lit-genre fit`: it has no names with values.")
        check_task(config, Path(path))
    models: dict[str, list[str]] = {}
    for files in product(configs, recipes) if recipes else product(configs):
        name = "-".join(Path(path).stem for path in files)
        if name in models:
            raise LitGenreError(f"two configurations are called {name}.yaml: give them different names.")
        models[name] = [*files, *overlays]
    return models


def _plan(
    models: dict[str, list[str]], seeds: list[int], options: list[str], folder: Path
) -> dict[RunFolder, list[str]]:
    """Name each run's folder and the words of its `lit-genre fit`; refuse what would mix two comparisons."""
    for word in options:
        if "=" not in word:
            raise LitGenreError(
                f"the option {word!r} has no value: write --trainer.max_epochs=10, name and value in one."
            )
        if word == "--data.task=multilabel":
            raise LitGenreError(
                "a comparison rates accuracy, which tracks of several genres do not have: leave out multilabel."
            )
    plan = {}
    # Seed by seed, so that what is stopped early has compared all models.
    for seed, (name, files) in product(seeds, models.items()):
        words = [word for path in files for word in ("--config", path)]
        run_folder = RunFolder(folder / f"{name}-seed{seed}")
        plan[run_folder] = [*words, *options, f"--seed_everything={seed}"]
        _check_settings(run_folder, plan[run_folder], files)
    return plan


def _check_settings(run_folder: RunFolder, words: list[str], files: list[str]) -> None:
    """Note what a run is made with, and refuse to go on with one that was made with something else."""
    digests = {path: sha256(Path(path).read_bytes()).hexdigest() for path in files}
    _check_note(run_folder, {"words": words, "files": digests})


def _check_baseline(run_folder: RunFolder, words: list[str]) -> None:
    """Do so for the baseline, for which only the data and its sample rate matter."""
    heard: list[object] = []
    for word in words:
        if word.startswith(("--data", "--model.sample_rate")):
            heard.append(word)
        elif Path(word).is_file():
            config = yaml.safe_load(Path(word).read_text(encoding="utf-8")) or {}
            its = [config.get("data"), (config.get("model") or {}).get("sample_rate")]
            heard += [its] if any(its) else []
    _check_note(run_folder, {"heard": heard})


def _check_note(run_folder: RunFolder, settings: dict[str, object]) -> None:
    if run_folder.read_comparison() not in (None, settings):
        raise LitGenreError(
            f"{run_folder.path} was made with other settings, {run_folder.comparison} tells which: "
            "name another --folder, or delete that run's folder to train it anew."
        )
    run_folder.write_comparison(settings)


def _rate_baseline(folder: RunFolder, words: list[str]) -> None:
    """Let the baseline hear the data that a network is trained on."""
    if not folder.summary.exists():
        console.rule("baseline", align="left")
        folder.error.unlink(missing_ok=True)
        if error := _lit_genre("baseline", *words, f"--folder={folder.path}"):
            folder.write_error(error)


def _train_and_test(folder: RunFolder, words: list[str], trust: list[str]) -> None:
    folder.error.unlink(missing_ok=True)
    error = ""
    if not folder.summary.exists():
        resume = folder.last.exists()
        if not resume:
            # Of a first epoch that was cut off before its checkpoint.
            folder.metrics.unlink(missing_ok=True)
        begin = [*words, f"--trainer.default_root_dir={folder.path}"]
        error = _lit_genre("fit", *(["--ckpt_path", str(folder.last), *trust] if resume else begin))
    if not error and not folder.test_table.exists():
        # Logger, accelerator and the like are not of the recipe that a checkpoint brings.
        trainer = [word for word in words if word.startswith("--trainer.")]
        checkpoint = folder.best if folder.best.exists() else folder.last
        error = _lit_genre("test", "--ckpt_path", str(checkpoint), *trainer, *trust)
    if error:
        folder.write_error(error)


def _lit_genre(*words: str) -> str:
    """Run a command in a process of its own, whose end is not ours; its last words on stderr where it failed."""
    said: deque[str] = deque(maxlen=20)
    command = [sys.executable, "-m", "lit_genre", *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace") as process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                sys.stderr.write(line)
                if line.strip():
                    said.append(line.strip())
        except KeyboardInterrupt:
            # It was told too, and puts its things in order.
            process.wait()
            raise
    if process.returncode == 0:
        return ""
    return said[-1] if said else f"lit-genre {words[0]} ended with status {process.returncode}"
