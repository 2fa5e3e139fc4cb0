"""The network of a GenreClassifier: front-end, backbone and head, and what it predicts."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from lit_genre.batch import Batch, Task, clip_samples
from lit_genre.model.backbone import Backbone, InputShape
from lit_genre.model.checks.finite import check_finite
from lit_genre.model.factories import build_backbone, build_head, describe
from lit_genre.model.from_checkpoint import FromCheckpoint
from lit_genre.model.layer_pooling import LayerPooling, Layers, Pool, freeze_unused, layer_shapes, pool_steps
from lit_genre.model.spectrogram.augment import Augmentation
from lit_genre.model.spectrogram.cached_frontend import CachedFrontend
from lit_genre.model.spectrogram.mean_normalization import SpectralMeanNormalization
from lit_genre.model.temperature import check_temperature
from lit_genre.model.training.finetuning import select_trained, set_frozen_to_eval
from lit_genre.model.training.precision import keeping_dtype


class Network(CachedFrontend, FromCheckpoint):
    """Maps waveforms to logits: the part of `GenreClassifier` that a prediction needs.

    Shape:
        - waveform: (b, n), int16 PCM or floating point of full scale 1, any n
        - Output: logits, (b, c)

    Attributes:
        task: Whether a track has one genre or several.
        sample_rate: Sample rate of the waveforms, Hz.
        clip_samples: Length of a training clip, samples.
        input_shape: Shape of one item that the front-end returns.
        temperature: Divisor of the logits, from which the probabilities are computed; more than 0.
    """

    temperature: float = 1.0

    loss_weights: Tensor | None

    def _build_network(
        self,
        backbone: Callable[[InputShape], Backbone],
        frontend: Callable[[int], nn.Module],
        augment: Sequence[Augmentation],
        task: Task,
        sample_rate: int,
        clip_seconds: float | None,
        mean_normalized_channels: bool,
        layers: Layers | None,
        pool: Pool,
        finetune: str | None,
    ) -> None:
        """Build all parts with weights; the arguments are those of `GenreClassifier`."""
        if "_instantiator" not in self.hparams:
            # Built from Python: a checkpoint needs plain data. The configuration of the command line is plain already.
            self.hparams.update(
                backbone=describe(backbone),
                frontend=describe(frontend),
                _instantiator="lightning.pytorch.cli.instantiate_module",
            )
        self.task: Task = task
        self.sample_rate = sample_rate
        self.clip_samples = clip_samples(clip_seconds, sample_rate)
        self.frontend = frontend(sample_rate)
        with torch.no_grad():
            self.input_shape = tuple(self.frontend(torch.zeros(1, self.clip_samples)).shape[1:])
        self.augment = nn.ModuleList(augment)
        self.mean_normalization = (
            SpectralMeanNormalization() if mean_normalized_channels and len(self.input_shape) == 2 else nn.Identity()
        )
        described = self.hparams["backbone"]
        self.backbone = build_backbone(backbone, described, self._item_shape, sample_rate)
        # With these arguments a checkpoint builds the backbone without the files that its weights came from.
        init_args = {**described.get("init_args", {}), **self.backbone.restore_args()}
        self.hparams["backbone"] = {**described, "init_args": init_args}
        if finetune is not None:
            select_trained(self.backbone, finetune)
        self.choose_layers(layers, pool)
        if finetune is not None:
            # Here too: Lightning keeps the mode that each part has before the training.
            self.train()

    def train(self, mode: bool = True) -> "Network":
        """Set the mode; with `finetune`, frozen parts of the backbone stay in evaluation mode."""
        super().train(mode)
        if mode and self.hparams["finetune"] is not None:
            set_frozen_to_eval(self.backbone)
        return self

    def forward(self, waveform: Tensor) -> Tensor:
        """Compute logits.

        Args:
            waveform: int16 PCM or floating point of full scale 1, shape (b, n).

        Returns:
            Logits, float32, shape (b, c).
        """
        return self._logits(self.spectrogram(waveform))

    def spectrogram(self, waveform: Tensor) -> Tensor:
        """Compute the output of the front-end.

        Args:
            waveform: int16 PCM or floating point of full scale 1, shape (b, n).

        Returns:
            Spectrograms, float32, shape (b, m, f); or waveforms of full scale 1, shape (b, n).
        """
        mel: Tensor = self.frontend(_to_float(waveform))
        return mel

    def choose_layers(self, layers: Layers | None, pool: Pool) -> None:
        """Embed by layers of the backbone, or by its own embedding. The head is replaced by an untrained one.

        Args:
            layers: Numbers of the layers, or "all"; None for the embedding of the backbone, or for its last layer with
                another pool than "mean".
            pool: How states are pooled over time.

        Raises:
            LitGenreError: The backbone has no such layers, or several have states of different sizes.
        """
        self.hparams.update(layers=layers, pool=pool)
        self.layer_pooling = None
        if layers is not None or pool != "mean":
            chosen = layers if layers is not None else [len(self.backbone.layer_blocks())]
            self.layer_pooling = LayerPooling(self.backbone, chosen, pool, self._item_shape)
            freeze_unused(self.backbone, self.layer_pooling.layers, self._item_shape)
        embedding_dim = (self.layer_pooling or self.backbone).embedding_dim
        self.head = build_head(embedding_dim, self.hparams["head_dim"], len(self.hparams["classes"]))

    def embed_layers(self, waveform: Tensor, pool: Pool, layers: Sequence[int]) -> list[Tensor]:
        """Compute an embedding by each of some layers of the backbone.

        Args:
            waveform: int16 PCM or floating point of full scale 1, shape (b, n).
            pool: How states are pooled over time.
            layers: Numbers of the layers.

        Returns:
            What `pool_steps` returns for the states of each layer.
        """
        states = self.backbone.layer_outputs(self._item(self.spectrogram(waveform)), layers)
        return [pool_steps(layer, pool) for layer in states]

    def layer_shapes(self) -> list[tuple[int, int]]:
        """Return steps and size of the states of layer 0, the input of the first, to the last, for a training clip."""
        return layer_shapes(self.backbone, range(len(self.backbone.layer_blocks()) + 1), self._item_shape)

    def predict_with_embedding(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """Compute probabilities and embeddings.

        Args:
            waveform: int16 PCM or floating point of full scale 1, shape (b, n).

        Returns:
            Probabilities, float32, shape (b, c); and embeddings of the backbone, shape (b, d).

        Raises:
            LitGenreError: A probability is not finite.
        """
        embedding = self._embed(self.spectrogram(waveform))
        probs = self.probabilities(self.head(embedding).float())
        check_finite(probs, "The model's probabilities")
        return probs, embedding

    def probabilities(self, logits: Tensor) -> Tensor:
        """Compute probabilities.

        Args:
            logits: Logits, shape (b, c).

        Returns:
            Probabilities, shape (b, c): of a softmax in the multiclass task, of sigmoids in the multilabel task, after
            a division of the logits by the temperature.
        """
        scaled = logits / self.temperature
        return scaled.sigmoid() if self.task == "multilabel" else scaled.softmax(-1)

    def set_temperature(self, temperature: float) -> None:
        """Set the temperature, also in the hyperparameters, which a checkpoint stores.

        Args:
            temperature: Divisor of the logits, more than 0.

        Raises:
            LitGenreError: It is not a positive, finite number.
        """
        self.temperature = self.hparams["temperature"] = check_temperature(temperature)

    def _mel(self, batch: Batch) -> Tensor:
        return self.spectrogram(batch.waveform) if batch.mel is None else batch.mel.float()

    def _logits(self, mel: Tensor) -> Tensor:
        logits: Tensor = self.head(self._embed(mel))
        return logits.float()

    def _embed(self, mel: Tensor) -> Tensor:
        item = self._item(mel)
        if self.layer_pooling is not None:
            states = self.backbone.layer_outputs(item, self.layer_pooling.layers)
            pooled: Tensor = self.layer_pooling(states)
            return pooled
        embedding: Tensor = self.backbone(item)
        return embedding

    def _item(self, mel: Tensor) -> Tensor:
        """Return the input of the backbone."""
        # The front-end stays in float32 when the network has another precision.
        item: Tensor = self.mean_normalization(mel).to(next(self.head.parameters()).dtype)
        return item

    @property
    def _item_shape(self) -> InputShape:
        """Shape of one item of the backbone's input."""
        return tuple(self.mean_normalization(torch.zeros(1, *self.input_shape)).shape[1:])

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Network":
        """Move and convert all parts, but leave the front-end and the class weights in float32."""
        frontend, weights, convert = self.frontend, self.loss_weights, keeping_dtype(fn)
        # A placeholder, so that the order of the parts, and of the state, stays the same.
        self.frontend = nn.Identity()
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.frontend = frontend._apply(convert, recurse)  # type: ignore[no-untyped-call]
        self.loss_weights = None if weights is None else convert(weights)
        return self


def _to_float(waveform: Tensor) -> Tensor:
    """Scale integer PCM to full scale 1, float32."""
    if waveform.is_floating_point():
        return waveform.float()
    return waveform.float() / -torch.iinfo(waveform.dtype).min
