"""MyNet meets the contract of backbones, and has the embedding size that it is given."""

import torch
from my_net import MyNet

from lit_genre.testing import check_backbone


def test_contract() -> None:
    check_backbone(MyNet)


def test_size_of_the_embedding() -> None:
    assert MyNet((128, 646), embedding_dim=10)(torch.zeros(2, 128, 50)).shape == (2, 10)
