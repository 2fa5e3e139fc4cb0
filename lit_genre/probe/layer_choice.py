"""Choose the layers of a frozen backbone: the one whose head has the best score of the validation tracks."""

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from lit_genre.console import console
from lit_genre.data.metadata.track import Split
from lit_genre.errors import LitGenreError
from lit_genre.model.classifier import GenreClassifier
from lit_genre.model.layer_pooling import Layers, Pool, chosen_layers, pooled_size
from lit_genre.probe import AskedLayers
from lit_genre.probe.embeddings import ClipEmbeddings
from lit_genre.probe.head import FittedHead
from lit_genre.probe.weighted_average import fit_weighted_average

Clips = Mapping[Split, ClipEmbeddings]
"""Clips of each split."""

Fit = Callable[[ClipEmbeddings, ClipEmbeddings | None], Any]
"""Fits a head to training clips, and selects it on validation clips; returns a FittedHead or FittedNeighbors."""


class Choice(NamedTuple):
    """The chosen layers and their head.

    Attributes:
        layers: Numbers of the chosen layers; None for the backbone's own embedding.
        fitted: The head.
        clips: Clips of each split, with the embeddings that the head takes.
        table: Columns layer, setting and val_score: the best head of each layer. Empty without a choice.
    """

    layers: Layers | None
    fitted: Any
    clips: Clips
    table: pd.DataFrame


def layers_to_try(model: GenreClassifier, asked: AskedLayers | None, pool: Pool) -> AskedLayers | None:
    """Check the layers that the user asks for.

    Args:
        model: The model.
        asked: Numbers of layers to choose from, "all", "weighted", or None.
        pool: How states are pooled over time; another one than "mean" needs a layer.

    Returns:
        Numbers of layers or "weighted"; None for the embedding that the model computes.

    Raises:
        LitGenreError: The backbone has no such layers; with "all", one without layers is accepted.
    """
    if asked is None and pool == "mean":
        return None
    if asked is None:
        (last,) = chosen_layers(model.backbone, "all")[-1:]
        if pool == "attention" and model.layer_shapes()[last][0] == 1:
            console.print(
                f"Layer {last}, the last of {type(model.backbone).__name__}, has one step in a clip, so attention "
                f"equals the mean. Name an earlier layer, such as --layers {last - 1}."
            )
        return [last]
    if asked == "all" and not model.backbone.layer_blocks():
        console.print(f"{type(model.backbone).__name__} has no layers to choose from: its own embedding is used.")
        return None
    layers = chosen_layers(model.backbone, "all" if asked == "weighted" else asked)
    return "weighted" if asked == "weighted" else layers


def layers_to_embed(model: GenreClassifier, layers: AskedLayers | None, pool: Pool) -> list[int]:
    """Return the layers that a clip is embedded by.

    Args:
        model: The model.
        layers: Numbers of layers or "weighted"; None for the embedding that the model computes.
        pool: How states are pooled over time.

    Returns:
        All layers, so that another choice embeds nothing again. With "attention" only those to try, because a clip then
        has dozens of vectors of each layer.
    """
    if layers is None:
        return []
    return layers if pool == "attention" and isinstance(layers, list) else chosen_layers(model.backbone, "all")


def choose_layers(fit: Fit, clips: Clips, layers: AskedLayers | None, pool: Pool, model: GenreClassifier) -> Choice:
    """Fit a head to each of some layers, and choose the one with the best score of the validation tracks.

    Args:
        fit: Fits a head to clips.
        clips: Clips of each split; if there are layers, with the embeddings by `layers_to_embed` joined.
        layers: Numbers of layers; "weighted" to train weights of all layers together with a logistic regression; None
            for the only embedding that the clips have.
        pool: How states are pooled over time; with "attention", `fit` is not used, for the query is trained together
            with a logistic regression.
        model: The model, whose backbone has the layers.

    Returns:
        The choice.

    Raises:
        LitGenreError: There are several layers, but no validation tracks; or layers to be averaged have several sizes.
    """
    if layers is None:
        return Choice(None, fit(*_train_and_val(clips)), clips, pd.DataFrame())
    shapes = model.layer_shapes()
    if layers == "weighted":
        return _weigh_layers(clips, [size * len(pool.split("+")) for _, size in shapes])
    assert isinstance(layers, list)
    if len(layers) > 1 and "val" not in clips:
        raise LitGenreError(
            f"The val split has no tracks, on which one of the layers {', '.join(map(str, layers))} could be chosen. "
            "Name one layer, such as --layers 7."
        )
    embedded = layers_to_embed(model, layers, pool)
    ends = list(accumulate(pooled_size(shapes[layer], pool) for layer in embedded))
    starts = [0, *ends[:-1]]
    choices, rows = [], []
    for layer in layers:
        columns = slice(starts[embedded.index(layer)], ends[embedded.index(layer)])
        of_layer = {split: _columns(split_clips, columns) for split, split_clips in clips.items()}
        if pool == "attention":
            choice = _average(of_layer, fit_weighted_average(*_train_and_val(of_layer), shapes[layer][1], True))
        else:
            choice = Choice(None, fit(*_train_and_val(of_layer)), of_layer, pd.DataFrame())
        choices.append(choice._replace(layers=[layer]))
        rows.append((layer, choice.fitted.setting, choice.fitted.val_score))
    best = max(choices, key=lambda choice: choice.fitted.val_score)
    return best._replace(table=pd.DataFrame(rows, columns=["layer", "setting", "val_score"]))


def _weigh_layers(clips: Clips, sizes: Sequence[int]) -> Choice:
    if len(set(sizes)) > 1:
        raise LitGenreError(
            f"Layers of several sizes ({', '.join(map(str, sizes))}) cannot be averaged. Use --layers all, which "
            "chooses one of them."
        )
    choice = _average(clips, fit_weighted_average(*_train_and_val(clips), sizes[0]))
    weights = choice.fitted.classifier.parameter.softmax(0).tolist()
    return choice._replace(layers="all", table=pd.DataFrame({"layer": range(len(sizes)), "weight": weights}))


def _average(clips: Clips, fitted: FittedHead) -> Choice:
    """Replace the vectors of each clip by the average that a head was trained on."""
    averaged = {
        split: split_clips._replace(embedding=fitted.classifier.average(split_clips.embedding))
        for split, split_clips in clips.items()
    }
    return Choice(None, fitted, averaged, pd.DataFrame())


def _train_and_val(clips: Clips) -> tuple[ClipEmbeddings, ClipEmbeddings | None]:
    return clips["train"], clips.get("val")


def _columns(clips: ClipEmbeddings, columns: slice) -> ClipEmbeddings:
    return clips._replace(embedding=clips.embedding[:, columns].astype(np.float32))
