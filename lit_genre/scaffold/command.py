"""The command `new-backbone`: write a plugin package with a working backbone."""

import builtins
import keyword
import os
import re
import sys
from importlib.metadata import PackageNotFoundError, distribution, entry_points
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from shutil import which

import lit_genre
from lit_genre.backbones import GROUP
from lit_genre.console import results
from lit_genre.errors import LitGenreError
from lit_genre.text import shell_argument

RESERVED = {"InputShape", "Tensor", "check_backbone", "nn", *lit_genre.__all__, *dir(builtins)}
"""Names that the modules of the package use, and names of built-ins."""


def new_backbone(name: str, output: Path = Path()) -> None:
    """Write an installable package with a backbone, its configuration and its test, as a template for your own.

    Args:
        name: Name of the class, such as MyNet, which is also the value of --model.backbone.
        output: Existing or new folder, in which a folder for the package is created: my_net for MyNet.

    Raises:
        LitGenreError: The name cannot be used, or the folder exists.
    """
    module = snake_case(name)
    _check_name(name, module)
    package = output / module
    if package.exists():
        raise LitGenreError(f"{package} already exists and was not changed. Move it, or choose another name.")
    package.mkdir(parents=True)
    replacements = {"MyNet": name, "my_net": module, "my-net": module.replace("_", "-")}
    for template in (files("lit_genre.scaffold") / "template").iterdir():
        if template.is_file():
            text = template.read_text(encoding="utf-8")
            # In one pass: the new name may contain an old one.
            text = re.sub("|".join(replacements), lambda match: replacements[match[0]], text)
            (package / template.name.replace("my_net", module)).write_text(text, encoding="utf-8")
    _print_next_steps(name, module, package)


def snake_case(name: str) -> str:
    """Return the name of a module for the name of a class.

    >>> [snake_case(name) for name in ("MyNet", "CNN2DDeep", "CRNNStacked", "ResNet50", "net")]
    ['my_net', 'cnn2d_deep', 'crnn_stacked', 'res_net50', 'net']
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z])", "_", name).lower()


def _check_name(name: str, module: str) -> None:
    if not re.fullmatch("[A-Za-z](_?[A-Za-z0-9])*", name) or keyword.iskeyword(name) or keyword.iskeyword(module):
        raise LitGenreError(
            f"{name!r} cannot be the name of a class and its module: use letters and digits, with single _ between "
            "them, beginning with a letter, and no keyword of Python. An example is MyNet."
        )
    # The name alone matters, so that the declaring package need not be imported.
    for point in entry_points(group=GROUP, name=name):
        raise LitGenreError(
            f"{name} is taken: the package {point.dist.name if point.dist else '?'} declares a backbone of this name. "
            "Choose another name."
        )
    if name in RESERVED:
        raise LitGenreError(f"{name} is taken: lit_genre or Python uses this name. Choose another name.")
    if _is_installed(package := module.replace("_", "-")):
        raise LitGenreError(f"{name} would be the package {package}, which is installed already: choose another name.")
    # A folder of this name in the working folder is found, too, but has no origin; it is no conflict.
    if (spec := find_spec(module)) is not None and spec.origin is not None:
        raise LitGenreError(
            f"{name} would be the module {module}, which exists already, {spec.origin}: choose another name."
        )


def _is_installed(package: str) -> bool:
    try:
        distribution(package)
    except PackageNotFoundError:
        return False
    return True


def _print_next_steps(name: str, module: str, package: Path) -> None:
    folder = shell_argument(str(package))
    commands = Path(sys.executable).parent
    # The full path if the commands of another environment come first in PATH, or none are in PATH.
    prefix = "" if (command := which("lit-genre")) and Path(command).parent == commands else f"{commands}{os.sep}"
    has_fma = Path("data/fma_metadata").exists()
    data = "" if has_fma else " --data.root=data/demo --model.clip_seconds=5"
    lines = [
        f"{package} contains the package; the network is in {package / module}.py.\n",
        "Install, test and train it:",
        f"  {prefix}pip install -e {shell_argument(f'{package}[test]')}",
        f"  {prefix}pytest {folder}",
        f"  {prefix}lit-genre fit --config {folder}/{module}.yaml{data}",
    ]
    if not has_fma and not Path("data/demo/fma_metadata").exists():
        lines.append(f"\nThe last command reads the synthetic data set that `{prefix}lit-genre demo` writes.")
    results.print("\n".join(lines))
