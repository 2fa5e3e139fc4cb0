"""The backbones of this package meet the contract; each way of breaking it gives an error with the reason."""

import subprocess
import sys
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from lit_genre.backbones.registry import backbones
from lit_genre.model.backbone import Backbone, InputShape
from lit_genre.testing import check_backbone

SHIPPED = ("CNN1DAttention", "CNN1DDeep", "CNN1DShallow", "CNN2DDeep", "CNN2DShallow", "CRNN", "CRNNStacked", "RNN")


@pytest.mark.parametrize("name", SHIPPED)
def test_the_backbones_of_this_package_meet_the_contract(name: str) -> None:
    backbone = backbones()[name].loaded
    assert backbone is not None
    check_backbone(backbone)


class Good(Backbone):
    """A linear map of the mean over time."""

    def __init__(self, input_shape: InputShape, embedding_dim: int = 8) -> None:
        super().__init__()
        self.embedding_dim = embedding_dim
        self.linear = nn.Linear(input_shape[0], embedding_dim)

    def forward(self, mel: Tensor) -> Tensor:
        return self.linear(mel.mean(-1))


class GoodOnWaveforms(Good):
    takes = "waveform"

    def forward(self, mel: Tensor) -> Tensor:
        return self.linear(mel.reshape(len(mel), -1, 3).mean(1))

    def __init__(self, input_shape: InputShape) -> None:
        super().__init__((3,))


def test_a_class_a_partial_and_an_object_can_be_checked() -> None:
    check_backbone(Good)
    check_backbone(partial(Good, embedding_dim=3))
    check_backbone(Good((128, 130)))
    check_backbone(Good, input_shape=(40, 50))
    check_backbone(GoodOnWaveforms)


def test_a_checked_object_is_not_changed() -> None:
    backbone = Good((128, 130)).train()
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    random_before = torch.random.get_rng_state()
    check_backbone(backbone)
    assert backbone.training
    assert all(parameter.grad is None for parameter in backbone.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in backbone.state_dict().items())
    assert torch.equal(random_before, torch.random.get_rng_state())


class NoDefault(Good):
    def __init__(self, input_shape: InputShape, width: int) -> None:
        super().__init__(input_shape, width)


class TakesNothing(Good):
    takes = "spectrum"


class NoShape(Good):
    def __init__(self) -> None:
        super().__init__((3,))


class OddRate(Good):
    sample_rate = "16 kHz"


class RestoredOtherwise(Good):
    def restore_args(self) -> dict[str, object]:
        return {"width": 3}


class RestoredByAnObject(Good):
    def restore_args(self) -> dict[str, object]:
        return {"embedding_dim": torch.tensor(8)}


class PositionsOfOneLength(Good):
    def __init__(self, input_shape: InputShape) -> None:
        super().__init__(input_shape)
        self.positions = nn.Parameter(torch.zeros(input_shape))

    def forward(self, mel: Tensor) -> Tensor:
        return super().forward(mel + self.positions[:, : mel.shape[-1]])


class NotPlain(Good):
    def __init__(self, input_shape: InputShape, norm: type = nn.BatchNorm1d) -> None:
        super().__init__(input_shape)


class NoEmbeddingDim(Backbone):
    def __init__(self, input_shape: InputShape) -> None:
        super().__init__()

    def forward(self, mel: Tensor) -> Tensor:
        return mel.mean(-1)


class NoForward(Backbone):
    def __init__(self, input_shape: InputShape) -> None:
        super().__init__()
        self.embedding_dim = 1


class FixedLength(Good):
    def __init__(self, input_shape: InputShape) -> None:
        super().__init__(input_shape)
        self.linear = nn.Linear(input_shape[0] * input_shape[1], 8)

    def forward(self, mel: Tensor) -> Tensor:
        return self.linear(mel.flatten(1))


class NotPooled(Good):
    def forward(self, mel: Tensor) -> Tensor:
        return self.linear(mel.transpose(1, 2))


class ChangesInput(Good):
    def forward(self, mel: Tensor) -> Tensor:
        return super().forward(mel.clamp_(min=0))


