"""Write the pages that come from the program itself, when MkDocs builds the site."""

import importlib
import io
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from mkdocs.structure.files import File, Files

from lit_genre.cli.parsing.configs import configs_folder, shipped_configs
from lit_genre.commands import functions
from lit_genre.commands.table import GROUPS, overview
from lit_genre.commands.training_help import training_help

TRAINING = ("fit", "validate", "test", "predict")


def on_files(files: Files, config: Any) -> Files:
    """Add the generated pages to the files of the site."""
    pages = {"command_line.md": command_line, "configuration.md": configuration, "results.md": results}
    for name, write in pages.items():
        files.append(File.generated(config, name, content=write()))
    return files


def command_line() -> str:
    """Return the page with the help of each command."""
    lines = [
        "# Command line",
        "This page is the help of the commands. The options of `fit` that are not listed here are under "
        "[Configurations](configuration.md).",
        fence(overview()),
        "Shell completion of the commands: see [Getting started](getting_started.md#shell-completion).",
    ]
    for group, commands in GROUPS.items():
        lines.append(f"## {group.capitalize()}")
        for name, command in commands.items():
            lines += [f"### {name}", fence(help_of(name, command.target))]
    return "\n\n".join(lines) + "\n"


def help_of(name: str, target: str) -> str:
    """Return the help of a command."""
    if name in TRAINING:
        return training_help(name)
    if name in functions.FUNCTIONS:
        # jsonargparse prints its help, which has colours and widths of a terminal otherwise.
        with redirect_stdout(text := io.StringIO()):
            functions.parser(name).print_help()
        return text.getvalue()
    return str(importlib.import_module(target.partition(":")[0]).parser().format_help())


def configuration() -> str:
    """Return the page with the options of data, model and trainer, and with the shipped configurations."""
    defaults = Path(functions.__file__).parents[1] / "cli" / "defaults.yaml"
    lines = [Path(__file__).with_name("configuration_head.md.in").read_text(encoding="utf-8").rstrip()]
    lines += ["## Defaults", "Each run begins with this file.", fence(defaults.read_text(encoding="utf-8"), "yaml")]
    lines.append("## Shipped configurations")
    for name in shipped_configs():
        content = (configs_folder() / f"{name}.yaml").read_text(encoding="utf-8")
        lines += [f"### {name}", fence(content, "yaml")]
    return "\n\n".join(lines) + "\n"


def results() -> str:
    """Return the page with the kept reports of comparisons, in docs/results/."""
    folder = Path(__file__).with_name("results")
    lines = [(folder / "head.md.in").read_text(encoding="utf-8").rstrip()]
    for path in sorted(folder.glob("*.yaml")):
        about = yaml.safe_load(path.read_text(encoding="utf-8"))
        lines += [f"## {about['title']}", about["text"].rstrip(), comparison_table(path.with_suffix("")),
                  f"{about['machine']}. Command:", fence(about["command"], "bash")]  # fmt: skip
    lines.append((folder / "ablation.md.in").read_text(encoding="utf-8").rstrip())
    return "\n\n".join(lines) + "\n"


def comparison_table(path: Path) -> str:
    """Return the table of a comparison, a row for each model, from the files of its report.

    Args:
        path: The files PATH.table.csv and PATH.differences.csv.
    """
    table = pd.read_csv(f"{path}.table.csv", index_col=0, dtype=str, keep_default_na=False).T
    pairs = pd.read_csv(f"{path}.differences.csv")
    baseline = next(name for name in table.index if name.startswith("MFCC"))
    rows = ["| model | accuracy, % (95 % interval) | F1, % (95 % interval) | minus baseline, points | p, corrected "
            "| calibration error | training, s |", "|---" * 7 + "|"]  # fmt: skip
    for name, row in table.iterrows():
        points = p = ""
        for pair in pairs.itertuples():
            if {pair.first, pair.second} == {name, baseline}:
                values = (pair.points, pair.low, pair.high)
                if pair.first == baseline:
                    values = (-pair.points, -pair.high, -pair.low)
                points, p = (
                    "{:+.1f} ({:+.1f} to {:+.1f})".format(*values),
                    f"{pair.p:.3f}" if pair.p >= 0.001 else "<0.001",
                )
        rows.append(
            f"| {name} | {row['test accuracy, %']} ({row['95 % interval of the accuracy']}) "
            f"| {row['test F1, mean over genres, %']} ({row['95 % interval of the F1']}) | {points} | {p} "
            f"| {row['calibration error']} | {row['training time, s']} |"
        )
    return "\n".join(rows)


def fence(text: str, language: str = "text") -> str:
    """Return a block of code."""
    return f"```{language}\n{text.rstrip()}\n```"
