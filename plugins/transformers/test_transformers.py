"""TransformersBackbone builds encoders of each kind, which these tests write: tiny, with random weights."""

import json
import pickle
import shutil
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
import yaml
from lightning.pytorch import Trainer
from lit_genre_transformers import MAESTSpectrogram, TransformersBackbone
from torch import Tensor, nn

from lit_genre import GenreClassifier, LitGenreError, load_model, write_demo
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


def wavlm(folder: Path) -> None:
    transformers.WavLMModel(transformers.WavLMConfig(**SIZES, **CONVOLUTIONS)).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(folder)


def data2vec(folder: Path) -> None:
    # Its five convolutions for the position are more equal blocks than its two layers.
    config = transformers.Data2VecAudioConfig(**SIZES, **{**CONVOLUTIONS, "num_conv_pos_embeddings": 5})
    transformers.Data2VecAudioModel(config).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(folder)


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


def clap(folder: Path, fused: bool = False) -> None:
    audio = {
        "window_size": 2, "num_mel_bins": 8, "spec_size": 32, "patch_size": 4, "patch_stride": [4, 4],
        "hidden_size": 16, "depths": [2, 2], "num_attention_heads": [2, 2], "patch_embeds_hidden_size": 8,
        "num_hidden_layers": 2, "enable_fusion": fused, "fusion_type": "aff_2d" if fused else None,
    }  # fmt: skip
    text = {**SIZES, "vocab_size": 8, "max_position_embeddings": 8, "pad_token_id": 1}
    config = transformers.ClapConfig(text_config=text, audio_config=audio, projection_dim=8)
    transformers.ClapModel(config).save_pretrained(folder)
    transformers.ClapFeatureExtractor(
        feature_size=8, sampling_rate=16000, hop_length=160, max_length_s=1, fft_window_size=256,
        frequency_max=8000, truncation="fusion" if fused else "rand_trunc",
    ).save_pretrained(folder)  # fmt: skip


def clap_fused(folder: Path) -> None:
    clap(folder, fused=True)


# A model with code of its own that returns no hidden_states, as MERT-v1 under transformers 5.
OWN_CONFIG = """
    from transformers import HubertConfig

    class OwnConfig(HubertConfig):
        model_type = "own_model"
"""
OWN_MODEL = """
    from transformers import HubertModel
    from transformers.modeling_outputs import BaseModelOutput

    from .configuration_own import OwnConfig

    class OwnModel(HubertModel):
        config_class = OwnConfig

        def forward(self, input_values):
            states = self.feature_projection(self.feature_extractor(input_values).transpose(1, 2))
            return BaseModelOutput(last_hidden_state=self.encoder(states, attention_mask=None)[0])
"""

# With the spectrogram of MAEST, computed another way than by MAESTSpectrogram: by librosa.
OWN_EXTRACTOR = """
    import librosa
    import numpy as np
    import torch
    from transformers import BatchFeature, SequenceFeatureExtractor

    class OwnFeatureExtractor(SequenceFeatureExtractor):
        model_input_names = ["input_values"]

        def __init__(self, feature_size=1, sampling_rate=16000, padding_value=0.0, num_mel_bins=32, max_length=64,
                     n_fft=512, hop_length=256, mean=2.0, std=1.5, do_normalize=True, factor=10000, **kwargs):
            super().__init__(feature_size, sampling_rate, padding_value, **kwargs)
            self.num_mel_bins, self.max_length = num_mel_bins, max_length
            self.n_fft, self.hop_length = n_fft, hop_length
            self.mean, self.std, self.do_normalize, self.factor = mean, std, do_normalize, factor
            self.weights = np.ones(3)

        def __call__(self, clips, sampling_rate=None, return_tensors=None):
            images = []
            for clip in clips:
                power = librosa.feature.melspectrogram(
                    y=clip, sr=self.sampling_rate, n_fft=self.n_fft, hop_length=self.hop_length,
                    n_mels=self.num_mel_bins,
                )
                mel = torch.from_numpy(np.log10(1 + self.factor * power)).T[: self.max_length]
                mel = torch.nn.functional.pad(mel, (0, 0, 0, self.max_length - len(mel)))
                images.append((mel - self.mean) / (2 * self.std))
            return BatchFeature({"input_values": torch.stack(images)})
"""


def own(folder: Path) -> None:
    transformers.HubertModel(transformers.HubertConfig(**SIZES, **CONVOLUTIONS)).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(folder)
    (folder / "configuration_own.py").write_text(textwrap.dedent(OWN_CONFIG))
    (folder / "modeling_own.py").write_text(textwrap.dedent(OWN_MODEL))
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "model_type": "own_model",
        "auto_map": {"AutoConfig": "configuration_own.OwnConfig", "AutoModel": "modeling_own.OwnModel"},
    }
    (folder / "config.json").write_text(json.dumps(config))


