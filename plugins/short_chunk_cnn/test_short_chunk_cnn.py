"""ShortChunkRes has the size of the network of Won et al. (2020) and meets the contract of backbones."""

from pathlib import Path

import torch
from lit_genre_short_chunk_cnn import ShortChunkRes
from torch import nn

from lit_genre.testing import check_backbone, check_config

TAGS = 50


def test_contract() -> None:
    check_backbone(ShortChunkRes)


def test_config() -> None:
    # A sixteenth of the channels, for speed.
    check_config(Path(__file__).with_name("short_chunk_cnn.yaml"), "--model.backbone.channels=8")


def test_number_of_parameters_is_that_of_the_paper() -> None:
    backbone = ShortChunkRes((128, 231))
    with_head = nn.Sequential(backbone, nn.Linear(backbone.embedding_dim, TAGS))
    assert round(sum(parameter.numel() for parameter in with_head.parameters()) / 1e6, 1) == 12.1


def test_a_chunk_of_the_paper_gives_two_frames_of_one_band() -> None:
    backbone = ShortChunkRes((128, 231), channels=4)
    assert backbone.blocks(torch.zeros(2, 1, 128, 231)).shape == (2, 16, 1, 2)
