"""The contract of a backbone: what a class must be to be trained, compared and exported by lit-genre."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

InputShape = tuple[int, ...]
"""Shape of one item: (n_mels, n_frames) of a spectrogram, (n_samples,) of a waveform."""


class Backbone(nn.Module, ABC):
    """A network from a spectrogram (or a waveform) to one embedding.

    A subclass takes the shape of one item first and has a default, plain data, for every other argument. It must
    take inputs of any length, for training clips and evaluation clips may differ: pool over time. Head, loss and
    the number of genres are the classifier's: a backbone never hears of genres.

    Args:
        input_shape: (n_mels, n_frames) of the training clips, or (n_samples,).

    Attributes:
        embedding_dim: Size d of the embedding; a subclass sets it.

    Shape:
        - mel: (b, m, f), batch, mel bands, frames; or (b, n), samples, behind `frontend: torch.nn.Identity`
        - Output: (b, d)
    """

    embedding_dim: int

    @abstractmethod
    def forward(self, mel: Tensor) -> Tensor:
        """Map a batch of spectrograms, shape (b, m, f), to embeddings, shape (b, d)."""
