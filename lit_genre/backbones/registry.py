"""Find backbones: every entry point of the group `lit_genre.backbones`, of this package and of plugins."""

from functools import cache

from lit_genre.backbones import GROUP
from lit_genre.entry_points import Plugin, list_known, load_plugins
from lit_genre.model.backbone import Backbone


@cache
def backbones() -> dict[str, Plugin]:
    """Load all declared backbones, once a process. A broken one causes a warning.

    Returns:
        Plugins by name of the class, including the broken ones.
    """
    return load_plugins(GROUP, Backbone, "lit_genre.Backbone", "backbone")


def known_backbones() -> str:
    """Return a list of the usable and the broken backbones with their packages, one line for each."""
    return list_known(backbones(), "Known backbones:")
