"""Find the classes that installed packages declare by entry points: backbones and data modules."""

import warnings
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from lit_genre.text import printable


@dataclass(frozen=True)
class Plugin:
    """A class that a package declares.

    Attributes:
        name: Name of the class and of the entry point.
        package: Name of the package; the first of several.
        version: Version of the package.
        loaded: The class; None if it cannot be used.
        error: The reason; "" if it can be used.
    """

    name: str
    package: str
    version: str = ""
    loaded: Any = None
    error: str = ""

    @property
    def origin(self) -> str:
        """Package and version."""
        return f"{self.package} {self.version}"


def load_plugins(group: str, base: type, base_name: str, kind: str) -> dict[str, Plugin]:
    """Load every class that an installed package declares in a group; a broken one causes a warning.

    Args:
        group: Group of the entry points.
        base: Base class of the classes.
        base_name: Name of the base class in messages.
        kind: What the classes are, in messages.

    Returns:
        Plugins by name, also the broken ones.
    """
    declared: dict[str, list[EntryPoint]] = defaultdict(list)
    # Sorted, so that lists and warnings have the same order on every machine.
    for point in sorted(entry_points(group=group), key=lambda point: point.name):
        declared[point.name].append(point)
    plugins = {name: _load(points, base, base_name) for name, points in declared.items()}
    for plugin in plugins.values():
        if plugin.error:
            message = f"{kind} {plugin.name} of {plugin.origin} is left out: {plugin.error}"
            warnings.warn(printable(message), stacklevel=3)
    return plugins


def list_known(plugins: Mapping[str, Plugin], title: str) -> str:
    """Return a list of the usable plugins, a line for each package, and of the broken ones, a line for each."""
    names: dict[str, list[str]] = {}
    for plugin in plugins.values():
        if plugin.loaded:
            names.setdefault(plugin.origin, []).append(plugin.name)
    lines = [title, *(f"  {origin}: {', '.join(of_package)}" for origin, of_package in names.items())]
    broken = [plugin for plugin in plugins.values() if not plugin.loaded]
    lines += ["Left out:"] * bool(broken)
    lines += [f"  {plugin.name}  ({plugin.origin}): {plugin.error}" for plugin in broken]
    return "\n".join(lines)


def _load(points: list[EntryPoint], base: type, base_name: str) -> Plugin:
    point = points[0]
    package, version = (point.dist.name, point.dist.version) if point.dist else ("an unknown package", "")

    def failed(error: str) -> Plugin:
        return Plugin(point.name, package, version, error=error)

    if len(points) > 1:
        packages = " and ".join(sorted(f"{point.dist.name} {point.dist.version}" for point in points if point.dist))
        return failed(f"more than one package declares this name: {packages}. Uninstall one of them")
    try:
        found = point.load()
    except Exception as error:  # A plugin may raise anything, and the run does not need it.
        return failed(f"importing {point.value} failed: {type(error).__name__}: {error}")
    if not (isinstance(found, type) and issubclass(found, base)):
        return failed(f"{point.value} is not a subclass of {base_name}")
    # jsonargparse finds a class by the name of the class, not of the entry point.
    if found.__name__ != point.name:
        return failed(f"the class is called {found.__name__}: give both one name")
    return Plugin(point.name, package, version, found)
