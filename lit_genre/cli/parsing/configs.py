"""Find the shipped configurations by name from any folder: `--config crnn` or `--config configs/crnn.yaml`."""

import fnmatch
from pathlib import Path
from typing import Final

import lit_genre

_PACKAGE: Final = Path(lit_genre.__file__).parent


def configs_folder() -> Path:
    """Return the folder of the shipped configurations: inside an installed package, or next to it in a clone."""
    installed = _PACKAGE / "configs"
    return installed if installed.is_dir() else _PACKAGE.parent / "configs"


def find_config(name: str) -> str:
    """Return the path of a configuration.

    Args:
        name: Path of a file, or name of a shipped configuration, such as `crnn`, `recipes/modern` or
            `configs/crnn.yaml`. A file of the user comes first.

    Returns:
        The path of the file; the name itself if there is no such file, such as the text of a configuration.
    """
    # Text of a configuration may be longer than the name of a file may be.
    is_text = "\n" in name or ":" in name or "{" in name
    if is_text or Path(name).expanduser().is_file():
        return name
    # Both `crnn` and `configs/crnn.yaml`, which README shows, mean the same file.
    # as_posix: on Windows the completion of a shell writes configs\crnn.yaml.
    inside = Path(Path(name).as_posix().removeprefix("configs/")).with_suffix(".yaml")
    path = configs_folder() / inside
    is_shipped = not inside.is_absolute() and ".." not in inside.parts and path.is_file()
    return str(path) if is_shipped else name


def find_configs(pattern: str) -> list[str]:
    """Return the paths of configurations.

    Args:
        pattern: A path or a name, as for `find_config`, or a pattern of shipped names, such as `encoders/*`.

    Returns:
        The paths, sorted; the pattern itself if nothing matches.
    """
    name = pattern.removeprefix("configs/").removesuffix(".yaml")
    matches = fnmatch.filter(shipped_configs(), name) if "*" in name else []
    return [find_config(match) for match in matches] or [find_config(pattern)]


def shipped_configs() -> list[str]:
    """Return the names of the shipped configurations, such as `crnn` and `recipes/modern`."""
    folder = configs_folder()
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml"))
