"""The key of cached spectrograms: what determines the output of a front-end."""

import json

from lightning.pytorch import LightningModule
from torch import nn

from lit_genre.errors import LitGenreError
from lit_genre.model.source_code import source_digest


class CachedFrontend(LightningModule):
    """A LightningModule whose spectrograms can be cached, as `data.cache_mel` does.

    Attributes:
        frontend: The front-end.
        sample_rate: Sample rate of the waveforms, Hz.
        input_shape: Shape of one item that the front-end returns.
    """

    frontend: nn.Module
    sample_rate: int
    input_shape: tuple[int, ...]

    def frontend_cache_key(self) -> tuple[str, tuple[int, ...]]:
        """Return a key of everything but the samples that determines a spectrogram, and its shape.

        Returns:
            A text that changes with the front-end, its arguments, its source code and the sample rate; and (m, f).

        Raises:
            LitGenreError: The front-end is trained, or does not return spectrograms.
        """
        name = type(self.frontend).__name__
        if any(parameter.requires_grad for parameter in self.frontend.parameters()):
            raise LitGenreError(f"cache_mel needs a fixed front-end, but this {name} is trained.")
        if len(self.input_shape) != 2:
            raise LitGenreError(
                f"cache_mel needs a front-end that returns spectrograms, but {name} returns items of shape "
                f"{self.input_shape}."
            )
        determining = [self.hparams["frontend"], self.sample_rate, source_digest(self.frontend)]
        return json.dumps(determining, default=str), self.input_shape
