"""Find data modules: every entry point of the group `lit_genre.datamodules`, of this package and of plugins."""

from functools import cache
from typing import Final

from lightning.pytorch import LightningDataModule

from lit_genre.entry_points import Plugin, load_plugins

GROUP: Final = "lit_genre.datamodules"


@cache
def datamodules() -> dict[str, Plugin]:
    """Load every declared data module, once; a broken one causes a warning.

    Returns:
        Plugins by name of the class, also the broken ones.
    """
    return load_plugins(GROUP, LightningDataModule, "lightning.pytorch.LightningDataModule", "data module")
