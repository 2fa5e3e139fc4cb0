from functools import partial
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn

from lit_genre.backbones.crnn import CRNN
from lit_genre.batch import Batch
from lit_genre.errors import LitGenreError
from lit_genre.inference.load import load_model
from lit_genre.model.backbone import Backbone, InputShape
from lit_genre.model.classifier import GenreClassifier
from lit_genre.model.spectrogram.augment import Mixup
from lit_genre.model.spectrogram.frontend import LogMel

CLASSES = ["Folk", "Pop", "Rock"]


class WaveNetwork(Backbone):
    """A backbone on raw waveform."""

    takes = "waveform"

    def __init__(self, input_shape: InputShape, stride: int = 64) -> None:
        super().__init__()
        self.input_shape, self.embedding_dim = input_shape, 4
        self.conv = nn.Conv1d(1, 4, 64, stride=stride)

    def forward(self, mel: Tensor) -> Tensor:
        return self.conv(mel[:, None]).amax(-1)


def small(**options: object) -> GenreClassifier:
    torch.manual_seed(0)
    return GenreClassifier(partial(CRNN, filters=(8, 8), lstm_dim=8), CLASSES, clip_seconds=1, **options)


def batch() -> Batch:
    torch.manual_seed(1)
    pcm = torch.randint(-9000, 9000, (6, 22050), dtype=torch.int16)
    return Batch(pcm, torch.tensor([0, 1, 2, 0, 1, 2]), torch.arange(6))


def save(model: GenreClassifier, path: Path) -> Path:
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(path)
    return path


def test_backbone_learns_the_shape_from_the_front_end() -> None:
    class Spy(CRNN):
        def __init__(self, input_shape: InputShape) -> None:
            self.seen = None
            super().__init__(input_shape)
            self.seen = input_shape

    assert GenreClassifier(Spy, CLASSES).backbone.seen == (128, 646)
    wave = GenreClassifier(WaveNetwork, CLASSES, sample_rate=16000, clip_seconds=2, frontend=nn.Identity)
    assert wave.backbone.input_shape == (32000,)


def test_changes_are_the_spectrogram_without_each_bands_mean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = small(mean_normalized_channels=True, augment=[Mixup(0.4)]).eval()
    assert model.backbone.blocks[0][0].in_channels == 256
    assert model.input_shape == (128, 22)
    waveform = torch.rand(2, 22050, generator=torch.Generator().manual_seed(2)) - 0.5
    mel, seen = model.spectrogram(waveform), []
    model.backbone.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    answer, logits = model.predict_with_embedding(waveform)[0], model(waveform)
    assert torch.allclose(answer, logits.softmax(-1), atol=1e-6)
    assert torch.equal(seen[0][:, :128], mel)
    assert torch.allclose(seen[0][:, 128:].mean(-1), torch.zeros(2, 128), atol=1e-5)
    assert torch.allclose(seen[0][:, 128:].std(-1), 3 * mel.std(-1), atol=1e-4)
    assert torch.equal(
        load_model(save(model, tmp_path / "seen_twice.ckpt")).predict_with_embedding(waveform)[0], answer
    )
    monkeypatch.setattr(model, "log_dict", lambda *_, **__: None)
    model.train().training_step(batch(), 0)
    assert seen[-1].shape == (6, 256, 22)


def test_waveforms_have_no_second_view() -> None:
    model = GenreClassifier(WaveNetwork, CLASSES, clip_seconds=1, frontend=nn.Identity, mean_normalized_channels=True)
    assert model.backbone.input_shape == (22050,)


def test_int16_and_float_waveforms_are_the_same() -> None:
    model, pcm = small().eval(), batch().waveform
    assert model(pcm).shape == (6, 3)
    assert torch.equal(model(pcm), model(pcm.float() / 32768))


def test_weight_decay_spares_biases_norms_and_the_front_end() -> None:
    optimizer = partial(torch.optim.Adam, lr=1e-3, weight_decay=0.5)
    model = small(optimizer=optimizer, frontend=partial(LogMel, trainable_mel=True))
    groups = model.configure_optimizers().param_groups
    decay_of = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    decayed = {name for name, parameter in model.named_parameters() if decay_of[id(parameter)] == 0.5}
    assert decayed == {
        *(f"backbone.blocks.{k}.0.weight" for k in range(2)),
        "backbone.lstm.weight_ih_l0",
        "backbone.lstm.weight_hh_l0",
        "backbone.dense.0.weight",
        "head.weight",
    }
    assert len(decay_of) == len(list(model.parameters()))


def test_loss_is_cross_entropy_of_the_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small().eval()
    monkeypatch.setattr(model, "log_dict", lambda *args, **options: None)
    expected = nn.functional.cross_entropy(model(batch().waveform), batch().label)
    torch.testing.assert_close(model.training_step(batch(), 0), expected)


