"""Checks for the tests of a plugin: of its backbone, and of its configuration."""

from lit_genre.testing.config import check_config
from lit_genre.testing.contract import check_backbone

__all__ = ["check_backbone", "check_config"]
