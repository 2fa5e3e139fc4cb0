import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
import soundfile
import torch
from torch import Tensor

from lit_genre import Backbone, GenreClassifier, LitGenreError, LogMel, load_model
from lit_genre.backbones.registry import backbones
from lit_genre.batch import Task
from lit_genre.export import TOLERANCES
from lit_genre.export.card import _describe_training_data
from lit_genre.export.check import check_probabilities
from lit_genre.export.command import export
from lit_genre.export.to_onnx import run_onnx
from lit_genre.export.to_torch import read_metadata, run_program
from lit_genre.model.backbone import InputShape
from lit_genre.runs.folder import RunFolder
from tests.helpers.audio import tone
from tests.testing.test_contract import SHIPPED

Run = Callable[..., None]
TOLERANCE = TOLERANCES["float32"]
FILES = {"onnx": (".onnx", run_onnx), "torch_export": (".pt2", run_program)}


def model_of(backbone: Any, task: Task = "multiclass", **options: Any) -> GenreClassifier:
    torch.manual_seed(0)
    model = GenreClassifier(backbone, ["Folk", "Pop", "Rock"], task=task, clip_seconds=2, **options)
    return model.eval().requires_grad_(False)


@pytest.mark.parametrize("format", FILES)
@pytest.mark.parametrize("name", SHIPPED)
def test_exported_baselines_have_equal_probabilities_at_any_length_and_batch_size(
    tmp_path: Path, name: str, format: str
) -> None:
    model = model_of(backbones()[name].loaded, mean_normalized_channels=name == "CNN1DAttention")
    suffix, run = FILES[format]
    path = tmp_path / f"model{suffix}"
    export(model, format, path, songs=[])
    for shape in ((1, model.clip_samples), (5, 3 * model.clip_samples + 7)):
        waveform = torch.rand(shape, generator=torch.Generator().manual_seed(1)) - 0.5
        assert run(path, waveform.numpy()) == pytest.approx(
            model.predict_with_embedding(waveform)[0].numpy(), abs=TOLERANCE
        )


class RecurrentNet(Backbone):
    """A plugin with any recurrent layers of torch."""

    def __init__(self, input_shape: InputShape, layers: type[torch.nn.LSTM | torch.nn.GRU], **options: Any) -> None:
        super().__init__()
        self.recurrent = layers(input_shape[0], 6, **options)
        self.embedding_dim = 12 if options.get("bidirectional") else 6

    def forward(self, mel: Tensor) -> Tensor:
        is_first = self.recurrent.batch_first
        states: Tensor = self.recurrent(mel.transpose(1, 2) if is_first else mel.permute(2, 0, 1))[0]
        return states.mean(1 if is_first else 0)


@pytest.mark.parametrize("format", FILES)
@pytest.mark.parametrize(
    "options", [{"num_layers": 2, "bidirectional": True, "batch_first": True}, {"batch_first": False, "bias": False}]
)
@pytest.mark.parametrize("layers", [torch.nn.LSTM, torch.nn.GRU])
def test_recurrent_layers_of_a_plugin_are_exported_whole_with_equal_probabilities(
    tmp_path: Path, layers: Any, options: dict[str, Any], format: str
) -> None:
    suffix, run = FILES[format]
    path = tmp_path / f"model{suffix}"
    model = model_of(partial(RecurrentNet, layers=layers, **options), task="multilabel")
    export(model, format, path, songs=[])
    waveform = torch.rand(2, 2 * model.clip_samples) - 0.5
    probs = run(path, waveform.numpy())
    assert probs == pytest.approx(model.predict_with_embedding(waveform)[0].numpy(), abs=TOLERANCE)
    # One operator for each layer in ONNX, and for all layers in torch: the steps are not unrolled.
    name = layers.__name__
    if format == "onnx":
        operators = [node.op_type for node in onnx.load(path).graph.node]
        assert operators.count(name) == options.get("num_layers", 1)
    else:
        targets = [str(node.target) for node in torch.export.load(path).graph.nodes]
        assert targets.count(f"aten.{name.lower()}.input") == 1
        assert not any("lit_genre" in target for target in targets)


class BlocksNet(Backbone):
    """A backbone with layers to choose from."""

    embedding_dim = 8

    def __init__(self, input_shape: InputShape) -> None:
        super().__init__()
        self.first = torch.nn.Linear(input_shape[0], 8)
        self.blocks = torch.nn.ModuleList(torch.nn.Linear(8, 8) for _ in range(2))

    def layer_blocks(self) -> list[torch.nn.Module]:
        return list(self.blocks)

    def forward(self, mel: Tensor) -> Tensor:
        states: Tensor = self.first(mel.transpose(1, 2))
        for block in self.blocks:
            states = torch.relu(block(states))
        return torch.mean(states, 1)


