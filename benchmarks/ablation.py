"""Decide about the parts of the modern recipe: CNN1DAttention with all parts, without each, and with further ones.

    python benchmarks/ablation.py --folder ablation --data emotify mma
    lit-genre compare --config ablation/emotify.yaml
    lit-genre compare --config ablation/mma.yaml
    python benchmarks/ablation.py --folder ablation --data emotify mma

The first call writes a configuration for each variant, and one of `lit-genre compare` for each data set. The last one
prints a table of the finished runs. On a GPU, `benchmarks/cross_validation.py` trains faster than `lit-genre compare`.

The rule was written before the runs. Accuracies are those on all tracks of five folds by artist, so that each track is
tested once. The gain of a part is the accuracy with it minus that without it, mean over seeds. Its p-value is that of
a sign-flip test over artists, with Holm's correction for the parts on a data set. A part is

- kept if its gain is significant on a data set, and its loss on none;
- dropped if its loss is significant on a data set, and its gain on none, or if it has no gain on either;
- undecided otherwise. It stays as it is, unless it increases the calibration error on both data sets.
"""

import argparse
import copy
import json
import statistics
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from lit_genre.cluster_statistics import holm
from lit_genre.compare.scores.pooling import pool_folds
from lit_genre.compare.scores.significance import differences
from lit_genre.runs.reader import read_run

CONFIGS = Path(__file__).parents[1] / "configs"
WHOLE = "modern"
LEVEL = 0.05
DROPPED: dict[str, Any] = {
    "label_smoothing": 0.1,
    "augment": [{"class_path": "lit_genre.Mixup", "init_args": {"alpha": 0.4}}],
}
"""Parts of the recipe before this study, which the study dropped from configs/recipes/modern.yaml."""

EPOCHS = 60
LONG_EPOCHS = 200
SEEDS = [0, 1, 2]

Config = dict[str, Any]


class Gain(NamedTuple):
    """Test of a variant against the whole recipe.

    Attributes:
        points: Its accuracy minus that of the whole recipe, percentage points.
        low: Lower end of the 95 % confidence interval of `points`.
        high: Upper end.
        p: p-value, 0 to 1.
        tracks: Number of tracks.
        clusters: Number of artists.
        seeds: Number of seeds.
        calibration_error: Its expected calibration error minus that of the whole recipe.
        time_ratio: Its time of training over that of the whole recipe.
    """

    points: float
    low: float
    high: float
    p: float
    tracks: int
    clusters: int
    seeds: int
    calibration_error: float
    time_ratio: float


def _without_crops(config: Config) -> None:
    config["model"]["clip_seconds"] = None


def _without_mixup(config: Config) -> None:
    config["model"]["augment"] = []


def _without_mean_normalized_channels(config: Config) -> None:
    config["model"]["mean_normalized_channels"] = False


def _without_smoothing(config: Config) -> None:
    config["model"]["label_smoothing"] = 0.0


def _at_a_constant_rate(config: Config) -> None:
    config["model"]["scheduler"] = {"class_path": "torch.optim.lr_scheduler.ConstantLR", "init_args": {"factor": 1.0}}


def _by_the_papers_optimizer(config: Config) -> None:
    # The paper's recipe is the default of each run.
    defaults = yaml.safe_load((files("lit_genre.cli") / "defaults.yaml").read_text(encoding="utf-8"))
    config["model"] |= {name: defaults["model"][name] for name in ("optimizer", "scheduler")}


def _with_more_epochs(config: Config) -> None:
    config["trainer"]["max_epochs"] = LONG_EPOCHS


def _with(augmentation: str) -> Callable[[Config], None]:
    def add(config: Config) -> None:
        config["model"]["augment"].insert(0, {"class_path": f"lit_genre.{augmentation}"})

    return add


VARIANTS: dict[str, Callable[[Config], None]] = {
    WHOLE: lambda config: None,
    "without_label_smoothing": _without_smoothing,
    "without_mixup": _without_mixup,
    "without_mean_normalized_channels": _without_mean_normalized_channels,
    "with_filter": _with("FilterAugment"),
    "with_specaugment": _with("SpecAugment"),
    f"with_{LONG_EPOCHS}_epochs": _with_more_epochs,
    "without_crops": _without_crops,
    "without_one_cycle": _at_a_constant_rate,
    "without_adamw_and_one_cycle": _by_the_papers_optimizer,
}