class NaNOnSilence(Good):
    def forward(self, mel: Tensor) -> Tensor:
        return super().forward(mel / mel.std((1, 2), keepdim=True))


class Unused(Good):
    def __init__(self, input_shape: InputShape) -> None:
        super().__init__(input_shape)
        self.spare = nn.Linear(3, 4)


class Detached(Good):
    def forward(self, mel: Tensor) -> Tensor:
        return super().forward(mel).detach()


class Randomised(Good):
    def forward(self, mel: Tensor) -> Tensor:
        return torch.dropout(super().forward(mel), 0.5, True)


class OverTheBatch(Good):
    def forward(self, mel: Tensor) -> Tensor:
        return super().forward(mel - mel.mean(0, keepdim=True))


class Unpicklable(Good):
    def __init__(self, input_shape: InputShape) -> None:
        super().__init__(input_shape)
        self.activation = lambda embedding: embedding.relu()


class OnTheCPU(Good):
    def forward(self, mel: Tensor) -> Tensor:
        return super().forward(mel) + torch.ones(len(mel), 1)


class Float32Only(Good):
    def forward(self, mel: Tensor) -> Tensor:
        embedding = super().forward(mel)
        return embedding @ torch.eye(8, device=mel.device).to(torch.float64).to(mel.dtype).matmul(
            torch.eye(8, device=mel.device, dtype=torch.float32 if embedding.dtype == torch.float32 else torch.int32)
        )


class HiddenState(Good):
    def __init__(self, input_shape: InputShape) -> None:
        super().__init__(input_shape)
        self.scale = float(torch.rand(()))

    def forward(self, mel: Tensor) -> Tensor:
        return super().forward(mel) * self.scale


class LateParameters(Good):
    def __init__(self, input_shape: InputShape) -> None:
        super().__init__(input_shape)
        self.late = nn.ModuleList()

    def forward(self, mel: Tensor) -> Tensor:
        if not self.late:
            self.late.append(nn.Linear(8, 8, device=mel.device))
        return self.late[0](super().forward(mel))


class OtherWhenTraced(Good):
    def forward(self, mel: Tensor) -> Tensor:
        return super().forward(mel) * (2 if torch.compiler.is_compiling() else 1)


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        (NoDefault, "needs a default for its argument width: only input_shape is passed"),
        (TakesNothing, "TakesNothing.takes is 'spectrum'"),
        (NoShape, "takes no argument, but is given the shape"),
        (OddRate, "sample_rate is '16 kHz'"),
        (RestoredOtherwise, "unexpected keyword argument 'width'"),
        (RestoredByAnObject, "restore_args gives"),
        (PositionsOfOneLength, "fails on a batch of (2, 128, 260)"),
        (NotPlain, "must be plain data"),
        (NoEmbeddingDim, "has no embedding_dim"),
        (NoForward, "has no forward"),
        (nn.Linear, "Linear is not a subclass of lit_genre.Backbone"),
        (FixedLength, "FixedLength fails on a batch of (2, 128, 78)"),
        (NotPooled, "must give (2, 8), one embedding"),
        (ChangesInput, "ChangesInput changes its input"),
        (NaNOnSilence, "NaN or infinity in training on silence"),
        (Unused, "without a gradient: spare.weight, spare.bias"),
        (Detached, "detaches its output from the parameters"),
        (Randomised, "gives another embedding each time in eval"),
        (OverTheBatch, "when it is alone than in a batch"),
        (Unpicklable, "keep no lambda"),
        (OnTheCPU, "does not move to another device as a whole"),
        (Float32Only, "fails under bfloat16 autocast"),
        (HiddenState, "make each tensor that it uses a Parameter or a registered buffer"),
        (LateParameters, "let the constructor make all parameters"),
        (OtherWhenTraced, "gives another embedding under torch.compile"),
    ],
)
def test_each_violation_gives_its_message(backbone: type, message: str) -> None:
    with pytest.raises(AssertionError) as caught:
        check_backbone(backbone)
    assert message in str(caught.value)


def test_the_import_needs_no_package_that_only_training_needs() -> None:
    script = "import lit_genre.testing, sys; print([m for m in ('lightning', 'wandb', 'pandas') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