@pytest.mark.parametrize("format", FILES)
@pytest.mark.parametrize("pooling", [{"layers": "all", "pool": "mean+std"}, {"layers": [1], "pool": "attention"}])
def test_exported_pooled_layers_have_equal_probabilities(tmp_path: Path, pooling: dict[str, Any], format: str) -> None:
    suffix, run = FILES[format]
    # 173 frames, of which five are a segment.
    model = model_of(BlocksNet, frontend=partial(LogMel, hop_length=256), **pooling)
    # It fades in, so that segments differ.
    waveform = (torch.rand(2, 2 * model.clip_samples) - 0.5) * torch.logspace(-4, 0, 2 * model.clip_samples)
    if (query := model.layer_pooling and model.layer_pooling.query) is not None:
        mean = model.predict_with_embedding(waveform)[0]
        torch.nn.init.normal_(query, std=10)
        # Else an exported model with other weights of the segments would pass.
        assert (model.predict_with_embedding(waveform)[0] - mean).abs().max() > 10 * TOLERANCE
    export(model, format, tmp_path / f"model{suffix}", songs=[])
    probs = run(tmp_path / f"model{suffix}", waveform.numpy())
    assert probs == pytest.approx(model.predict_with_embedding(waveform)[0].numpy(), abs=TOLERANCE)


def test_the_onnx_file_has_no_fourier_transform_of_onnx_which_is_slow(tmp_path: Path) -> None:
    export(model_of(backbones()["CNN1DShallow"].loaded), "onnx", tmp_path / "model.onnx", songs=[])
    assert not {"STFT", "DFT"} & {node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node}


class EigenvalueNet(Backbone):
    """A backbone with an operator that ONNX lacks."""

    embedding_dim = 4

    def __init__(self, input_shape: InputShape) -> None:
        super().__init__()
        self.input_shape = input_shape

    def forward(self, mel: Tensor) -> Tensor:
        return torch.linalg.eigvalsh(mel @ mel.transpose(1, 2))[:, -4:]


def test_an_operator_that_onnx_lacks_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(LitGenreError, match="EigenvalueNet cannot be exported because it uses the operator aten.*eigh"):
        export(model_of(EigenvalueNet), "onnx", tmp_path / "model.onnx", songs=[])
    assert not list(tmp_path.iterdir())


class BranchingNet(Backbone):
    """A backbone with a branch that depends on the input, which no graph can represent."""

    embedding_dim = 128

    def __init__(self, input_shape: InputShape) -> None:
        super().__init__()

    def forward(self, mel: Tensor) -> Tensor:
        return mel.mean(2) if mel.mean() > 0 else mel.amax(2)


def test_a_model_that_torch_cannot_capture_raises_an_error(tmp_path: Path) -> None:
    with pytest.raises(LitGenreError, match="BranchingNet cannot be exported.*code that torch cannot capture"):
        export(model_of(BranchingNet), "torch_export", tmp_path / "model.pt2", songs=[])


def test_an_unreadable_song_for_the_comparison_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.mp3").touch()
    with pytest.raises(LitGenreError, match="--check .*empty.mp3: an empty file"):
        export(model_of(backbones()["CNN1DShallow"].loaded), "hub", tmp_path / "hub", [tmp_path / "empty.mp3"])
    assert not (tmp_path / "hub").exists()


def test_an_exported_model_with_other_probabilities_is_refused() -> None:
    model = model_of(partial(backbones()["CNN1DShallow"].loaded))

    def shifted(waveform: Any, by: float = 0.0) -> Any:
        return model.predict_with_embedding(torch.from_numpy(waveform))[0].numpy() + by

    assert check_probabilities(model, shifted, [], TOLERANCE) == 0
    assert check_probabilities(model, partial(shifted, by=2e-4), [], 1e-3) == pytest.approx(2e-4, rel=0.01)
    with pytest.raises(LitGenreError, match="Nothing was written: the exported model differs"):
        check_probabilities(model, partial(shifted, by=2e-4), [], TOLERANCE)
    with pytest.raises(LitGenreError, match="differs"):
        check_probabilities(model, partial(shifted, by=float("nan")), [], TOLERANCE)


