"""Lightning's way to load a checkpoint from Python, but as data: without importing what the file names."""

from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule

from lit_genre.errors import LitGenreError


class FromCheckpoint(LightningModule):
    """A LightningModule whose `load_from_checkpoint` does what `lit_genre.load_model` does."""

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]
        cls,
        checkpoint_path: str | Path,
        map_location: Any = "cpu",
        weights_only: bool = True,
        trust: bool = False,
    ) -> Any:
        """Build a trained model as `lit_genre.load_model` does; Lightning's own method imports what the file names.

        Args:
            checkpoint_path: The checkpoint.
            map_location: Device of the model.
            weights_only: Must be true: a checkpoint is read as data, without code.
            trust: Import any class that the file names.

        Returns:
            The model.

        Raises:
            LitGenreError: As `lit_genre.load_model`, or weights_only is false.
        """
        if not weights_only:
            raise LitGenreError("weights_only is false, but a checkpoint of lit-genre is read as data alone.")
        # Imported here, as that module imports this one.
        from lit_genre.inference.load import build_trained_model

        return build_trained_model(checkpoint_path, trust).to(map_location)
