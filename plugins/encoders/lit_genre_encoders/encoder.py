"""The base class of the encoders: freezing, pooling over time, and what a checkpoint stores."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from lit_genre.errors import LitGenreError
from lit_genre.model.backbone import Backbone

Imported = TypeVar("Imported")


class Encoder(Backbone):
    """An encoder of a published package, on waveforms.

    A subclass builds the network in its constructor, loads `weights`, sets `embedding_dim`, and calls
    `self.requires_grad_(not freeze).train()` at the end. The embedding is the mean over time.

    Attributes:
        freeze: Whether the network stays as it is, in evaluation mode.

    Shape:
        - mel: (b, n), samples of full scale 1
        - Output: (b, d)
    """

    takes = "waveform"
    freeze: bool

    @abstractmethod
    def encode(self, waveform: Tensor) -> Tensor:
        """Compute the states of the last layer.

        Args:
            waveform: Samples of full scale 1, shape (b, n).

        Returns:
            States, shape (b, steps, d).
        """

    def forward(self, mel: Tensor) -> Tensor:
        """Compute embeddings.

        Args:
            mel: Waveforms, shape (b, n), full scale 1, at the sample rate of the encoder.

        Returns:
            Embeddings, shape (b, embedding_dim).
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.freeze):
            return self.encode(mel).mean(1)

    def train(self, mode: bool = True) -> "Encoder":
        """Set the mode; a frozen network stays in evaluation mode."""
        return super().train(mode and not self.freeze)

    def restore_args(self) -> dict[str, Any]:
        """Return weights=None: a checkpoint has the weights, so that neither file nor hub is needed."""
        return {"weights": None}

    @classmethod
    def unsafe_args(cls, init_args: Mapping[str, Any]) -> dict[str, str]:
        """Return the argument that a file must not set: it chooses a file or downloads one."""
        if init_args.get("weights") is None:
            return {}
        return {"weights": f"reads the weights {init_args['weights']!r} from a file or downloads them"}


def import_published(load: Callable[[], Imported], package: str, install: str) -> Imported:
    """Import parts of a published package.

    Args:
        load: Imports and returns them.
        package: Name of the package, for the message.
        install: Command that installs it.

    Returns:
        What `load` returns.

    Raises:
        LitGenreError: The package is not installed.
    """
    try:
        return load()
    except ImportError as error:
        raise LitGenreError(f"{package} cannot be imported ({error}). Install it: {install}") from error


def read_weights(path: str) -> Any:
    """Read a file of weights, without running code that it may contain.

    Args:
        path: The file, of torch.save or safetensors.

    Returns:
        Its content, such as a state_dict.

    Raises:
        LitGenreError: The file is missing or damaged, or contains more than tensors and plain data.
    """
    try:
        if Path(path).suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    # torch.load raises many kinds of errors on a damaged file.
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise LitGenreError(f"The weights {path} cannot be read: {reason}. Download the file again.") from error
