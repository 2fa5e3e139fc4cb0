"""The lists of installed backbones and data sets, cached so that they appear without importing torch."""

import argparse
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, entry_points, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import lit_genre
from lit_genre.files import atomic_write

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Row = TypeVar("Row", bound="DataclassInstance")


def cached_rows(group: str, row_class: type[Row], measure: Callable[[], Sequence[Row]], refresh: bool) -> Sequence[Row]:
    """Return the rows of a list of plugins, measured again only if a package has changed.

    Args:
        group: Group of the entry points.
        row_class: Dataclass of a row, with values that JSON has.
        measure: Computes the rows; imports what it needs.
        refresh: Measure anyway: an error of a row may lie outside the packages, such as weights that are missing.

    Returns:
        The rows.
    """
    path = _cache_folder() / f"{group}-{_fingerprint(group)}.json"
    if not refresh:
        with suppress(OSError, ValueError, TypeError):
            return [row_class(**record) for record in json.loads(path.read_text(encoding="utf-8"))]
    rows = measure()
    # A home folder may be read-only.
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        for outdated in path.parent.glob(f"{group}-*.json"):
            outdated.unlink(missing_ok=True)
        with atomic_write(path) as file:
            file.write(json.dumps([asdict(row) for row in rows]).encode())
    return rows


def add_refresh(parser: argparse.ArgumentParser) -> None:
    """Add `--refresh`."""
    parser.add_argument(
        "--refresh", action="store_true", help="build the list anew, also if no package has changed since the last time"
    )


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lit-genre"


def _fingerprint(group: str) -> str:
    """Return a hash of what the list depends on: entry points, versions, and times of the sources."""
    parts = [f"torch {_version('torch')}", f"lit-genre {lit_genre.__version__} {_newest(Path(lit_genre.__file__))}"]
    for point in entry_points(group=group):
        package = f"{point.dist.name} {point.dist.version}" if point.dist else ""
        # The package of an editable installation changes without its version.
        with suppress(ImportError, ValueError):
            spec = find_spec(point.module.partition(".")[0])
            package += f" {_newest(Path(spec.origin))}" if spec and spec.origin else ""
        parts.append(f"{point.name} {point.value} {package}")
    return hashlib.sha256("\n".join(sorted(parts)).encode()).hexdigest()[:16]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _newest(module: Path) -> int:
    """Return the newest time of modification of a module, or of all modules of a package, ns."""
    sources = module.parent.rglob("*.py") if module.name == "__init__.py" else [module]
    return max((source.stat().st_mtime_ns for source in sources), default=0)
