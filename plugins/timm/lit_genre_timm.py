"""TimmBackbone: the image networks of timm, on the spectrogram as an image."""

import difflib
from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from lit_genre.model.backbone import Backbone, InputShape


class TimmBackbone(Backbone):
    """Any image network of timm, on the spectrogram as an image of one channel.

    For a network with a fixed size of images, such as a vision transformer, the spectrogram is resized. Then use clips
    of one length. timm.list_models() lists the networks, timm.list_pretrained() those with weights.

    Args:
        input_shape: (n_mels, n_frames).
        model_name: Name of the network in timm; a tag chooses its weights, as in resnet18.a1_in1k.
        pretrained: Begin with pretrained weights, which are downloaded once into the Hugging Face cache.
        dropout: Probability, 0 to 1, after the pooling of the network.
        drop_path: Probability, 0 to 1, of skipping a residual branch, if the network has stochastic depth.

    Shape:
        - mel: (b, m, f)
        - Output: (b, d), d as in the network

    Raises:
        ValueError: timm has no such network, or its weights cannot be loaded.

    Reference:
        R. Wightman, "PyTorch Image Models", https://github.com/huggingface/pytorch-image-models.
    """

    def __init__(
        self,
        input_shape: InputShape,
        model_name: str = "resnet18",
        pretrained: bool = False,
        dropout: float = 0.0,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.network = _create(model_name, pretrained, dropout, drop_path)
        # Some networks, such as MobileNetV3, have a further layer after the pooling; num_features is its input.
        self.embedding_dim = int(getattr(self.network, "head_hidden_size", None) or self.network.num_features)
        config = self.network.pretrained_cfg
        self.image_size: tuple[int, int] | None = (
            tuple(config["input_size"][1:]) if config["fixed_input_size"] else None
        )

    def forward(self, mel: Tensor) -> Tensor:
        """Compute embeddings.

        Args:
            mel: Spectrograms, shape (b, m, f), floating point, within -1 .. 1 (see `Backbone`).

        Returns:
            Embeddings, shape (b, embedding_dim).
        """
        image = mel.unsqueeze(1)
        if self.image_size is not None:
            image = F.interpolate(image, self.image_size, mode="bilinear", antialias=True)
        embedding: Tensor = self.network(image)
        return embedding

    def restore_args(self) -> dict[str, Any]:
        """Return pretrained=False: the weights are in the checkpoint."""
        return {"pretrained": False}

    @classmethod
    def unsafe_args(cls, init_args: Mapping[str, Any]) -> dict[str, str]:
        """Return `pretrained` if it is true: a checkpoint has the weights and must not start a download."""
        return {"pretrained": "downloads weights from the hub"} if init_args.get("pretrained") else {}


def _create(model_name: str, pretrained: bool, dropout: float, drop_path: float) -> Any:
    # Imported here: the import takes seconds, and all installed plugins are loaded for every backbone.
    import timm

    if not timm.is_model(model_name):
        close = difflib.get_close_matches(model_name.partition(".")[0], timm.list_models()) or ["resnet18"]
        raise ValueError(f"timm {timm.__version__} has no network {model_name!r}. Did you mean {' or '.join(close)}?")
    # Networks without stochastic depth have no argument drop_path_rate.
    options = {"drop_rate": dropout} | ({"drop_path_rate": drop_path} if drop_path else {})
    try:
        return timm.create_model(model_name, pretrained=pretrained, in_chans=1, num_classes=0, **options)
    except TypeError as error:
        raise ValueError(f"{model_name} does not take all options: {error}") from error
    except (OSError, RuntimeError) as error:
        if not pretrained:
            raise
        raise ValueError(
            f"the pretrained weights of {model_name} cannot be loaded: {str(error).splitlines()[0]} Use "
            "pretrained: false, or run once with a network connection: they are then in the Hugging Face cache."
        ) from error
