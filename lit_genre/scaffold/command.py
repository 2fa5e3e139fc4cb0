"""The command `new-backbone`: write a plugin package with a working backbone."""

import builtins
import keyword
import re
import shlex
import sys
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from shutil import which

import lit_genre
from lit_genre.backbones.registry import backbones
from lit_genre.console import console
from lit_genre.errors import LitGenreError

RESERVED = {"InputShape", "Tensor", "check_backbone", "nn", *lit_genre.__all__, *dir(builtins)}
"""Names that the modules of the package use, or that would shadow a built-in name."""


def new_backbone(name: str, folder: Path = Path()) -> None:
    """Write an installable package with a backbone, its configuration and its test, as a start for your own.

    Args:
        name: Name of the class, such as MyNet, which is also the value of --model.backbone.
        folder: Folder in which the folder of the package, my_net for MyNet, is made.

    Raises:
        LitGenreError: The name cannot be used, or the folder exists.
    """
    module = snake_case(name)
    _check_name(name, module)
    package = folder / module
    if package.exists():
        raise LitGenreError(f"{package} already exists and was not changed. Move it, or choose another name.")
    package.mkdir(parents=True)
    ours = {"MyNet": name, "my_net": module, "my-net": module.replace("_", "-")}
    for template in (files("lit_genre.scaffold") / "template").iterdir():
        if template.is_file():
            text = re.sub("|".join(ours), lambda found: ours[found[0]], template.read_text(encoding="utf-8"))
            (package / template.name.replace("my_net", module)).write_text(text, encoding="utf-8")
    _print_next_steps(name, module, package)


def snake_case(name: str) -> str:
    """Convert the name of a class to that of a module.

    >>> [snake_case(name) for name in ("MyNet", "CNN2DDeep", "CRNNStacked", "ResNet50", "net")]
    ['my_net', 'cnn2d_deep', 'crnn_stacked', 'res_net50', 'net']
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z])", "_", name).lower()


def _check_name(name: str, module: str) -> None:
    if not re.fullmatch("[A-Za-z](_?[A-Za-z0-9])*", name) or keyword.iskeyword(name) or keyword.iskeyword(module):
        raise LitGenreError(
            f"{name!r} cannot be the name of a class and its module: use letters and digits, with single _ between "
            "them, beginning with a letter, and no keyword of Python. For example MyNet."
        )
    if (taken := backbones().get(name)) is not None:
        raise LitGenreError(f"{name} is taken: the package {taken.package} declares a backbone of this name.")
    if name in RESERVED:
        raise LitGenreError(f"{name} is taken: lit_genre itself, or Python, has something of this name.")
    if _is_installed(package := module.replace("_", "-")):
        raise LitGenreError(f"{name} would be the package {package}, which is installed already: choose another name.")
    if (found := find_spec(module)) is not None and found.origin is not None:
        raise LitGenreError(
            f"{name} would be in a module {module}, but there is one already, {found.origin}: choose another name."
        )


def _is_installed(package: str) -> bool:
    try:
        distribution(package)
    except PackageNotFoundError:
        return False
    return True


def _print_next_steps(name: str, module: str, package: Path) -> None:
    where = shlex.quote(str(package))
    commands = Path(sys.executable).parent
    # The full path if another environment comes first in PATH.
    prefix = "" if (command := which("lit-genre")) and Path(command).parent == commands else f"{commands}/"
    has_fma = Path("data/fma_metadata").exists()
    data = "" if has_fma else " --data.root=data/demo --model.clip_seconds=5"
    lines = [
        f"{package} contains the package; the network is in {package / module}.py.\n",
        "Install, test and train it:",
        f"  {prefix}pip install -e {shlex.quote(f'{package}[test]')}",
        f"  {prefix}pytest {where}",
        f"  {prefix}lit-genre fit --config {where}/{module}.yaml{data}",
    ]
    if not has_fma and not Path("data/demo/fma_metadata").exists():
        lines.append(f"\nThe last one reads the synthetic data set that `{prefix}lit-genre demo` writes.")
    console.print("\n".join(lines))
