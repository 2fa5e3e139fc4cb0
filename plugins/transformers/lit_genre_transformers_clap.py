"""CLAP: compare audio with any words, without training."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import torch
from lit_genre_transformers import TransformersBackbone
from torch import Tensor, nn

from lit_genre import GenreClassifier
from lit_genre.errors import LitGenreError
from lit_genre.model.backbone import InputShape

_SECONDS: Final = 10.0
"""Length of CLAP's input, s."""

_PROMPT: Final = "This is {} music."
"""The sentence that is compared with the audio."""


class CLAPAudio(TransformersBackbone):
    """The audio half of CLAP with its projection into the space that audio and text share.

    Args:
        input_shape: (n_samples,), at 48,000 Hz.
        model: Name of a CLAP model on the Hugging Face hub, or its folder.

    Shape:
        - mel: (b, n), samples of full scale 1
        - Output: (b, d), of length 1

    Raises:
        LitGenreError: The model cannot be loaded, or is not a CLAP.

    Reference:
        Y. Wu et al., "Large-scale Contrastive Language-Audio Pretraining with Feature Fusion and Keyword-to-Caption
        Augmentation", ICASSP 2023.
    """

    def __init__(self, input_shape: InputShape, model: str = "laion/larger_clap_music") -> None:
        super().__init__(input_shape, model, freeze=True)
        if self.encoder.config.model_type != "clap_audio_model":
            raise LitGenreError(f"The model {model} is a {type(self.encoder).__name__}, but must be a CLAP.")
        from transformers import ClapAudioModelWithProjection

        self.projection: nn.Module = ClapAudioModelWithProjection.from_pretrained(model).audio_projection
        self.embedding_dim = self.encoder.config.projection_dim
        self.requires_grad_(False)

    def forward(self, mel: Tensor) -> Tensor:
        """Compute embeddings, shape (b, d), of length 1, from waveforms, shape (b, n)."""
        embedding: Tensor = self.projection(super().forward(mel))
        return nn.functional.normalize(embedding, dim=-1)


def zero_shot(classes: Sequence[str], model: str) -> GenreClassifier:
    """Build a classifier whose weights are the embeddings of the names of the classes.

    Args:
        classes: Names, which complete the sentence "This is ... music."
        model: Name of a CLAP model on the Hugging Face hub, or its folder.

    Returns:
        The model, on clips of 10 s at 48,000 Hz; its probabilities are the softmax over the names.

    Raises:
        LitGenreError: The model cannot be loaded, or is not a CLAP.
    """
    classifier = GenreClassifier(
        partial(CLAPAudio, model=model),
        list(classes),
        sample_rate=48000,
        clip_seconds=_SECONDS,
        frontend=nn.Identity,
    )
    texts, scale = _embed_texts([_PROMPT.format(name) for name in classes], model)
    head: Any = classifier.head
    with torch.no_grad():
        head.weight.copy_(scale * texts)
        head.bias.zero_()
    return classifier


def _embed_texts(texts: list[str], model: str) -> tuple[Tensor, Tensor]:
    """Return the embeddings of texts, shape (c, d), of length 1, and the factor of the logits."""
    from transformers import AutoTokenizer, ClapModel

    try:
        clap = ClapModel.from_pretrained(model).eval()
        tokens = AutoTokenizer.from_pretrained(model)(texts, padding=True, return_tensors="pt")
    except (OSError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise LitGenreError(f"The text half of {model} cannot be loaded: {reason}") from error
    with torch.no_grad():
        output = clap.text_model(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"])
        embedding = clap.text_projection(output.pooler_output)
        return nn.functional.normalize(embedding, dim=-1), clap.logit_scale_a.exp()
