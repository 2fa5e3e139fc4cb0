"""Choose what of a backbone is trained, and the learning rates of its layers."""

import re
from typing import Any, Final

from torch import nn

from lit_genre.errors import LitGenreError
from lit_genre.model.backbone import Backbone

_WORDS: Final = re.compile(r"head|full|last:([1-9]\d{0,2})|lora(?::([1-9]\d{0,2}))?")

_LORA_RANK: Final = 8
"""Rank of the matrices of LoRA, the default of peft."""


def select_trained(backbone: Backbone, finetune: str) -> None:
    """Freeze the parameters of a backbone that are not to be trained.

    Args:
        backbone: The backbone; LoRA adds matrices to its layers.
        finetune: "head" to train nothing of it, "full" to train all, "last:2" to train the last two layers, "lora" or
            "lora:16" to train matrices of low rank that are added to the linear maps of all layers.

    Raises:
        LitGenreError: It is none of these, the backbone has too few layers, or the package peft is not installed.

    Reference:
        E. J. Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022.
    """
    match = check_finetune(finetune)
    n_last, rank = match.groups()
    # Plugins have this option of their own, and leave out gradients if it is set.
    if hasattr(backbone, "freeze"):
        setattr(backbone, "freeze", finetune == "head")  # noqa: B010, a type checker does not know the attribute
    backbone.requires_grad_(finetune == "full")
    if n_last:
        for block in layers_of(backbone, int(n_last))[-int(n_last) :]:
            block.requires_grad_(True)
    elif finetune.startswith("lora"):
        _add_lora(backbone, int(rank or _LORA_RANK))


def check_finetune(finetune: str) -> re.Match[str]:
    """Check the value of `model.finetune`.

    Args:
        finetune: The value.

    Returns:
        The match, with the number of layers and the rank as groups.

    Raises:
        LitGenreError: It is invalid.
    """
    if match := _WORDS.fullmatch(finetune):
        return match
    raise LitGenreError(f"finetune is {finetune!r}, but must be head, full, last:N, lora or lora:RANK, such as last:2.")


def set_frozen_to_eval(backbone: Backbone) -> None:
    """Put the parts without trained parameters into evaluation mode: no dropout, and running statistics stay.

    Args:
        backbone: The backbone, in training mode.
    """
    for module in backbone.modules():
        parameters = list(module.parameters())
        if parameters and not any(parameter.requires_grad for parameter in parameters):
            module.eval()


def rate_factors(backbone: Backbone, backbone_lr: float, layer_lr_decay: float) -> dict[int, float]:
    """Return the factor of the learning rate of each parameter of a backbone.

    Args:
        backbone: The backbone.
        backbone_lr: Factor of the last layer.
        layer_lr_decay: Factor from each layer to the one before. Parts outside the layers, such as the first
            convolutions, have that of a layer before the first.

    Returns:
        Factor by the id of the parameter; empty if both factors are 1.

    Raises:
        LitGenreError: A factor is out of range, or the backbone has no layers to decay over.

    Reference:
        J. Howard and S. Ruder, "Universal Language Model Fine-tuning for Text Classification", ACL 2018.
    """
    if not backbone_lr > 0 or not 0 < layer_lr_decay <= 1:
        raise LitGenreError(
            f"backbone_lr is {backbone_lr} and layer_lr_decay is {layer_lr_decay}, but they must be above 0, and the "
            "latter at most 1."
        )
    if backbone_lr == layer_lr_decay == 1:
        return {}
    blocks = layers_of(backbone, 1) if layer_lr_decay < 1 else []
    outside = backbone_lr * layer_lr_decay ** len(blocks)
    factors = {id(parameter): outside for parameter in backbone.parameters()}
    for depth, block in enumerate(reversed(blocks)):
        factors |= {id(parameter): backbone_lr * layer_lr_decay**depth for parameter in block.parameters()}
    return factors


def layers_of(backbone: Backbone, n_least: int) -> list[nn.Module]:
    """Return the layers of a backbone.

    Args:
        backbone: The backbone.
        n_least: Number of layers that are needed.

    Returns:
        The layers, first to last.

    Raises:
        LitGenreError: The backbone has fewer.
    """
    blocks = list(backbone.layer_blocks())
    if len(blocks) < n_least:
        raise LitGenreError(
            f"{type(backbone).__name__} has {len(blocks)} layers (layer_blocks), but {n_least} are needed for "
            "finetune, layer_lr_decay or GradualUnfreezing."
        )
    return blocks


def _add_lora(backbone: Backbone, rank: int) -> None:
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise LitGenreError("finetune: lora needs the package peft. Install it: pip install peft") from error

    inside = {id(module) for block in layers_of(backbone, 1) for module in block.modules()}
    names = [
        name for name, module in backbone.named_modules() if isinstance(module, nn.Linear) and id(module) in inside
    ]
    if not names:
        raise LitGenreError(
            f"{type(backbone).__name__} has no linear maps in its layers, to which LoRA could be added. Use "
            "finetune: last:N."
        )
    config: Any = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=names)
    # It freezes all but its own matrices.
    inject_adapter_in_model(config, backbone)
