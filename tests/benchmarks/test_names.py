"""Python finds a benchmark's folder first, so a benchmark with a module's name would be imported instead of it."""

import sys
from importlib.machinery import PathFinder

import pytest

from tests.helpers.runs import ROOT

# Whether it is installed or not, numba, and by that librosa, imports what has this name.
OPTIONAL = {"coverage"}
NAMES = sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("name", NAMES)
def test_no_module_has_the_name_of_a_benchmark(name: str) -> None:
    assert name not in sys.stdlib_module_names | OPTIONAL
    assert PathFinder.find_spec(name, [path for path in sys.path if "site-packages" in path]) is None
