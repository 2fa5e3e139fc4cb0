"""`model.finetune`, learning rates of layers, and gradual unfreezing train what they say, and resume exactly."""

import builtins
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lit_genre import CRNN, GenreClassifier, GradualUnfreezing, LitGenreError, load_model
from lit_genre.model.backbone import Backbone, InputShape
from tests.helpers.runs import QUIET, SMALL, Run


class Stack(Backbone):
    """A map of the bands, then three layers with dropout."""

    def __init__(self, input_shape: InputShape, freeze: bool = True) -> None:
        super().__init__()
        self.freeze = freeze
        self.first = nn.Linear(input_shape[0], 8)
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.5)) for _ in range(3))
        self.embedding_dim = 8
        self.requires_grad_(not freeze)

    def forward(self, mel: Tensor) -> Tensor:
        states = self.first(mel.transpose(1, 2))
        for block in self.blocks:
            states = block(states)
        return states.mean(1)

    def layer_blocks(self) -> nn.ModuleList:
        return self.blocks


STACK = f"--model.backbone={__name__}.Stack"
FIT = ("fit", *SMALL, STACK, QUIET, "--trainer.accelerator=cpu", "--trainer.logger=false")


def model_of(**options: object) -> GenreClassifier:
    return GenreClassifier(Stack, ["Folk", "Rock"], clip_seconds=1, **options)  # type: ignore[arg-type]


def trained_names(model: GenreClassifier) -> set[str]:
    return {name.rpartition(".")[0] for name, p in model.backbone.named_parameters() if p.requires_grad}


@pytest.mark.parametrize(
    ("finetune", "trained", "in_training"),
    [
        (None, set(), {0, 1, 2}),
        ("head", set(), set()),
        ("last:2", {"blocks.1.0", "blocks.2.0"}, {1, 2}),
        ("full", {"first", "blocks.0.0", "blocks.1.0", "blocks.2.0"}, {0, 1, 2}),
    ],
)
def test_only_what_is_named_is_trained(finetune: str | None, trained: set[str], in_training: set[int]) -> None:
    model = model_of(finetune=finetune)
    assert trained_names(model) == trained
    for mode in (model, model.eval().train()):
        # Dropout has no parameters, so its layer decides.
        assert {number for number, block in enumerate(mode.backbone.blocks) if block.training} == in_training
    assert model.backbone.freeze == (finetune in (None, "head"))


@pytest.mark.parametrize(("finetune", "rank"), [("lora", 8), ("lora:3", 3)])
def test_lora_adds_matrices_of_a_rank_and_starts_with_the_same_embedding(finetune: str, rank: int) -> None:
    pytest.importorskip("peft", reason="the package peft is not installed")
    torch.manual_seed(0)
    plain = model_of().eval()
    torch.manual_seed(0)
    model = model_of(finetune=finetune).eval()
    trained = {name: p.shape for name, p in model.backbone.named_parameters() if p.requires_grad}
    assert set(trained.values()) == {(rank, 8), (8, rank)}
    assert len(trained) == 6
    mel = torch.randn(2, *model.input_shape)
    # The second matrix is 0 at the start.
    torch.testing.assert_close(model.backbone(mel), plain.backbone(mel))


def test_a_run_with_lora_is_resumed_exactly_and_restored(run: Run, fma: Path) -> None:
    pytest.importorskip("peft", reason="the package peft is not installed")
    words = (*FIT, f"--data.root={fma}", "--model.finetune=lora:2")
    run(*words, "--trainer.max_epochs=2", "--trainer.default_root_dir=whole")
    run(*words, "--trainer.max_epochs=1", "--trainer.default_root_dir=parts")
    run("fit", "--ckpt_path=parts/checkpoints/last.ckpt", "--trust", "--trainer.max_epochs=2")
    whole, parts = (load_model(f"{name}/checkpoints/last.ckpt", trust=True) for name in ("whole", "parts"))
    states = whole.state_dict(), parts.state_dict()
    assert list(states[0]) == list(states[1])
    assert all(map(torch.equal, states[0].values(), states[1].values()))
    added = [name for name in states[0] if "lora_B" in name]
    assert len(added) == 3
    assert all(states[0][name].abs().sum() > 0 for name in added)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"finetune": "last"}, "finetune is 'last', but must be head, full, last:N, lora or lora:RANK, such as last:2"),
        ({"finetune": "last:4"}, "Stack has 3 layers .*, but 4 are needed"),
        ({"finetune": "lora:0"}, "finetune is 'lora:0', but must be"),
        ({"backbone_lr": 0.0}, "backbone_lr is 0.0 and layer_lr_decay is 1.0, but they must be above 0"),
        ({"layer_lr_decay": 1.5}, "the latter at most 1"),
    ],
)
def test_invalid_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(LitGenreError, match=message):
        model_of(**options)


