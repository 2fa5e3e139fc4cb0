"""Plan the runs of a comparison, and check that their folders have no runs with other settings."""

from collections.abc import Sequence
from hashlib import sha256
from itertools import pairwise, product
from pathlib import Path
from typing import NamedTuple

import yaml

from lit_genre.backbones.registry import backbones
from lit_genre.cli.parsing.configs import find_config, find_configs
from lit_genre.console import console
from lit_genre.errors import LitGenreError, check_at_least
from lit_genre.runs.folder import RunFolder
from lit_genre.runs.reader import is_multilabel


def read_models(configs: list[str], recipes: list[str], overlays: list[str]) -> dict[str, list[str]]:
    """Return the configurations of each model's `lit-genre fit`, by the name of the model.

    Args:
        configs: Files, or names of shipped configurations, of the networks; none if there are no recipes either.
        recipes: Files of the training; each network is combined with each recipe.
        overlays: Files that are applied to every model.

    Raises:
        LitGenreError: There are no configurations, a file is missing or invalid, or two models have the same name.
    """
    if not configs and not recipes:
        return {}
    if not configs:
        raise LitGenreError("There is nothing to compare. Name configurations: --configs '[crnn, rnn]'.")
    configs, recipes, overlays = ([find_config(name) for name in names] for names in (configs, recipes, overlays))
    if missing := [path for path in (*configs, *recipes, *overlays) if not Path(path).is_file()]:
        raise LitGenreError(f"There is no file {missing[0]}. Check the paths of --configs, --recipes and --overlays.")
    for path in (*configs, *recipes, *overlays):
        try:
            config = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
        except (UnicodeDecodeError, yaml.YAMLError) as error:
            raise LitGenreError(f"{path} is not valid YAML: {error}") from error
        if not isinstance(config, dict):
            raise LitGenreError(f"{path} is not a configuration of `lit-genre fit`: it must be a mapping.")
    models: dict[str, list[str]] = {}
    for files in product(configs, recipes) if recipes else product(configs):
        name = "-".join(Path(path).stem for path in files)
        if name in models:
            raise LitGenreError(f"Two configurations are called {name}.yaml. Rename one of them.")
        models[name] = [*files, *overlays]
    return models


def trains_multilabel(options: list[str]) -> bool:
    """Check whether the options of a `lit-genre fit` set the multilabel task.

    Args:
        options: Options, in which configurations are files.
    """
    if "--data.task=multilabel" in options:
        return True
    paths = [Path(path) for name, path in pairwise(options) if name == "--config"]
    return any(is_multilabel(yaml.safe_load(path.read_text(encoding="utf-8")) or {}) for path in paths)


class FoldOptions(NamedTuple):
    """The part of a run that a fold determines.

    Attributes:
        suffix: End of the name of the run's folder.
        options: Options of `lit-genre fit`.
    """

    suffix: str = ""
    options: tuple[str, ...] = ()


def plan_folds(folds: int | None, repeats: int) -> list[FoldOptions]:
    """Return the folds of a cross-validation, repeat by repeat.

    Args:
        folds: Number of folds; None for the splits of the data set.
        repeats: Number of repeats, each with other folds.

    Raises:
        LitGenreError: A number is too small, or there are repeats without folds.
    """
    if folds is None:
        if repeats != 1:
            raise LitGenreError("--repeats needs a cross-validation. Set --folds, too.")
        return [FoldOptions()]
    check_at_least(folds=(folds, 2), repeats=(repeats, 1))
    return [
        FoldOptions(
            f"-repeat{repeat}-fold{fold}",
            (f"--data.folds={folds}", f"--data.fold={fold}", f"--data.fold_seed={repeat}"),
        )
        for repeat, fold in product(range(repeats), range(folds))
    ]


def plan_runs(
    models: dict[str, list[str]],
    seeds: list[int],
    options: list[str],
    folder: Path,
    folds: Sequence[FoldOptions] = (FoldOptions(),),
) -> dict[RunFolder, list[str]]:
    """Return the options of each run's `lit-genre fit`, by the folder of the run, in the order of training.

    Args:
        models: Configurations of each model, by its name.
        seeds: Seeds to train each model with.
        options: Options for every run.
        folder: Folder of the runs.
        folds: Folds of a cross-validation, from `plan_folds`.

    Raises:
        LitGenreError: An option has no value, or a folder has a run with other settings.
    """
    for option in options:
        # `_check_baseline_settings` and the test take options one by one, so name and value must be in one.
        if "=" not in option:
            raise LitGenreError(
                f"The option {option!r} has no value. Write name and value in one: --trainer.max_epochs=10."
            )
    plan = {}
    # Seed by seed, so that a comparison that is stopped early has results of all models.
    for seed, fold, (name, files) in product(seeds, folds, models.items()):
        config_options = [argument for path in files for argument in ("--config", path)]
        run_folder = RunFolder(folder / f"{name}-seed{seed}{fold.suffix}")
        plan[run_folder] = [*config_options, *options, *fold.options, f"--seed_everything={seed}"]
        _check_settings(run_folder, plan[run_folder], files)
    return plan


