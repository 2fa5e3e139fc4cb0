"""The baseline networks have the sizes and layers of their docstrings; tests/testing checks the contract."""

import math

import pytest
import torch
from torch import nn

from lit_genre.backbones.blocks import ConvBlocks, Dropout
from lit_genre.backbones.cnn1d import CNN1DDeep, CNN1DShallow
from lit_genre.backbones.cnn2d import CNN2DDeep, CNN2DShallow
from lit_genre.backbones.crnn import CRNN, CRNNStacked
from lit_genre.backbones.rnn import RNN
from lit_genre.model.backbone import Backbone

BASELINE_NETWORKS = (CNN1DDeep, CNN1DShallow, CNN2DDeep, CNN2DShallow, CRNN, CRNNStacked, RNN)


def size(backbone: Backbone) -> int:
    return sum(parameter.numel() for parameter in backbone.parameters())


def test_number_of_parameters_of_the_crnn_is_that_of_its_source() -> None:
    # By hand: convolutions 128·56·5 and twice 56·56·5, three norms of 2·56, LSTM 4·96·(56+96+2), dense 96·64+64.
    assert size(CRNN((128, 646))) == 35840 + 2 * 15680 + 3 * 112 + 59136 + 6208


@pytest.mark.parametrize(
    ("backbone", "blocks"), [(CNN1DShallow, 2), (CNN2DShallow, 2), (CNN1DDeep, 5), (CNN2DDeep, 5), (CRNNStacked, 4)]
)
def test_depth(backbone: type[Backbone], blocks: int) -> None:
    assert sum(isinstance(layer, nn.Conv2d) for layer in backbone((128, 646)).modules()) == blocks


def test_stacked_lstms_have_dropout_between_them() -> None:
    lstm = CRNNStacked((128, 646), dropout=0.3).lstm
    assert (lstm.num_layers, lstm.dropout) == (2, 0.3)


@pytest.mark.parametrize("backbone", BASELINE_NETWORKS)
@pytest.mark.parametrize("frames", [1, 7, 108])
def test_any_length(backbone: type[Backbone], frames: int) -> None:
    assert backbone((128, 646))(torch.randn(3, 128, frames)).shape == (3, 64)


@pytest.mark.parametrize("backbone", BASELINE_NETWORKS)
@pytest.mark.parametrize("n_mels", [16, 40, 229])
def test_any_number_of_bands(backbone: type[Backbone], n_mels: int) -> None:
    assert backbone((n_mels, 30))(torch.randn(2, n_mels, 30)).shape == (2, 64)


@pytest.mark.parametrize("backbone", [CRNN, CRNNStacked, RNN])
def test_the_order_of_frames_matters_to_recurrent_networks(backbone: type[Backbone]) -> None:
    network, mel = backbone((32, 64)).eval(), torch.randn(2, 32, 64)
    assert not torch.allclose(network(mel), network(mel.flip(-1)), atol=1e-4)


def test_the_bias_of_the_forget_gates_is_1() -> None:
    rnn = RNN((128, 646), lstm_dim=8)
    gates = rnn.lstm.bias_ih_l0.unflatten(0, (4, 8))
    assert [bool((gate == 1).all()) for gate in gates] == [False, True, False, False]


def test_relu_after_the_max_pool_equals_relu_before_it() -> None:
    blocks, maps = ConvBlocks((3, 4), (3, 3), (2, 2), 0.0), torch.randn(2, 3, 9, 11)
    conv, norm, pool, relu, _ = blocks[0]
    torch.testing.assert_close(blocks(maps), pool(relu(norm(conv(maps)).clone())))


class TestDropout:
    def test_the_kept_part_and_its_scale(self) -> None:
        torch.manual_seed(0)
        ones = torch.ones(8, 16, 50, 101)
        dropped = Dropout(0.4)(ones)
        assert set(dropped.unique().tolist()) == {0.0, torch.tensor(1 / 0.6).item()}
        # Five standard deviations of the mean.
        assert abs((dropped > 0).float().mean().item() - 0.6) < 5 * math.sqrt(0.24 / ones.numel())

    def test_neighbouring_values_are_independent(self) -> None:
        torch.manual_seed(0)
        kept = (Dropout(0.5)(torch.ones(400_000)) > 0).float() - 0.5
        for lag in range(1, 9):
            assert abs((kept[lag:] * kept[:-lag]).mean().item()) < 5 * 0.25 / math.sqrt(400_000)

    @pytest.mark.parametrize("p", [0.0, 1.0])
    def test_probabilities_of_0_and_1(self, p: float) -> None:
        assert torch.equal(Dropout(p)(torch.ones(10)), torch.full((10,), 1 - p))

    def test_any_memory_layout(self) -> None:
        for values in (torch.ones(5, 7), torch.ones(5, 7).T, torch.ones(5, 9, 7)[:, -1], torch.ones(1).expand(5, 7)):
            torch.manual_seed(0)
            assert 0.2 < (Dropout(0.5)(values) > 0).float().mean().item() < 0.8

    def test_the_gradient_has_the_mask_of_the_output(self) -> None:
        values = torch.ones(1000, requires_grad=True)
        dropped = Dropout(0.3)(values)
        dropped.sum().backward()
        assert torch.equal(values.grad, dropped.detach())

    def test_the_seed_determines_the_mask_and_evaluation_mode_has_none(self) -> None:
        dropout, values = Dropout(0.3), torch.randn(100)
        first, second = (torch.manual_seed(3) and dropout(values) for _ in range(2))
        assert torch.equal(first, second)
        assert dropout.eval()(values) is values