def write_configs(folder: Path, data: list[str], options: list[str]) -> None:
    """Write the configuration of each variant, and one of `lit-genre compare` for each data set.

    Args:
        folder: Folder of the ablation study.
        data: Folders of the data sets.
        options: Further options of each `lit-genre fit`.
    """
    configs = folder / "configs"
    configs.mkdir(parents=True, exist_ok=True)
    modern = yaml.safe_load((CONFIGS / "recipes" / "modern.yaml").read_text(encoding="utf-8"))
    modern["model"] |= {"backbone": "CNN1DAttention", **DROPPED}
    modern["trainer"]["max_epochs"] = EPOCHS
    for name, change in VARIANTS.items():
        config = copy.deepcopy(modern)
        change(config)
        (configs / f"{name}.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    for root in data:
        comparison = {
            "configs": [str(configs / f"{name}.yaml") for name in VARIANTS],
            # The last epoch is tested; validation is for the curves only.
            "options": [f"--data.root={root}", "--trainer.check_val_every_n_epoch=20", *options],
            "seeds": SEEDS,
            "folds": 5,
            "baseline": False,
            "output": str(folder / Path(root).name),
        }
        path = folder / f"{Path(root).name}.yaml"
        path.write_text(yaml.safe_dump(comparison, sort_keys=False), encoding="utf-8")


def read_gains(folder: Path) -> dict[str, Gain]:
    """Compare the whole recipe with each variant that has finished runs on all folds.

    Args:
        folder: Folder of the comparison of a data set.

    Returns:
        The gain of each variant over the whole recipe, which is not in the result.
    """
    runs = [run for run in pool_folds([read_run(path) for path in sorted(folder.glob("runs/*/"))]) if run.test]
    by_name = {name: [run for run in runs if run.model == name] for name in VARIANTS}
    whole = by_name.pop(WHOLE)
    gains = {}
    for name, variant in by_name.items():
        # Only seeds of both, so that a study that was stopped early compares like with like.
        seeds = {run.seed for run in whole} & {run.seed for run in variant}
        chosen = [[run for run in some if run.seed in seeds] for some in (whole, variant)]
        if seeds:
            (pair,) = differences([*chosen[0], *chosen[1]])
            points, low, high = pair.points, pair.low, pair.high
            if pair.first == WHOLE:
                points, low, high = -points, -high, -low
            errors = [statistics.fmean(run.calibration_error or 0 for run in some) for some in chosen]
            seconds = [statistics.fmean(run.seconds or 0 for run in some) for some in chosen]
            gains[name] = Gain(points, low, high, pair.p, pair.tracks, pair.clusters, len(seeds),
                               errors[1] - errors[0], seconds[1] / seconds[0])  # fmt: skip
    corrected = holm([gain.p for gain in gains.values()])
    return {name: gain._replace(p=p) for (name, gain), p in zip(gains.items(), corrected, strict=True)}


def decide(name: str, gains: list[Gain]) -> str:
    """Apply the rule to a part.

    Args:
        name: Name of the variant.
        gains: Its gain over the whole recipe on each data set.

    Returns:
        The decision about the part that the variant adds or leaves out.
    """
    # A variant without a part is better if the part is worse.
    sign = -1 if name.startswith("without_") else 1
    better = any(sign * gain.points > 0 and gain.p < LEVEL for gain in gains)
    worse = any(sign * gain.points < 0 and gain.p < LEVEL for gain in gains)
    if better != worse:
        return "kept" if better else "dropped"
    if all(sign * gain.points <= 0 for gain in gains):
        return "dropped"
    if sign < 0 and all(gain.calibration_error < 0 for gain in gains):
        return "undecided, dropped for its calibration error"
    return "undecided"


def as_table(gains_by_data: dict[str, dict[str, Gain]]) -> str:
    """Return a row for each variant, in Markdown.

    Args:
        gains_by_data: The gains of the variants, by data set.
    """
    lines = ["| | " + " | ".join(f"{data}, points | p | time" for data in gains_by_data) + " | the part |"]
    lines.append("|---" * (3 * len(gains_by_data) + 2) + "|")
    for name in VARIANTS:
        gains = [by_name[name] for by_name in gains_by_data.values() if name in by_name]
        if len(gains) == len(gains_by_data):
            cells = [f"{g.points:+.1f} ({g.low:+.1f} to {g.high:+.1f}) | {g.p:.3f} | {g.time_ratio:.2f}" for g in gains]
            lines.append(f"| {name} | {' | '.join(cells)} | {decide(name, gains)} |")
    return "\n".join(lines)


def main() -> None:
    """Write the configurations, and print the table of the finished runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("ablation"))
    parser.add_argument("--data", nargs="+", default=["emotify", "mma"], help="folders of the data sets")
    parser.add_argument("--options", default="[]", help="further options of each fit, a JSON list")
    options = parser.parse_args()
    write_configs(options.folder, options.data, json.loads(options.options))
    gains = {Path(root).name: read_gains(options.folder / Path(root).name) for root in options.data}
    for data, by_name in gains.items():
        for gain in list(by_name.values())[:1]:
            print(f"{data}: {gain.tracks} tracks by {gain.clusters} artists, {gain.seeds} seeds")
    print(as_table(gains))


if __name__ == "__main__":
    main()
