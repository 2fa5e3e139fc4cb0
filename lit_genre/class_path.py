"""Import a class by the class path that the user names.

For class paths in files from strangers, `lit_genre.trust.classes` decides which may be imported.
"""

from importlib import import_module
from typing import Any

from lightning.pytorch import LightningModule

from lit_genre.errors import LitGenreError


def import_class(class_path: str) -> Any:
    """Import a class or a function.

    Args:
        class_path: Module and name, such as lit_genre.FMADataModule.

    Raises:
        ImportError: There is no such module.
        AttributeError: The module has no such name.
        ValueError: The path has no dot.
    """
    module, _, name = class_path.rpartition(".")
    return getattr(import_module(module), name)


def find_model_class(class_path: str) -> type[LightningModule]:
    """Import the class of a model that the user names.

    Raises:
        LitGenreError: It cannot be imported, or is not a LightningModule.
    """
    if "." not in class_path:
        class_path = f"lit_genre.{class_path}"
    try:
        found = import_class(class_path)
    except (AttributeError, ImportError, ValueError) as error:
        raise LitGenreError(
            f"The class of the model {class_path} cannot be imported: {error}. Is its module installed, or in a folder "
            "of PYTHONPATH?"
        ) from error
    if not (isinstance(found, type) and issubclass(found, LightningModule)):
        raise LitGenreError(f"{class_path} is not a LightningModule. Use a subclass of lit_genre.GenreClassifier.")
    return found
