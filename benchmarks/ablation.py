"""Measure the parts of the modern recipe: CNN1DAttention with it, without each part, and with further parts.

    python benchmarks/ablation.py --folder ablation --options '["--data.root=data", "--data.cache_mel=true"]'

Each is trained with three seeds by `lit-genre compare`, which goes on where it was stopped, and tested. The table has
the mean and the deviation over seeds on validation and test, and by how many points of test accuracy the whole recipe
is ahead, with a 95 % interval over the test tracks. A part earns its place by validation, on the mean over data sets.
"""

import argparse
import copy
import json
import statistics
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from lit_genre.__main__ import main as lit_genre
from lit_genre.compare.significance import differences
from lit_genre.runs.reader import Run, read_run

CONFIGS = Path(__file__).parents[1] / "configs"
WHOLE = "best"

Config = dict[str, Any]


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


def _by_the_papers_optimiser(config: Config) -> None:
    # The paper's recipe is the default of each run.
    defaults = yaml.safe_load((files("lit_genre.cli") / "defaults.yaml").read_text(encoding="utf-8"))
    config["model"] |= {name: defaults["model"][name] for name in ("optimizer", "scheduler")}


def _chosen_on_validation(config: Config) -> None:
    config["select_by"] = "val/accuracy"


def _with(augmentation: str) -> Callable[[Config], None]:
    def add(config: Config) -> None:
        config["model"]["augment"].insert(0, {"class_path": f"lit_genre.{augmentation}"})

    return add


def _with_averaged_weights(config: Config) -> None:
    average = "lightning.pytorch.callbacks.EMAWeightAveraging"
    config["trainer"]["callbacks+"] = [{"class_path": average, "init_args": {"decay": 0.99}}]


VARIANTS: dict[str, Callable[[Config], None]] = {
    WHOLE: lambda config: None,
    "without_crops": _without_crops,
    "without_mean_normalized_channels": _without_mean_normalized_channels,
    "without_mixup": _without_mixup,
    "without_label_smoothing": _without_smoothing,
    "constant_rate": _at_a_constant_rate,
    "papers_optimiser": _by_the_papers_optimiser,
    "chosen_on_validation": _chosen_on_validation,
    "with_specaugment": _with("SpecAugment"),
    "with_filter": _with("FilterAugment"),
    "with_averaged_weights": _with_averaged_weights,
}


def write_variants(names: list[str], folder: Path) -> list[Path]:
    """Write the configuration of each variant."""
    folder.mkdir(parents=True, exist_ok=True)
    best = yaml.safe_load((CONFIGS / "recipes" / "modern.yaml").read_text())
    best["model"]["backbone"] = "CNN1DAttention"
    paths = []
    for name in names:
        config = copy.deepcopy(best)
        VARIANTS[name](config)
        paths.append(folder / f"{name}.yaml")
        paths[-1].write_text(yaml.safe_dump(config, sort_keys=False))
    return paths


def as_table(runs: list[Run]) -> str:
    """Lay out a row a variant, in Markdown."""
    ahead = {pair.second: (pair.points, pair.low, pair.high) for pair in differences(runs) if pair.first == WHOLE}
    ahead |= {pair.first: (-pair.points, -pair.high, -pair.low) for pair in differences(runs) if pair.second == WHOLE}
    lines = ["| | val | test | calibration error | best is ahead by | s |", "|---" * 6 + "|"]
    for name in dict.fromkeys(run.model for run in runs):
        its = [run for run in runs if run.model == name and run.test is not None]
        if its:
            val, test = (
                _mean([100 * value for value in values if value is not None])
                for values in ([r.val for r in its], [r.test for r in its])
            )
            points = "{:+.1f} ({:+.1f} to {:+.1f})".format(*ahead[name]) if name in ahead else ""
            error = statistics.fmean(run.calibration_error or 0 for run in its)
            seconds = statistics.median(run.seconds or 0 for run in its)
            lines.append(f"| {name} | {val} | {test} | {error:.3f} | {points} | {seconds:.0f} |")
    return "\n".join(lines)


def _mean(values: list[float]) -> str:
    if not values:
        return ""  # There is no val split.
    return f"{statistics.fmean(values):.1f}" + (f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else "")


def main() -> None:
    """Train what is missing, and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, default=Path("ablation"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--options", default="[]", help="further words of each fit, a JSON list")
    options = parser.parse_args()
    configs = [str(path) for path in write_variants(options.variants, options.folder / "configs")]
    lit_genre(["compare", "--configs", json.dumps(configs), "--seeds", json.dumps(options.seeds),
               "--options", options.options, "--output", str(options.folder)])  # fmt: skip
    print(as_table([read_run(folder) for folder in sorted((options.folder / "runs").iterdir())]))


if __name__ == "__main__":
    main()
