import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from lit_genre import GenreClassifier, LitGenreError
from lit_genre.backbones.registry import backbones
from lit_genre.export import TOLERANCES
from lit_genre.export.command import export
from lit_genre.export.to_onnx import run_onnx

Run = Callable[..., None]


def build(name: str) -> GenreClassifier:
    torch.manual_seed(0)
    model = GenreClassifier(backbones()[name].loaded, ["Folk", "Pop", "Rock"], clip_seconds=2)
    return model.eval().requires_grad_(False)


def large_float32(path: Path) -> list[str]:
    """Return the names of the float32 constants of more than 1,024 elements."""
    constants = onnx.load(path).graph.initializer
    return [
        constant.name
        for constant in constants
        if constant.data_type == onnx.TensorProto.FLOAT and np.prod(constant.dims) > 1024
    ]


def test_fewer_bits_make_a_smaller_file_with_nearly_equal_probabilities(tmp_path: Path) -> None:
    model = build("CRNN")
    waveform = torch.rand(3, 2 * model.clip_samples + 5, generator=torch.Generator().manual_seed(1)) - 0.5
    expected = model.predict_with_embedding(waveform)[0].numpy()
    sizes, operators = [], []
    for weights, tolerance in TOLERANCES.items():
        path = tmp_path / f"{weights}.onnx"
        export(model, "onnx", path, songs=[], weights=weights)
        assert run_onnx(path, waveform.numpy()) == pytest.approx(expected, abs=tolerance)
        assert bool(large_float32(path)) == (weights == "float32")
        sizes.append(path.stat().st_size)
        operators = [node.op_type for node in onnx.load(path).graph.node]
    assert sizes[1] < 0.6 * sizes[0]
    assert sizes[2] < 0.9 * sizes[1]
    # The last type is int8. The front-end keeps its inner, outer and mel products, at even and at odd frequencies.
    assert {"ConvInteger", "DynamicQuantizeLSTM"} <= {*operators}
    assert not {"Conv", "LSTM"} & {*operators}
    assert operators.count("MatMul") == 6
    labels = {prop.key: prop.value for prop in onnx.load(tmp_path / "int8.onnx").metadata_props}["labels"]
    assert json.loads(labels) == ["Folk", "Pop", "Rock"]


def test_the_command_prints_the_size_and_refuses_weights_of_another_format(
    run: Run, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("export", "--ckpt_path", trained, "--weights", "float16", "--output", "half.onnx")
    megabytes = Path("half.onnx").stat().st_size / 1e6
    output = "".join(capsys.readouterr())
    assert f"Written: half.onnx ({megabytes:.2f} MB)" in output
    assert "(allowed: 0.01)" in output
    with pytest.raises(SystemExit, match="--weights int8 is for onnx and web, but --format is hub"):
        run("export", "--ckpt_path", trained, "--weights", "int8", "--format", "hub")


def test_a_model_that_is_wrong_in_float16_is_not_written(tmp_path: Path, monkeypatch: Any) -> None:
    model = build("CNN1DShallow")
    # Beyond the range of float16, whose largest number is 65,504.
    model.get_parameter("backbone.blocks.0.0.weight").mul_(1e9)
    with pytest.raises(LitGenreError, match="Nothing was written: the exported model differs"):
        export(model, "onnx", tmp_path / "model.onnx", songs=[], weights="float16")
    assert not list(tmp_path.iterdir())