def test_augmentation_applies_in_training_only(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small(augment=[Mixup(alpha=1.0)])
    monkeypatch.setattr(model, "log_dict", lambda *args, **options: None)
    model.eval()
    clips = batch()
    assert torch.equal(model.training_step(clips, 0), model.training_step(clips, 0))
    model.augment.train()
    assert not torch.equal(model.training_step(clips, 0), model.training_step(clips, 0))


@pytest.mark.parametrize("generation", [1, 2])
def test_a_checkpoint_needs_nothing_beside_it(tmp_path: Path, generation: int) -> None:
    model = small(frontend=partial(LogMel, hop_length=512), augment=[Mixup()])
    loaded = model
    for number in range(generation):
        path = save(loaded, tmp_path / f"{number}.ckpt")
        assert torch.load(path, weights_only=True)["hyper_parameters"]["backbone"]["init_args"]["filters"] == (8, 8)
        loaded = GenreClassifier.load_from_checkpoint(path, weights_only=True)
    assert loaded.classes == CLASSES
    assert loaded.frontend.hop_length == 512
    assert torch.equal(model.eval()(batch().waveform), loaded.eval()(batch().waveform))


def test_a_function_as_backbone_is_refused_as_no_checkpoint_could_hold_it() -> None:
    with pytest.raises(LitGenreError, match="pass a class"):
        GenreClassifier(lambda shape: CRNN(shape), CLASSES)


def test_a_checkpoint_of_other_genres_is_refused(tmp_path: Path) -> None:
    path = save(small(), tmp_path / "x.ckpt")
    checkpoint = torch.load(path, weights_only=True)
    other = GenreClassifier(partial(CRNN, filters=(8, 8), lstm_dim=8), ["Folk", "Jazz", "Rock"], clip_seconds=1)
    with pytest.raises(LitGenreError, match="Jazz"):
        other.on_load_checkpoint(checkpoint)


def test_loaded_classes_win_over_none(tmp_path: Path) -> None:
    loaded = GenreClassifier.load_from_checkpoint(save(small(), tmp_path / "x.ckpt"), weights_only=True)
    assert loaded.hparams["classes"] == CLASSES


def test_loss_of_several_genres_is_binary_cross_entropy_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small(task="multilabel").eval()
    monkeypatch.setattr(model, "log_dict", lambda *args, **options: None)
    label = torch.tensor([[1, 0, 1], [0, 0, 1], [1, 1, 1], [0, 1, 0], [1, 0, 0], [0, 0, 1]])
    clips = batch()._replace(label=label)
    logits = model(clips.waveform)
    expected = nn.functional.binary_cross_entropy_with_logits(logits, label.float())
    torch.testing.assert_close(model.training_step(clips, 0), expected)
    torch.testing.assert_close(model.probabilities(logits), torch.sigmoid(logits))


def test_class_weights_let_each_genre_count_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small(class_weights=True, class_counts=[60, 30, 10]).eval()
    monkeypatch.setattr(model, "log_dict", lambda *args, **options: None)
    weights = model.loss_weights
    assert weights is not None
    shares = weights * torch.tensor([0.6, 0.3, 0.1])
    torch.testing.assert_close(shares, torch.full((3,), 1 / 3))
    clips = batch()
    each = nn.functional.cross_entropy(model(clips.waveform), clips.label, reduction="none")
    torch.testing.assert_close(model.training_step(clips, 0), (each * weights[clips.label]).mean())
    with pytest.raises(LitGenreError, match="class_counts"):
        small(class_weights=True)


def test_kept_spectrograms_take_the_place_of_the_front_end(monkeypatch: pytest.MonkeyPatch) -> None:
    model, clips = small().eval(), batch()
    monkeypatch.setattr(model, "log_dict", lambda *args, **options: None)
    expected = model.training_step(clips, 0)
    kept = clips._replace(mel=model.spectrogram(clips.waveform).half(), waveform=clips.waveform[:, :0])
    torch.testing.assert_close(model.training_step(kept, 0), expected, rtol=1e-3, atol=1e-3)


def test_the_identity_of_a_spectrogram_follows_from_its_options() -> None:
    key, shape = small().frontend_cache_key()
    assert shape == (128, 22)
    assert small().frontend_cache_key() == (key, shape)
    assert small(frontend=partial(LogMel, f_min=50.0)).frontend_cache_key()[0] != key
    with pytest.raises(LitGenreError, match="is trained"):
        small(frontend=partial(LogMel, trainable_stft=True)).frontend_cache_key()


def test_a_compiled_backbone_has_the_same_checkpoint() -> None:
    compiled = small(compile_backbone=True)
    assert compiled.backbone._compiled_call_impl is not None
    assert compiled.state_dict().keys() == small().state_dict().keys()
    assert "compile_backbone" not in compiled.hparams


def test_smoothing_and_class_weights_reach_the_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small(label_smoothing=0.2, class_weights=True, class_counts=[60, 30, 10])
    monkeypatch.setattr(model, "log_dict", lambda *args, **options: None)
    model.backbone.eval()
    clips = batch()
    for training in (True, False):
        model.loss.train(training)
        expected = nn.functional.cross_entropy(
            model(clips.waveform), clips.label, reduction="none", label_smoothing=0.2 * training
        )
        weighted = (expected * model.loss_weights[clips.label]).mean()
        torch.testing.assert_close(model.training_step(clips, 0), weighted)
    with pytest.raises(LitGenreError, match="label_smoothing is 1.5"):
        small(label_smoothing=1.5)


def test_one_genre_is_none_to_tell_from_another() -> None:
    with pytest.raises(LitGenreError, match="The data has one genre only, 'Rock': a classifier needs tracks of two"):
        GenreClassifier(CRNN, ["Rock"])
    assert GenreClassifier(WaveNetwork, ["Live"], task="multilabel", clip_seconds=1, frontend=nn.Identity).classes == [
        "Live"
    ]


def test_a_head_with_a_hidden_layer_comes_back_from_its_checkpoint(tmp_path: Path) -> None:
    model = small(head_dim=5).eval()
    assert [layer.out_features for layer in model.head if isinstance(layer, nn.Linear)] == [5, 3]
    path = save(model, tmp_path / "model.ckpt")
    again = GenreClassifier.load_from_checkpoint(path, weights_only=True, trust=True).eval()
    assert torch.equal(again(batch().waveform), model(batch().waveform))