def test_a_backbone_without_layers_is_refused() -> None:
    for options in ({"finetune": "last:1"}, {"layer_lr_decay": 0.5}):
        with pytest.raises(LitGenreError, match="CRNN has 0 layers"):
            GenreClassifier(CRNN, ["Folk", "Rock"], clip_seconds=1, **options)  # type: ignore[arg-type]


def test_lora_without_peft_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_peft(name: str, *args: object) -> object:
        if name.startswith("peft"):
            raise ImportError(name)
        return real(name, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without_peft)
    with pytest.raises(LitGenreError, match="needs the package peft. Install it: pip install"):
        model_of(finetune="lora")


def test_learning_rates_fall_from_the_head_to_the_first_layer() -> None:
    model = model_of(finetune="full", backbone_lr=0.5, layer_lr_decay=0.1)
    optimizer = model.configure_optimizers()
    assert isinstance(optimizer, torch.optim.Optimizer)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    decays = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    blocks = model.backbone.blocks
    layers = [model.head, blocks[2][0], blocks[1][0], blocks[0][0], model.backbone.first]
    by_layer = [rates[id(layer.weight)] / rates[id(model.head.weight)] for layer in layers]
    assert by_layer == pytest.approx([1, 0.5, 0.05, 0.005, 0.0005])
    assert [rates[id(layer.bias)] for layer in layers] == [rates[id(layer.weight)] for layer in layers]
    assert all(decays[id(layer.weight)] > 0 and decays[id(layer.bias)] == 0 for layer in layers)
    # The rate that is reported is that of the first group.
    assert optimizer.param_groups[0]["lr"] == rates[id(model.head.weight)]
    assert len(rates) == len(list(model.parameters()))


def test_layers_are_unfrozen_one_after_the_other_also_in_a_resumed_run(run: Run, fma: Path) -> None:
    words = (*FIT, f"--data.root={fma}", "--model.finetune=full", "--trainer.callbacks+=lit_genre.GradualUnfreezing")
    run(*words, "--trainer.max_epochs=3", "--trainer.default_root_dir=whole")
    run(*words, "--trainer.max_epochs=1", "--trainer.default_root_dir=parts")
    begin = load_model("parts/checkpoints/last.ckpt", trust=True).state_dict()
    run("fit", "--ckpt_path=parts/checkpoints/last.ckpt", "--trust", "--trainer.max_epochs=3")
    whole, parts = (load_model(f"{name}/checkpoints/last.ckpt", trust=True) for name in ("whole", "parts"))
    end = whole.state_dict()
    assert all(map(torch.equal, end.values(), parts.state_dict().values()))
    changed = {name for name in end if not torch.equal(begin[name], end[name])}
    # After three epochs two layers have been trained; the first epoch trained the head alone.
    assert {name for name in changed if name.startswith("backbone")} == {
        f"backbone.blocks.{number}.0.{part}" for number in (1, 2) for part in ("weight", "bias")
    }


def test_gradual_unfreezing_that_cannot_work_is_refused(run: Run, fma: Path) -> None:
    words = (*FIT, f"--data.root={fma}", "--trainer.max_epochs=1", "--trainer.callbacks+=lit_genre.GradualUnfreezing")
    with pytest.raises(SystemExit, match="finetune is head. Set it to full"):
        run(*words, "--model.finetune=head")
    with pytest.raises(SystemExit, match="CRNN has 0 layers"):
        run(*words, "--model.backbone=CRNN")
    with pytest.raises(LitGenreError, match="epochs is 0, but must be at least 1"):
        GradualUnfreezing(0)
