import pytest
import torch

from lit_genre.backbones.crnn import CRNN


def test_size_is_the_sources() -> None:
    # By hand: convolutions 128·56·5+56 and twice 56·56·5+56, three norms of 2·56, LSTM 4·96·(56+96+2), dense 96·64+64.
    expected = (35840 + 56) + 2 * (15680 + 56) + 3 * 112 + 59136 + 6208
    assert sum(parameter.numel() for parameter in CRNN((128, 646)).parameters()) == expected


@pytest.mark.parametrize("frames", [1, 7, 108, 646])
def test_any_length(frames: int) -> None:
    assert CRNN((128, 646))(torch.randn(3, 128, frames)).shape == (3, 64)


def test_every_parameter_learns() -> None:
    backbone = CRNN((32, 64), filters=8, lstm_dim=8)
    backbone(torch.randn(4, 32, 64)).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in backbone.parameters())


def test_order_in_time_matters() -> None:
    backbone, mel = CRNN((32, 64)).eval(), torch.randn(2, 32, 64)
    assert not torch.allclose(backbone(mel), backbone(mel.flip(-1)), atol=1e-4)


def test_items_of_a_batch_do_not_touch_each_other() -> None:
    backbone, mel = CRNN((32, 64)).eval(), torch.randn(4, 32, 64)
    torch.testing.assert_close(backbone(mel)[1:2], backbone(mel[1:2]), atol=1e-5, rtol=1e-4)