def _check_settings(run_folder: RunFolder, options: list[str], files: list[str]) -> None:
    """Write the settings of a run; raise an error if the folder has a run with other settings."""
    # The content of the configurations, because a user may have edited them since.
    digests = {path: sha256(Path(path).read_bytes()).hexdigest() for path in files}
    _check_or_write(run_folder, {"options": options, "files": digests})


def plan_probes(
    probes: list[str],
    overlays: list[str],
    options: list[str],
    probe_options: list[str],
    folder: Path,
    folds: Sequence[FoldOptions] = (FoldOptions(),),
) -> tuple[dict[RunFolder, list[str]], list[str]]:
    """Return the options of each `lit-genre probe`, by the folder of its run, and the encoders that are left out.

    Args:
        probes: Configurations of encoders, or patterns of their files, such as encoders/*.
        overlays: Configurations that are applied to every model.
        options: Options of `lit-genre fit` for every run; those of the trainer are left out.
        probe_options: Options of `lit-genre probe`, such as --layers=all.
        folder: Folder of the runs.
        folds: Folds of a cross-validation, from `plan_folds`.

    Returns:
        The options, fold by fold; and the names of configurations whose backbone no installed package declares.

    Raises:
        LitGenreError: A file is missing or invalid, or a folder has a run with other settings.
    """
    names = [name for pattern in probes for name in find_configs(pattern)]
    models = read_models(names, [], overlays)
    left_out = [name for name, files in models.items() if not _is_installed(files[0])]
    plan = {}
    data_options = [option for option in options if not option.startswith("--trainer.")]
    for fold, (name, files) in product(folds, models.items()):
        if name not in left_out:
            run_folder = RunFolder(folder / f"{name}-probe{fold.suffix}")
            config_options = [argument for path in files for argument in ("--config", path)]
            plan[run_folder] = [
                *config_options, *data_options, *fold.options, *probe_options, f"--name={name} probe"
            ]  # fmt: skip
            _check_settings(run_folder, plan[run_folder], files)
    return plan, left_out


def _is_installed(path: str) -> bool:
    """Check whether the backbone of a configuration is that of an installed package, or has a module of its own."""
    config = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
    name = ((config.get("model") or {}).get("backbone") or {}).get("class_path", "")
    return "." in name or getattr(backbones().get(name), "loaded", None) is not None


def plan_baselines(
    options: list[str], folder: Path, folds: Sequence[FoldOptions] = (FoldOptions(),)
) -> dict[RunFolder, list[str]]:
    """Return the options of the baseline of each fold, by the folder of its run.

    Args:
        options: Options of a run on the same data.
        folder: Folder of the runs.
        folds: Folds of a cross-validation, from `plan_folds`.

    Returns:
        The options; none for the multilabel task, of which there is a message.

    Raises:
        LitGenreError: A folder has a run with other settings.
    """
    if trains_multilabel(options):
        console.print("The baseline is for the multiclass task, so the comparison has none.")
        return {}
    plan = {}
    kept = [option for option in options if not option.startswith("--data.fold")]
    for fold in folds:
        run_folder = RunFolder(folder / f"baseline{fold.suffix}")
        plan[run_folder] = [*kept, *fold.options]
        _check_baseline_settings(run_folder, plan[run_folder])
    return plan


def _check_baseline_settings(run_folder: RunFolder, options: list[str]) -> None:
    """Write the settings of the baseline, data and sample rate, or refuse a run with other settings."""
    # Settings of the network and its training do not change the baseline.
    data: list[object] = []
    for option in options:
        if option.startswith(("--data", "--model.sample_rate")):
            data.append(option)
        elif Path(option).is_file():
            config = yaml.safe_load(Path(option).read_text(encoding="utf-8")) or {}
            data_and_rate = [config.get("data"), (config.get("model") or {}).get("sample_rate")]
            data += [data_and_rate] if any(data_and_rate) else []
    _check_or_write(run_folder, {"data": data})


def _check_or_write(run_folder: RunFolder, settings: dict[str, object]) -> None:
    if run_folder.read_comparison() not in (None, settings):
        raise LitGenreError(
            f"{run_folder.path} was made with other settings, which are in {run_folder.comparison}. Choose another "
            "--output, or delete the folder of that run to train it again."
        )
    run_folder.write_comparison(settings)
