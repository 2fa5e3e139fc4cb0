"""Print constraints for pip: each dependency of pyproject.toml at its lower bound.

    python tests/helpers/lower_bounds.py > constraints.txt

Packages without a lower bound are left out, so that pip installs their newest release that fits. Needs the standard
library only.
"""

import re
import tomllib
from pathlib import Path


def lower_bounds(pyproject: str) -> list[str]:
    """Return a constraint for each dependency with a lower bound, such as "torch==2.8".

    Args:
        pyproject: Content of a pyproject.toml.

    >>> lower_bounds('[project]\\ndependencies = ["a[b]>=1.2,<2", "c"]\\n')
    ['a==1.2']
    """
    project = tomllib.loads(pyproject)["project"]
    groups = [project["dependencies"], *project.get("optional-dependencies", {}).values()]
    bounds = (re.match(r"([\w.-]+)(?:\[[\w,-]+\])?>=([\w.]+)", line) for group in groups for line in group)
    return [f"{bound[1]}=={bound[2]}" for bound in bounds if bound]


if __name__ == "__main__":
    print("\n".join(lower_bounds((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))))
