"""TransformersBackbone builds encoders of each kind, which these tests write: tiny, with random weights."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
import transformers
import yaml
from lightning.pytorch import Trainer
from lit_genre_transformers import TransformersBackbone
from torch import nn

from lit_genre import GenreClassifier, LitGenreError, write_demo
from lit_genre.__main__ import main
from lit_genre.testing import check_backbone, check_config

CLASSES = ["Folk", "Rock"]
SECOND = (16000,)
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
CONVOLUTIONS = {
    "conv_dim": (8, 8), "conv_stride": (10, 8), "conv_kernel": (10, 8), "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2,
}  # fmt: skip


def wav2vec2(folder: Path) -> None:
    transformers.Wav2Vec2Model(transformers.Wav2Vec2Config(**SIZES, **CONVOLUTIONS)).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(folder)


def hubert(folder: Path) -> None:
    config = transformers.HubertConfig(**SIZES, **CONVOLUTIONS, do_stable_layer_norm=True, feat_extract_norm="layer")
    transformers.HubertModel(config).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(folder)


def ast(folder: Path) -> None:
    config = transformers.ASTConfig(**SIZES, max_length=64, num_mel_bins=32)
    transformers.ASTModel(config).save_pretrained(folder)
    transformers.ASTFeatureExtractor(num_mel_bins=32, max_length=64).save_pretrained(folder)


def whisper(folder: Path) -> None:
    config = transformers.WhisperConfig(
        d_model=16, encoder_layers=2, encoder_attention_heads=2, encoder_ffn_dim=16, decoder_layers=1,
        decoder_attention_heads=2, decoder_ffn_dim=16, num_mel_bins=16, vocab_size=8, max_source_positions=50,
        pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1,
    )  # fmt: skip
    transformers.WhisperModel(config).save_pretrained(folder)
    transformers.WhisperFeatureExtractor(feature_size=16, chunk_length=1).save_pretrained(folder)


@pytest.fixture
def make(tmp_path: Path) -> Callable[[Callable[[Path], None]], str]:
    def make_one(kind: Callable[[Path], None]) -> str:
        folder = tmp_path / kind.__name__
        kind(folder)
        return str(folder)

    return make_one


Make = Callable[[Callable[[Path], None]], str]


@pytest.mark.parametrize("kind", [wav2vec2, hubert, ast, whisper])
@pytest.mark.parametrize("options", [{}, {"freeze": True}, {"freeze": True, "layer_average": False}])
def test_contract(make: Make, kind: Callable[[Path], None], options: dict[str, bool]) -> None:
    check_backbone(partial(TransformersBackbone, model=make(kind), **options), input_shape=SECOND)


def test_config(make: Make) -> None:
    check_config(Path(__file__).with_name("transformers.yaml"), f"--model.backbone.model={make(wav2vec2)}")


@pytest.mark.parametrize("kind", [wav2vec2, ast])
def test_embeddings_equal_those_of_transformers(make: Make, kind: Callable[[Path], None]) -> None:
    folder, waveform = make(kind), 0.3 * torch.randn(2, *SECOND)
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    features = extractor(list(waveform.numpy()), sampling_rate=16000, return_tensors="pt")
    expected = transformers.AutoModel.from_pretrained(folder)(**features).last_hidden_state.mean(1)
    backbone = TransformersBackbone(SECOND, model=folder, layer_average=False).eval()
    torch.testing.assert_close(backbone(waveform), expected, atol=1e-4, rtol=1e-4)


def test_the_padding_of_whisper_is_ignored(make: Make) -> None:
    backbone = TransformersBackbone(SECOND, model=make(whisper), layer_average=False).eval()
    features = backbone.extractor(torch.ones(4000).numpy(), sampling_rate=16000, return_tensors="pt")
    steps = backbone.encoder(features["input_features"]).last_hidden_state
    assert steps.shape[1] == 50
    # A quarter of the length of its input, 1 s: 13 of 50 steps.
    torch.testing.assert_close(backbone(torch.ones(1, 4000)), steps[:, :13].mean(1))


def test_masking_and_layer_drop_are_off(make: Make) -> None:
    for kind in (wav2vec2, whisper):
        config = TransformersBackbone(SECOND, model=make(kind)).encoder.config
        names = ("mask_time_prob", "mask_feature_prob", "layerdrop", "encoder_layerdrop")
        assert not any(getattr(config, name, 0) for name in names)


def test_weights_of_half_precision_are_read(tmp_path: Path) -> None:
    config = transformers.Wav2Vec2Config(**SIZES, **CONVOLUTIONS)
    transformers.Wav2Vec2Model(config).half().save_pretrained(tmp_path)
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(tmp_path)
    check_backbone(partial(TransformersBackbone, model=str(tmp_path)), input_shape=SECOND)


def test_a_resumed_run_needs_neither_folder_nor_hub(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder, data = make(wav2vec2), tmp_path / "data"
    write_demo(data, artists=3, tracks_per_artist=1, seconds=2.0)
    options = [f"--data.root={data}", "--trainer.accelerator=cpu", "--trainer.logger=false"]
    config = Path(__file__).with_name("transformers.yaml")
    main(["fit", "--config", str(config), f"--model.backbone.model={folder}", "--trainer.max_epochs=1", *options])
    shutil.rmtree(folder)
    main(["fit", "--ckpt_path=last", "--trainer.max_epochs=2"])
    (run,) = Path("runs").iterdir()
    assert (run / "metrics.csv").read_text().count("\n") == 3
    # The configuration still has the folder, so that a new run with it begins with the pretrained weights.
    init_args = yaml.safe_load((run / "config.yaml").read_text())["model"]["backbone"]["init_args"]
    assert (init_args["model"], init_args["restored"]) == (folder, None)
    main(["test", "--ckpt_path=last"])


def test_a_frozen_encoder_stays_in_evaluation_mode_and_the_layer_weights_get_a_gradient(make: Make) -> None:
    backbone = TransformersBackbone(SECOND, model=make(wav2vec2), freeze=True).train()
    assert not backbone.encoder.training
    assert [name for name, p in backbone.named_parameters() if p.requires_grad] == ["layer_weights"]
    # The layers have different outputs, so their weights have a gradient.
    backbone.head = nn.Linear(16, 1)
    backbone.head(backbone(torch.randn(2, *SECOND))).sum().backward()
    assert backbone.layer_weights.grad.abs().sum() > 0


def test_a_checkpoint_needs_neither_folder_nor_hub(make: Make, tmp_path: Path) -> None:
    folder = make(ast)
    backbone = partial(TransformersBackbone, model=folder)
    model = GenreClassifier(backbone, CLASSES, sample_rate=16000, clip_seconds=1, frontend=nn.Identity).eval()
    trainer = Trainer(accelerator="cpu", logger=False, default_root_dir=tmp_path, enable_progress_bar=False)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    shutil.rmtree(folder)
    restored = GenreClassifier.load_from_checkpoint(tmp_path / "model.ckpt", map_location="cpu").eval()
    waveform = torch.randn(2, *SECOND)
    torch.testing.assert_close(restored(waveform), model(waveform))


def test_a_model_that_cannot_be_loaded_gives_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ValueError, match="the model absent/absent cannot be loaded: .*Use a folder"):
        TransformersBackbone(SECOND, model="absent/absent")
    with pytest.raises(ValueError, match="cannot be loaded"):
        TransformersBackbone(SECOND, model=str(tmp_path))
    with pytest.raises(ValueError, match="there is no folder ./absent"):
        TransformersBackbone(SECOND, model="./absent")


def test_another_front_end_or_sample_rate_is_an_error(make: Make) -> None:
    backbone = partial(TransformersBackbone, model=make(wav2vec2))
    with pytest.raises(LitGenreError, match="takes a waveform, .*frontend: torch.nn.Identity"):
        GenreClassifier(backbone, CLASSES, sample_rate=16000, clip_seconds=1)
    with pytest.raises(LitGenreError, match="made for 16000 Hz, but sample_rate is 22050"):
        GenreClassifier(backbone, CLASSES, clip_seconds=1, frontend=nn.Identity)