def maest(folder: Path, **settings: Any) -> None:
    ast(folder)
    (folder / "feature_extraction_own.py").write_text(textwrap.dedent(OWN_EXTRACTOR))
    auto_map = {"AutoFeatureExtractor": "feature_extraction_own.OwnFeatureExtractor"}
    content = {"feature_extractor_type": "OwnFeatureExtractor", "auto_map": auto_map, **settings}
    (folder / "preprocessor_config.json").write_text(json.dumps(content))


def maest_with_another_spectrogram(folder: Path) -> None:
    maest(folder, factor=100)


KINDS = [wav2vec2, hubert, wavlm, data2vec, ast, whisper, clap, clap_fused, own, maest, maest_with_another_spectrogram]
WITH_CODE = {own, maest, maest_with_another_spectrogram}
Kind = Callable[[Path], None]
Make = Callable[[Kind], partial[TransformersBackbone]]


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep the copies that transformers makes of a model's code out of the cache of the account."""
    monkeypatch.setattr(transformers.dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    yield
    for name in [name for name in sys.modules if name.startswith("transformers_modules")]:
        del sys.modules[name]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Return a function that writes a model and returns a factory of its backbone."""

    def make_one(kind: Kind) -> partial[TransformersBackbone]:
        folder = tmp_path / kind.__name__
        kind(folder)
        trust = {"trust_remote_code": True} if kind in WITH_CODE else {}
        return partial(TransformersBackbone, model=str(folder), **trust)

    return make_one


def folder_of(factory: partial[TransformersBackbone]) -> str:
    return factory.keywords["model"]


def save(factory: partial[TransformersBackbone], path: Path) -> GenreClassifier:
    """Write a checkpoint of a model, and delete the folder of its encoder."""
    model = classifier(factory).eval()
    trainer = Trainer(accelerator="cpu", logger=False, default_root_dir=path.parent, enable_progress_bar=False)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(path)
    shutil.rmtree(folder_of(factory))
    return model


def layer_outputs(backbone: TransformersBackbone, waveform: Tensor) -> list[Tensor]:
    """Return the mean states of all layers, by hooks of this test."""
    states: list[Tensor] = []
    # The last list: that of CLAP's last stage; the layers of data2vec come after its convolutions.
    blocks = [module for module in backbone.encoder.modules() if isinstance(module, nn.ModuleList)][-1]
    hooks = [blocks[0].register_forward_pre_hook(lambda _, args: states.append(args[0]))]
    for block in blocks:
        hooks.append(
            block.register_forward_hook(lambda _, __, out: states.append(out[0] if isinstance(out, tuple) else out))
        )
    with torch.no_grad():
        output = backbone.encoder(
            backbone._features(waveform),
            **({"is_longer": torch.zeros(len(waveform), 1, dtype=torch.bool)} if backbone._fuses else {}),
        )
    for hook in hooks:
        hook.remove()
    last = output.last_hidden_state
    states[-1] = last.flatten(2).transpose(1, 2) if last.ndim == 4 else last
    return [state.mean(1) for state in states]


# Each kind once, and each option once: a check takes seconds.
CONTRACTS: list[tuple[Kind, dict[str, Any]]] = [
    *((kind, {}) for kind in KINDS),
    (wav2vec2, {"freeze": True}),
    (whisper, {"freeze": True}),
]


@pytest.mark.parametrize(("kind", "options"), CONTRACTS)
def test_contract(make: Make, kind: Kind, options: dict[str, Any]) -> None:
    check_backbone(partial(make(kind), **options), input_shape=SECOND)


@pytest.mark.parametrize("kind", KINDS)
def test_layers_equal_those_of_hooks(make: Make, kind: Kind) -> None:
    factory, waveform = make(kind), 0.3 * torch.randn(2, *SECOND)
    backbone = factory(SECOND).eval()
    assert backbone.embedding_dim == 16
    expected = layer_outputs(backbone, waveform)
    assert len(expected) == 3
    torch.testing.assert_close(backbone(waveform), expected[2])
    for states, mean in zip(backbone.layer_outputs(waveform, [0, 1, 2]), expected, strict=True):
        torch.testing.assert_close(states.mean(1), mean)
    (first,) = backbone.layer_outputs(waveform, [1])
    torch.testing.assert_close(first.mean(1), expected[1])


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_needs_neither_folder_nor_hub(make: Make, tmp_path: Path, kind: Kind) -> None:
    model = save(make(kind), tmp_path / "model.ckpt")
    # Only code needs trust; the settings of a feature extractor are data.
    needs_code = kind in (own, maest_with_another_spectrogram)
    if needs_code:
        with pytest.raises(LitGenreError, match="trust_remote_code runs the Python files of the model"):
            load_model(tmp_path / "model.ckpt")
    restored = load_model(tmp_path / "model.ckpt", trust=needs_code).eval()
    waveform = torch.randn(2, *SECOND)
    torch.testing.assert_close(restored(waveform), model(waveform))


def test_the_spectrogram_of_maest_is_kept_as_settings(make: Make) -> None:
    restored = make(maest)(SECOND).restore_args()
    assert "code" not in restored["restored"]
    assert restored["trust_remote_code"] is False
    assert restored["restored"]["extractor"] == {
        **MAESTSpectrogram.DEFAULTS, "num_mel_bins": 32, "max_length": 64, "mean": 2.0, "std": 1.5,
        "feature_extractor_type": "MAESTSpectrogram",
    }  # fmt: skip
    code = make(maest_with_another_spectrogram)(SECOND).restore_args()["restored"]["code"]
    assert list(code) == ["feature_extraction_own.py"]
    with pytest.raises(LitGenreError, match="contains the Python code of its encoder.*--trust"):
        TransformersBackbone(SECOND, restored=make(own)(SECOND).restore_args()["restored"])


def test_the_code_in_a_checkpoint_stays_in_its_folder(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    restored = make(own)(SECOND).restore_args()["restored"]
    restored["code"]["../../escaped.py"] = ""
    TransformersBackbone(SECOND, trust_remote_code=True, restored=restored)
    assert not (tmp_path / "escaped.py").exists()


def test_config(make: Make) -> None:
    config = Path(__file__).with_name("transformers.yaml")
    folder = folder_of(make(wav2vec2))
    for layers in ("null", "[1]", "all"):
        check_config(config, f"--model.backbone.model={folder}", f"--model.layers={layers}")


@pytest.mark.parametrize("kind", [wav2vec2, ast])
def test_embeddings_equal_those_of_transformers(make: Make, kind: Kind) -> None:
    factory, waveform = make(kind), 0.3 * torch.randn(2, *SECOND)
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder_of(factory))
    features = extractor(list(waveform.numpy()), sampling_rate=16000, return_tensors="pt")
    output = transformers.AutoModel.from_pretrained(folder_of(factory))(**features, output_hidden_states=True)
    backbone = factory(SECOND).eval()
    for layer, states in enumerate(backbone.layer_outputs(waveform, [0, 1])):
        torch.testing.assert_close(states, output.hidden_states[layer], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(backbone(waveform), output.last_hidden_state.mean(1), atol=1e-4, rtol=1e-4)


def test_a_pickled_copy_trains_the_same_parameters(make: Make) -> None:
    backbone = make(wav2vec2)(SECOND)
    backbone.layer_blocks()[0].requires_grad_(False)
    copied = pickle.loads(pickle.dumps(backbone))
    trained = {name: parameter.requires_grad for name, parameter in backbone.named_parameters()}
    assert {*trained.values()} == {False, True}
    assert {name: parameter.requires_grad for name, parameter in copied.named_parameters()} == trained


@pytest.mark.parametrize("kind", [clap, clap_fused])
def test_embeddings_equal_the_pooled_output_of_clap(make: Make, kind: Kind) -> None:
    factory, waveform = make(kind), 0.3 * torch.randn(2, *SECOND)
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder_of(factory))
    features = extractor(list(waveform.numpy()), sampling_rate=16000, return_tensors="pt")
    model = transformers.ClapModel.from_pretrained(folder_of(factory)).eval()
    # The feature extractor calls a random clip longer than it is.
    features["is_longer"] = torch.zeros(2, 1, dtype=torch.bool)
    expected = model.audio_model(**features).pooler_output
    backbone = factory(SECOND).eval()
    torch.testing.assert_close(backbone(waveform), expected, atol=1e-4, rtol=1e-4)
    # A longer clip is cut, not cropped at random.
    torch.testing.assert_close(backbone(torch.cat([waveform, waveform], -1)), backbone(waveform))


def test_the_padding_of_whisper_is_ignored(make: Make) -> None:
    backbone = make(whisper)(SECOND).eval()
    features = backbone.extractor(torch.ones(4000).numpy(), sampling_rate=16000, return_tensors="pt")
    steps = backbone.encoder(features["input_features"]).last_hidden_state
    assert steps.shape[1] == 50
    # A quarter of the length of its input, 1 s: 13 of 50 steps.
    torch.testing.assert_close(backbone(torch.ones(1, 4000)), steps[:, :13].mean(1))


def test_masking_and_layer_drop_are_off(make: Make) -> None:
    for kind in (wav2vec2, whisper):
        config = make(kind)(SECOND).encoder.config
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
    folder, data = folder_of(make(wav2vec2)), tmp_path / "data"
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


def test_a_resumed_run_of_maest_needs_no_code(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder, data = folder_of(make(maest)), tmp_path / "data"
    write_demo(data, artists=3, tracks_per_artist=1, seconds=2.0)
    options = [f"--data.root={data}", "--trainer.accelerator=cpu", "--trainer.logger=false"]
    options += [f"--model.backbone.model={folder}", "--model.backbone.trust_remote_code=true"]
    config = Path(__file__).with_name("transformers.yaml")
    main(["fit", "--config", str(config), "--trainer.max_epochs=1", *options])
    shutil.rmtree(folder)
    main(["test", "--ckpt_path=last"])


def classifier(factory: partial[TransformersBackbone], **options: Any) -> GenreClassifier:
    """Return a model for clips of 1 s."""
    return GenreClassifier(factory, CLASSES, sample_rate=16000, clip_seconds=1, frontend=nn.Identity, **options)


def test_a_frozen_encoder_stays_in_evaluation_mode_and_the_layer_weights_get_a_gradient(make: Make) -> None:
    model = classifier(partial(make(wav2vec2), freeze=True), layers="all").train()
    assert not model.backbone.encoder.training
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {"layer_pooling.weights", "head.weight", "head.bias"}
    # The layers have different outputs, so their weights have a gradient.
    model(torch.randn(2, *SECOND))[:, 0].sum().backward()
    assert model.layer_pooling.weights.grad.abs().sum() > 0


def test_what_follows_a_named_layer_is_frozen(make: Make) -> None:
    backbone = classifier(make(hubert), layers=[1]).backbone
    assert backbone.encoder.training
    frozen = {name.rpartition(".")[0] for name, p in backbone.named_parameters() if not p.requires_grad}
    assert "encoder.encoder.layer_norm" in frozen
    assert all(name.startswith(("encoder.encoder.layer_norm", "encoder.encoder.layers.1.")) for name in frozen)


def test_a_layer_that_does_not_exist_is_an_error(make: Make) -> None:
    factory = make(wav2vec2)
    for layers in ([3], [-1], [0, 3]):
        with pytest.raises(LitGenreError, match=r"layers is .*, but must be numbers of layers of .*, 0 to 2, or all"):
            classifier(factory, layers=layers)


def test_what_is_no_audio_encoder_is_an_error(tmp_path: Path) -> None:
    bert = transformers.BertModel(transformers.BertConfig(**SIZES, vocab_size=8))
    bert.save_pretrained(tmp_path / "bert")
    with pytest.raises(LitGenreError, match="cannot be loaded"):
        TransformersBackbone(SECOND, model=str(tmp_path / "bert"))
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(tmp_path / "bert")
    with pytest.raises(LitGenreError, match="is a BertModel, not an audio encoder: its input is text"):
        TransformersBackbone(SECOND, model=str(tmp_path / "bert"))
    vit = transformers.ViTModel(transformers.ViTConfig(**SIZES, image_size=16, patch_size=8))
    vit.save_pretrained(tmp_path / "vit")
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(tmp_path / "vit")
    with pytest.raises(LitGenreError, match="is a ViTModel, not an audio encoder: its input is images"):
        TransformersBackbone(SECOND, model=str(tmp_path / "vit"))


def test_a_model_without_layers_is_an_error(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    factory = make(wav2vec2)
    monkeypatch.setattr("lit_genre_transformers._are_layers", lambda *_: False)
    with pytest.raises(LitGenreError, match="No layers were found in .*: Wav2Vec2Model has no nn.ModuleList of equal"):
        classifier(factory, layers=[1])


def test_a_model_that_cannot_be_loaded_gives_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(LitGenreError, match="The model absent/absent cannot be loaded: .*Use a folder"):
        TransformersBackbone(SECOND, model="absent/absent")
    with pytest.raises(LitGenreError, match="cannot be loaded"):
        TransformersBackbone(SECOND, model=str(tmp_path))
    with pytest.raises(LitGenreError, match="There is no folder ./absent"):
        TransformersBackbone(SECOND, model="./absent")


def test_code_of_a_model_does_not_run_without_trust(make: Make) -> None:
    with pytest.raises(LitGenreError, match="cannot be loaded: .*Set trust_remote_code: true"):
        TransformersBackbone(SECOND, model=folder_of(make(own)))


def test_another_front_end_or_sample_rate_is_an_error(make: Make) -> None:
    backbone = make(wav2vec2)
    with pytest.raises(LitGenreError, match="takes a waveform, .*frontend: torch.nn.Identity"):
        GenreClassifier(backbone, CLASSES, sample_rate=16000, clip_seconds=1)
    with pytest.raises(LitGenreError, match="made for 16000 Hz, but sample_rate is 22050"):
        GenreClassifier(backbone, CLASSES, clip_seconds=1, frontend=nn.Identity)
