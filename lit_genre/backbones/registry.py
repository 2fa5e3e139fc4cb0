"""Find backbones: every entry point of the group `lit_genre.backbones`, of this package and of plugins."""

import warnings
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from lit_genre.model.backbone import Backbone
from lit_genre.text import printable

GROUP: Final = "lit_genre.backbones"


@dataclass(frozen=True)
class Plugin:
    """A backbone that a package declares.

    Attributes:
        name: Name of the class and of the entry point.
        package: Package that declares it; the first of several.
        version: Version of the package.
        backbone: The class; None if it cannot be imported.
        error: The reason; "" if it can be imported.
    """

    name: str
    package: str
    version: str = ""
    backbone: type[Backbone] | None = None
    error: str = ""


@cache
def backbones() -> dict[str, Plugin]:
    """Load every declared backbone, once; a broken one causes a warning.

    Returns:
        Plugins by name of the class, also the broken ones.
    """
    declared: dict[str, list[EntryPoint]] = defaultdict(list)
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        declared[point.name].append(point)
    found = {name: _load(points) for name, points in declared.items()}
    for plugin in found.values():
        if plugin.error:
            message = f"backbone {plugin.name} of {_origin(plugin)} is left out: {plugin.error}"
            warnings.warn(printable(message), stacklevel=2)
    return found


def known_backbones() -> str:
    """Return a list of the usable and the broken backbones with their packages, a line for each."""
    lines = ["Known backbones:"]
    lines += [f"  {plugin.name}  ({_origin(plugin)})" for plugin in backbones().values() if plugin.backbone is not None]
    broken = [plugin for plugin in backbones().values() if plugin.backbone is None]
    lines += ["Left out:"] * bool(broken)
    lines += [f"  {plugin.name}  ({_origin(plugin)}): {plugin.error}" for plugin in broken]
    return "\n".join(lines)


def _origin(plugin: Plugin) -> str:
    return f"{plugin.package} {plugin.version}"


def _load(points: list[EntryPoint]) -> Plugin:
    point = points[0]
    package, version = (point.dist.name, point.dist.version) if point.dist else ("an unknown package", "")

    def failed(error: str) -> Plugin:
        return Plugin(point.name, package, version, error=error)

    if len(points) > 1:
        packages = " and ".join(sorted(f"{point.dist.name} {point.dist.version}" for point in points if point.dist))
        return failed(f"more than one package declares this name: {packages}. Uninstall one of them")
    try:
        backbone = point.load()
    except Exception as error:  # A plugin may raise anything, and the run does not need it.
        return failed(f"importing {point.value} failed: {type(error).__name__}: {error}")
    if not (isinstance(backbone, type) and issubclass(backbone, Backbone)):
        return failed(f"{point.value} is not a subclass of lit_genre.Backbone")
    if backbone.__name__ != point.name:
        return failed(f"the class is called {backbone.__name__}: give both one name")
    return Plugin(point.name, package, version, backbone)