def test_the_command_writes_each_format_with_its_metadata(run: Run, trained: Path) -> None:
    soundfile.write("song.wav", tone(440, 0.4), 22050)
    for format in ("onnx", "torch_export"):
        run("export", "--ckpt_path", trained, "--format", format, "--check", "song.wav")
    model = load_model(trained)
    properties = {prop.key: prop.value for prop in onnx.load("CRNN.onnx").metadata_props}
    expected = read_metadata(Path("CRNN.pt2"))
    assert expected["labels"] == json.loads(properties["labels"]) == model.classes
    assert expected["sample_rate"] == int(properties["sample_rate"]) == 22050
    assert expected["clip_samples"] == int(properties["clip_samples"]) == 22050
    assert expected["task"] == properties["task"] == "multiclass"
    onnx.checker.check_model("CRNN.onnx")
    session = onnxruntime.InferenceSession("CRNN.onnx")
    assert session.get_inputs()[0].name == "waveform"
    with pytest.raises(SystemExit, match="CRNN.onnx exists already"):
        run("export", "--ckpt_path", trained)


def test_the_hub_folder_restores_the_same_weights_and_has_a_model_card(run: Run, trained: Path) -> None:
    run("export", "--ckpt_path", trained, "--output", "folder", "--format", "hub", "--license", "cc-by-nc-4.0")
    model, reloaded = load_model(trained), load_model("folder")
    expected, restored = model.state_dict(), reloaded.state_dict()
    assert expected.keys() == restored.keys()
    assert all(expected[name].equal(restored[name]) for name in expected)
    assert reloaded.classes == model.classes
    config = json.loads(Path("folder/config.json").read_text())
    assert config["id2label"]["7"] == "Rock"
    card = Path("folder/README.md").read_text()
    for part in (
        "license: cc-by-nc-4.0",
        "CRNN",
        "synthetic",
        "of 8 tracks of the test split by 8 artists",
        "## Limits",
        "Rock",
    ):
        assert part in card
    run("classify", "--ckpt_path=folder", "folder/../" + str(_song()))


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("lit_genre.FMADataModule", "FMA medium, or data in its layout"),
        ("lit_genre.data.datamodules.fma.FMADataModule", "FMA medium, or data in its layout"),
        ("lit_genre.FolderDataModule", "A collection of the author of the model"),
        ("lit_genre.GTZANDataModule", "Kereliuk"),
        ("my_data.Songs", "Songs."),
    ],
)
def test_the_card_names_the_training_data_of_the_run(tmp_path: Path, module: str, text: str) -> None:
    config = {"data": {"class_path": module, "init_args": {"subset": "medium"}}}
    (tmp_path / "config.yaml").write_text(json.dumps(config))
    assert text in _describe_training_data(RunFolder(tmp_path))


def test_the_card_of_a_probe_names_the_training_data_of_head_and_backbone(tmp_path: Path) -> None:
    folder = {"class_path": "lit_genre.FolderDataModule", "init_args": {"path": "songs"}}
    (tmp_path / "config.yaml").write_text(json.dumps({"data": folder}))
    origin = {"class_path": "lit_genre.FMADataModule", "init_args": {"root": str(tmp_path), "subset": "large"}}
    for backbone_data, expected in (
        (origin, "frozen: FMA large, or data in"),
        (None, "frozen: the pretrained weights of its class"),
    ):
        summary = {"parameters": 1, "regularization": 0.1, "backbone_data": backbone_data}
        (tmp_path / "summary.json").write_text(json.dumps(summary))
        text = _describe_training_data(RunFolder(tmp_path))
        assert text.startswith("The head: A collection of the author of the model")
        assert expected in text


def test_the_card_has_no_scores_of_another_checkpoint(run: Run, trained: Path) -> None:
    run("export", "--ckpt_path", trained.with_name("last.ckpt"), "--output", "folder", "--format", "hub")
    assert "Not known: the run folder contains no test" in Path("folder/README.md").read_text()


def _song() -> Path:
    soundfile.write("song.wav", tone(440, 2), 22050)
    return Path("song.wav")


@pytest.mark.parametrize("format", ["onnx", "torch_export"])
def test_a_model_that_embeds_by_layers_is_exported(tmp_path: Path, format: Any) -> None:
    from tests.probe.test_layer_choice import model_of

    model = model_of(layers="all", pool="mean+std").eval().requires_grad_(False)
    # Raises an error if the probabilities differ from those of the model.
    export(model, format, tmp_path / ("model.onnx" if format == "onnx" else "model.pt2"), songs=[])
    assert len(list(tmp_path.iterdir())) == 1
