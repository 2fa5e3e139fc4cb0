"""DiscogsEffNet meets the contract of backbones, with the spectrogram and the patches of Essentia."""

import copy
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from lit_genre_encoders.discogs_effnet import DiscogsEffNet
from numpy.typing import NDArray
from torch import Tensor, nn

from lit_genre import GenreClassifier, LitGenreError, load_model
from lit_genre.testing import check_backbone

onnx = pytest.importorskip("onnx", reason="the network of the test is written by it: pip install onnx")
pytest.importorskip("onnxruntime", reason="it computes the network: pip install onnxruntime")

SECOND = (16000,)
TOLERANCE = 1e-4
"""Largest difference of an embedding from that of Essentia's spectrogram; the embeddings are about 1."""


def write_network(path: Path, batch: int | str = "batch", output: str = "embeddings", size: int = 1280) -> str:
    """Write a network with the input and the outputs of the published one: the mean over frames, and a linear layer."""
    random = np.random.default_rng(size)
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    weight = (random.standard_normal((96, size)) / 10).astype(np.float32)
    styles = random.standard_normal((size, 4)).astype(np.float32)
    constants = {"axes": np.array([1]), "weight": weight, "styles": styles}
    nodes = [
        helper.make_node("ReduceMean", ["melspectrogram", "axes"], ["mean"], keepdims=0),
        helper.make_node("MatMul", ["mean", "weight"], [output]),
        helper.make_node("MatMul", [output, "styles"], ["activations"]),
    ]
    graph = helper.make_graph(
        nodes,
        "effnet",
        [helper.make_tensor_value_info("melspectrogram", onnx.TensorProto.FLOAT, [batch, 128, 96])],
        [
            helper.make_tensor_value_info("activations", onnx.TensorProto.FLOAT, [batch, 4]),
            helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, [batch, size]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return str(path)


@pytest.fixture
def weights(tmp_path: Path) -> str:
    return write_network(tmp_path / "effnet.onnx")


def run_network(weights: str, frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean embedding of the patches of a spectrogram, shape (frames, 96)."""
    import onnxruntime

    patches = np.stack([frames[start : start + 128] for start in range(0, len(frames) - 127, 62)])
    session = onnxruntime.InferenceSession(weights, providers=["CPUExecutionProvider"])
    mean: NDArray[np.float32] = session.run(["embeddings"], {"melspectrogram": patches})[0].mean(0)
    return mean


def signal(n_samples: int) -> Tensor:
    """Return a tone with noise of rising level, shape (1, n)."""
    time = torch.arange(n_samples) / 16000
    noise = torch.randn(n_samples, generator=torch.Generator().manual_seed(0))
    return (0.3 * (2 * torch.pi * 440 * time).sin() + 0.05 * time * noise)[None]


def test_contract(weights: str) -> None:
    check_backbone(partial(DiscogsEffNet, weights=weights), input_shape=SECOND)
    check_backbone(DiscogsEffNet(SECOND, weights), input_shape=SECOND)


# The patches of the longest are more than a batch of ONNX Runtime.
@pytest.mark.parametrize("n_samples", [80000, 80077, 80640, 75 * 16000])
def test_embeddings_equal_those_of_the_spectrogram_of_librosa(weights: str, n_samples: int) -> None:
    import librosa
    from scipy.signal.windows import hann

    waveform = signal(n_samples)
    # Essentia's last frame is centred at the end or after it.
    padded = np.pad(waveform[0].numpy(), (0, -n_samples % 256))
    power = librosa.feature.melspectrogram(
        y=padded, sr=16000, n_fft=512, hop_length=256, n_mels=96, window=hann(512, sym=True)
    )
    expected = run_network(weights, np.log10(1 + 10000 * power.T).astype(np.float32))
    embedding = DiscogsEffNet(SECOND, weights)(waveform)[0].numpy()
    assert np.abs(expected).max() > 0.5
    assert embedding == pytest.approx(expected, abs=TOLERANCE)


@pytest.mark.parametrize("n_samples", [40000, 80077])
def test_embeddings_equal_those_of_the_spectrogram_of_essentia(weights: str, n_samples: int) -> None:
    essentia = pytest.importorskip("essentia", reason="it is compared with: pip install essentia")
    from essentia import streaming

    waveform = signal(n_samples)
    source, pool = streaming.VectorInput(waveform[0].numpy()), essentia.Pool()
    cutter, bands = streaming.FrameCutter(frameSize=512, hopSize=256), streaming.TensorflowInputMusiCNN()
    source.data >> cutter.signal
    cutter.frame >> bands.frame
    bands.bands >> (pool, "bands")
    essentia.run(source)
    expected = run_network(weights, pool["bands"])
    embedding = DiscogsEffNet(SECOND, weights)(waveform)[0].numpy()
    assert embedding == pytest.approx(expected, abs=TOLERANCE)


def test_a_patch_begins_every_62_frames(weights: str) -> None:
    backbone = DiscogsEffNet(SECOND, weights)
    for seconds, patches in ((0.1, 1), (2, 1), (3.1, 2), (30, 29)):
        assert backbone.encode(torch.zeros(2, int(16000 * seconds))).shape == (2, patches, 1280)


def test_silence_after_a_short_clip_does_not_matter(weights: str) -> None:
    backbone = DiscogsEffNet(SECOND, weights)
    clip = signal(8000)
    longer = torch.cat([clip, torch.zeros(1, 2 * 16000 - 8000)], -1)
    torch.testing.assert_close(backbone(clip), backbone(longer))


def test_the_embedding_has_the_dtype_of_the_model(weights: str) -> None:
    backbone = DiscogsEffNet(SECOND, weights).to(torch.bfloat16)
    waveform = signal(40000).to(torch.bfloat16)
    embedding = backbone(waveform)
    assert embedding.dtype == torch.bfloat16
    # The spectrogram is computed in float32 all the same.
    expected = DiscogsEffNet(SECOND, weights)(waveform.float())
    assert torch.equal(embedding, expected.to(torch.bfloat16))


def test_a_checkpoint_needs_no_file(weights: str, tmp_path: Path) -> None:
    factory = partial(DiscogsEffNet, weights=weights)
    model = GenreClassifier(factory, ["Folk", "Rock"], sample_rate=16000, clip_seconds=3, frontend=nn.Identity).eval()
    trainer = Trainer(accelerator="cpu", logger=False, default_root_dir=tmp_path, enable_progress_bar=False)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    waveform, expected = signal(3 * 16000), model(signal(3 * 16000))
    Path(weights).unlink()
    restored = load_model(tmp_path / "model.ckpt")
    assert torch.equal(restored(waveform), expected)
    assert restored.backbone.restore_args() == {"weights": None}


def test_another_network_is_loaded_into_one_that_was_used(weights: str, tmp_path: Path) -> None:
    backbone, waveform = DiscogsEffNet(SECOND, weights), signal(40000)
    first = backbone(waveform)
    second = copy.deepcopy(backbone)
    network = onnx.load(weights)
    network.graph.initializer[1].CopyFrom(onnx.numpy_helper.from_array(np.ones((96, 1280), np.float32), "weight"))
    network.doc_string = "a file of another size"
    onnx.save(network, tmp_path / "other.onnx")
    backbone.load_state_dict(DiscogsEffNet(SECOND, str(tmp_path / "other.onnx")).state_dict())
    assert not torch.allclose(backbone(waveform), first)
    assert torch.equal(second(waveform), first)


def test_the_meta_device_computes_shapes_without_a_file() -> None:
    with torch.device("meta"):
        backbone = DiscogsEffNet(SECOND)
        assert backbone(torch.empty(2, *SECOND)).shape == (2, 1280)


def test_errors_name_the_remedy(weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LitGenreError, match="cannot be trained.*Set freeze to true"):
        DiscogsEffNet(SECOND, weights, freeze=False)
    with pytest.raises(LitGenreError, match="no network.*Set weights to discogs-effnet-bsdynamic-1"):
        DiscogsEffNet(SECOND, None)(torch.zeros(1, *SECOND))
    with pytest.raises(LitGenreError, match="There is no file of weights absent.onnx. Set weights to"):
        DiscogsEffNet(SECOND, "absent.onnx")
    (tmp_path / "damaged.onnx").write_bytes(b"damaged")
    with pytest.raises(LitGenreError, match="cannot be read.*Download discogs-effnet-bsdynamic-1 again"):
        DiscogsEffNet(SECOND, str(tmp_path / "damaged.onnx"))
    others: list[dict[str, Any]] = [{"batch": 64}, {"output": "features"}, {"size": 512}]
    for number, options in enumerate(others):
        path = write_network(tmp_path / f"{number}.onnx", **options)
        with pytest.raises(LitGenreError, match=r"are of another network.*Use discogs-effnet-bsdynamic-1\.onnx"):
            DiscogsEffNet(SECOND, path)

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        raise ImportError(f"No module named {name}")

    monkeypatch.setattr("lit_genre_encoders.discogs_effnet.import_module", refuse)
    with pytest.raises(LitGenreError, match="onnxruntime cannot be imported.*pip install onnxruntime"):
        DiscogsEffNet(SECOND, weights)


def test_an_export_is_refused_with_the_reason(weights: str) -> None:
    from lit_genre.export.program import capture_graph

    factory = partial(DiscogsEffNet, weights=weights)
    model = GenreClassifier(factory, ["Folk", "Rock"], sample_rate=16000, clip_seconds=3, frontend=nn.Identity).eval()
    with pytest.raises(LitGenreError, match="DiscogsEffNet cannot be exported"):
        capture_graph(model, model.frontend, copy.copy(torch.no_grad()))
