"""The base class of all backbones."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

InputShape = tuple[int, ...]
"""Shape of one item: (n_mels, n_frames) of a spectrogram, (n_samples,) of a waveform."""


class Backbone(nn.Module, ABC):
    """A network from a spectrogram (or a waveform) to one embedding.

    The first argument of a subclass is `input_shape`: (n_mels, n_frames) of the training clips, or (n_samples,). Every
    other argument is plain data and has a default. A subclass must take inputs of any length, because training clips
    and evaluation clips may differ: pool over time. Head, loss and the number of genres belong to the classifier.
    `lit_genre.testing.check_backbone` checks these rules.

    Attributes:
        takes: Input of a subclass, "mel" or "waveform"; the latter needs `frontend: torch.nn.Identity`.
        embedding_dim: Size d of the embedding; a subclass sets it.
        sample_rate: Sample rate that a subclass requires, Hz; None for any.

    Shape:
        - mel: (b, m, f), batch, mel bands, frames, within -1 .. 1, or with the classifier's `mean_normalized_channels`
          -6 .. 6; or (b, n), samples of full scale 1
        - Output: (b, d)
    """

    takes: ClassVar[Literal["mel", "waveform"]] = "mel"
    embedding_dim: int
    sample_rate: int | None = None

    @abstractmethod
    def forward(self, mel: Tensor) -> Tensor:
        """Compute embeddings.

        Args:
            mel: Spectrograms, shape (b, m, f), or waveforms, shape (b, n); floating point.

        Returns:
            Embeddings, shape (b, d).
        """

    def layer_blocks(self) -> Sequence[nn.Module]:
        """Return the layers, first to last, each of which takes the states that the one before returns.

        Override it in a backbone of equal layers, such as a transformer. Then `model.layers` and `probe --layers`
        embed by one of them, and `model.finetune` trains the last of them.

        Returns:
            The layers; none by default.
        """
        return ()

    def layer_outputs(self, mel: Tensor, layers: Sequence[int]) -> list[Tensor]:
        """Compute the states of some layers, by forward hooks on `layer_blocks`.

        Override it where states have another shape, or more steps than the clip.

        Args:
            mel: Spectrograms, shape (b, m, f), or waveforms, shape (b, n); floating point.
            layers: Numbers of the layers: 0 is the input of the first, 1 its output, and so on to the last.

        Returns:
            States of these layers, shape (b, steps, d) each.
        """
        with self.collect_states(layers) as states:
            self(mel)
        return [states[layer] for layer in layers]

    @contextmanager
    def collect_states(self, layers: Sequence[int]) -> Iterator[dict[int, Any]]:
        """Collect, inside the context, what `layer_blocks` take and return.

        Args:
            layers: Numbers of the layers: 0 is the input of the first, 1 its output, and so on to the last.

        Yields:
            Dictionary from the number of a layer to its states; of several outputs, the first.
        """
        states: dict[int, Any] = {}

        def keep_input(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            states[0] = args[0] if args else next(iter(kwargs.values()))

        def keep_output(layer: int, _: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            states[layer] = output[0] if isinstance(output, tuple | list) else output

        with ExitStack() as hooks:
            for layer, block in enumerate(self.layer_blocks(), start=1):
                if layer == 1 and 0 in layers:
                    hooks.enter_context(block.register_forward_pre_hook(keep_input, with_kwargs=True))
                if layer in layers:
                    hooks.enter_context(block.register_forward_hook(partial(keep_output, layer)))
            yield states

    def restore_args(self) -> dict[str, Any]:
        """Return arguments that replace the given ones when the backbone is built from a checkpoint.

        Override it in a backbone that downloads pretrained weights or reads a file when it is built: the checkpoint has
        the weights, so that neither is needed.

        Returns:
            Arguments, plain data; empty by default.
        """
        return {}

    def reduce_to_arguments(self, arguments: dict[str, Any]) -> tuple[Any, ...]:
        """Return the result of `__reduce__` for a backbone that cannot be pickled as it is: its arguments and weights.

        Args:
            arguments: Arguments from which it is built again, without reading files.

        Returns:
            A function and its arguments, for pickle.
        """
        trained = [name for name, parameter in self.named_parameters() if parameter.requires_grad]
        return _rebuild, (type(self), arguments, self.state_dict(), trained, self.training)

    @classmethod
    def unsafe_args(cls, init_args: Mapping[str, Any]) -> dict[str, str]:
        """Return the arguments that a file from a stranger must not set, each with the reason.

        A checkpoint has the name of its backbone and the arguments. Return here those that run code, read a file or
        download something: such a checkpoint is then refused unless the user adds --trust. Arguments of
        type `Path`, and those called `path`, `url` and the like, are refused without being named.

        Args:
            init_args: Arguments in the file, plain data of any kind.

        Returns:
            For each argument the rest of a sentence about it, such as `{"trust_remote_code": "runs Python files"}`.
        """
        return {}


def _rebuild(
    backbone_class: type[Backbone],
    arguments: dict[str, Any],
    weights: dict[str, Tensor],
    trained: list[str],
    training: bool,
) -> Backbone:
    backbone = backbone_class(**arguments)
    like = next(value for value in weights.values() if value.is_floating_point())
    backbone.to(like.device, like.dtype).load_state_dict(weights)
    for name, parameter in backbone.named_parameters():
        parameter.requires_grad_(name in trained)
    return backbone.train(training)
