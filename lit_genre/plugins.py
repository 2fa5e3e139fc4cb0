"""Finds backbones: every entry point of the group `lit_genre.backbones`, ours and anyone's."""

import warnings
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from lit_genre.model.backbone import Backbone

GROUP: Final = "lit_genre.backbones"


@dataclass(frozen=True)
class Plugin:
    """A backbone that a package declares.

    Attributes:
        name: Name of the class and of the entry point.
        package: Package that declares it, or several.
        version: Version of the package.
        backbone: The class; None where it cannot be had.
        error: Why not, "" where it can.
    """

    name: str
    package: str
    version: str = ""
    backbone: type[Backbone] | None = None
    error: str = ""


@cache
def backbones() -> dict[str, Plugin]:
    """Load every declared backbone, once; one that fails costs a warning and never the run."""
    declared: dict[str, list[EntryPoint]] = defaultdict(list)
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        declared[point.name].append(point)
    found = {name: _load(points) for name, points in declared.items()}
    for plugin in found.values():
        if plugin.error:
            warnings.warn(f"backbone {plugin.name} of {plugin.package} is left out: {plugin.error}", stacklevel=2)
    return found


def known_backbones() -> str:
    """List the backbones that can be asked for, a line each, with the package each comes from."""
    usable = [plugin for plugin in backbones().values() if plugin.backbone is not None]
    return "\n".join(f"  {plugin.name}  ({plugin.package} {plugin.version})" for plugin in usable)


def _load(points: list[EntryPoint]) -> Plugin:
    point = points[0]
    packages = sorted({(point.dist.name, point.dist.version) if point.dist else ("unknown", "") for point in points})
    package, version = (" and ".join(part) for part in zip(*packages, strict=True))

    def failed(error: str) -> Plugin:
        return Plugin(point.name, package, version, error=error)

    if len(points) > 1:
        return failed("more than one package declares this name; uninstall one of them")
    try:
        backbone = point.load()
    except Exception as error:  # A package of anyone's: whatever it raises, the run does not need it.
        return failed(f"importing {point.value} failed: {type(error).__name__}: {error}")
    if not (isinstance(backbone, type) and issubclass(backbone, Backbone)):
        return failed(f"{point.value} is no subclass of lit_genre.Backbone")
    if backbone.__name__ != point.name:
        return failed(f"the class is called {backbone.__name__}: give both one name")
    return Plugin(point.name, package, version, backbone)
