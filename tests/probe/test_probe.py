"""`lit-genre probe`: its embeddings are the model's, and its checkpoint is a model that other commands load."""

from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from torch import nn

from lit_genre.data.datamodules.fma import FMADataModule
from lit_genre.data.metadata.track import Split
from lit_genre.errors import LitGenreError
from lit_genre.inference.load import load_model
from lit_genre.model.classifier import GenreClassifier
from lit_genre.probe import embeddings as module
from lit_genre.probe.embeddings import ClipEmbeddings, EmbeddingCache
from lit_genre.probe.head import TrainedKind, fit_head, primary_score, track_scores, track_weights
from lit_genre.probe.neighbors import fit_neighbors
from lit_genre.probe.to_torch import write_linear_layers
from lit_genre.runs.folder import RunFolder
from lit_genre.runs.reader import read_run
from tests.helpers.audio import tone
from tests.helpers.fma import WriteFMA
from tests.helpers.runs import QUIET, SMALL, Run, folder

SAME = 1e-4
"""How far two ways to the same probability may be apart, in batches of other sizes and six decimals."""

OPTIMISED = 1e-3
"""How far scikit-learn's optimiser may stop from the same minimum."""

PROBE = ("probe", *SMALL, "--device=cpu", "--embeddings=kept")


def read_test(run_folder: Path) -> pd.DataFrame:
    return pd.read_csv(run_folder / "test.csv", index_col="track_id")


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The splits that were embedded."""
    asked: list[str] = []

    def spy(self: EmbeddingCache, split: str, track_ids: set[int]) -> object:
        asked.append(split)
        return real(self, split, track_ids)  # type: ignore[arg-type]

    real = EmbeddingCache._compute
    monkeypatch.setattr(EmbeddingCache, "_compute", spy)
    return asked


def test_embeddings_are_those_of_the_model_and_are_kept(trained: Path, fma: Path, tmp_path: Path) -> None:
    model = load_model(trained)
    data = FMADataModule(fma, clip_seconds=1)
    data.prepare_data()
    data.setup()
    first, again = EmbeddingCache(model, data, tmp_path), EmbeddingCache(model, data, tmp_path)
    clips, same = first.embed("val"), again.embed("val")
    batches = list(data.whole_tracks("val"))
    expected = torch.cat([model.predict_with_embedding(batch.waveform)[1] for batch in batches])
    assert clips.embedding == pytest.approx(expected.numpy(), abs=SAME)
    assert clips.label.tolist() == torch.cat([batch.label for batch in batches]).tolist()
    assert len(clips.label) == 16
    assert (first.computed, again.computed) == (["val"], [])
    assert all(np.array_equal(one, other) for one, other in zip(clips, same, strict=True))
    (part,) = tmp_path.glob("*/*.npz")
    part.write_bytes(part.read_bytes()[:500])
    mended = EmbeddingCache(model, data, tmp_path)
    assert mended.embed("val").embedding == pytest.approx(clips.embedding, abs=SAME)
    assert mended.computed == ["val"]
    with torch.no_grad():
        next(model.backbone.parameters()).add_(1)
    other = EmbeddingCache(model, data, tmp_path)
    assert not np.allclose(other.embed("val").embedding, clips.embedding)
    assert other.computed == ["val"]


def test_no_track_is_embedded_twice(trained: Path, fma: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_model(trained)
    embedded: list[int] = []

    def spy(self: EmbeddingCache, split: Split, track_ids: Container[int]) -> Iterator[tuple[int, NDArray[np.float32]]]:
        for track_id, rows in real(self, split, track_ids):
            embedded.append(track_id)
            yield track_id, rows

    real = EmbeddingCache._compute
    monkeypatch.setattr(EmbeddingCache, "_compute", spy)
    monkeypatch.setattr(module, "_TRACKS_PER_FILE", 3)
    monkeypatch.setattr(module, "default_batch_size", lambda model: 5)

    def embeddings(folder: str, exclude: list[Path]) -> EmbeddingCache:
        data = FMADataModule(fma, clip_seconds=1, exclude=exclude)
        data.prepare_data()
        data.setup()
        return EmbeddingCache(model, data, tmp_path / folder)

    whole = embeddings("whole", []).embed("train")
    train = embedded.copy()
    assert len(train) == 8
    embedded.clear()
    # Stopped in the third batch: after ten clips, two of each track, and the last of them may have had another.
    (absent := tmp_path / "absent.txt").write_text(f"{train[3]}\n")
    answers = [model.predict_with_embedding, model.predict_with_embedding]

    def stop(waveform: torch.Tensor) -> object:
        if not answers:
            raise KeyboardInterrupt
        return answers.pop()(waveform)

    stopped = embeddings("parts", [absent])
    with monkeypatch.context() as patch:
        patch.setattr(model, "predict_with_embedding", stop)
        with pytest.raises(KeyboardInterrupt):
            stopped.embed("train")
    assert embedded == [*train[:3], train[4]]
    embeddings("parts", [absent]).embed("train")
    assert embedded == [*train[:3], *train[4:]]
    # Only the track that was added is embedded, and it is in its place.
    with_it = embeddings("parts", []).embed("train")
    assert embedded == [*train[:3], *train[4:], train[3]]
    assert with_it.embedding == pytest.approx(whole.embedding, abs=SAME)
    assert np.array_equal(with_it.label, whole.label)
    assert np.array_equal(with_it.track_id, whole.track_id)


def test_a_process_does_not_embed_what_another_did_while_it_waited(
    trained: Path, fma: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_model(trained)
    data = FMADataModule(fma, clip_seconds=1)
    data.prepare_data()
    data.setup()
    first, second = EmbeddingCache(model, data, tmp_path / "kept"), EmbeddingCache(model, data, tmp_path / "kept")
    waiting = [first]

    @contextmanager
    def wait(folder: Path) -> Iterator[None]:
        assert folder.parent == tmp_path / "kept"
        if waiting:
            waiting.pop().embed("val")
        yield

    monkeypatch.setattr("lit_genre.probe.embedding_files.locked", wait)
    found = second.embed("val")
    assert (first.computed, second.computed) == (["val"], [])
    # A file in the place of the folder: there is no lock, and nothing can be written.
    (tmp_path / "file").touch()
    without = EmbeddingCache(model, data, tmp_path / "file")
    assert np.array_equal(without.embed("val").embedding, found.embedding)
    assert without.computed == ["val"]


def test_folds_share_the_embeddings(
    run: Run, write_fma: WriteFMA, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sounds = {number: tone((110, 3520)[number % 2] * (1 + number / 400), 2.0) for number in range(1, 11)}
    splits = ("training", "training", "training", "validation", "test")
    names = {number: ("Low", "High")[number % 2] for number in sounds}
    root = write_fma({number: (splits[(number - 1) // 2], names[number], sounds[number]) for number in sounds})
    n_embedded: list[int] = []

    def spy(self: GenreClassifier, waveform: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        n_embedded.append(len(waveform))
        return real(self, waveform)

    real = GenreClassifier.predict_with_embedding
    monkeypatch.setattr(GenreClassifier, "predict_with_embedding", spy)
    words = ("probe", f"--ckpt_path={trained}", f"--data.root={root}", "--device=cpu", "--embeddings=kept")
    tested = []
    for fold in range(5):
        run(*words, f"--data.fold={fold}", f"--output=fold{fold}")
        tested += read_test(Path(f"fold{fold}")).index.tolist()
    # Two clips of 1 s cover a track of 2 s.
    assert sum(n_embedded) == 2 * len(sounds)
    assert sorted(tested) == sorted(sounds)
    run(*words, "--output=own", "--head=knn")
    assert sum(n_embedded) == 2 * len(sounds)


@pytest.mark.parametrize("head", ["logistic", "mlp"])
def test_a_probe_is_a_run_whose_checkpoint_predicts_as_its_test_did(
    run: Run, fma: Path, computed: list[str], head: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (*PROBE, f"--data.root={fma}", f"--head={head}", "--head_dim=16")
    run(*words)
    said = " ".join("".join(capsys.readouterr()).split())
    assert "weights are random" in said
    assert f"Training a {head} head on the frozen CRNN: 16 training clips, embeddings of size 64, written to" in said
    assert computed == ["train", "val", "test"]
    probe = folder()
    text, before, found = (probe / "test.csv").read_text(), read_test(probe), read_run(probe)
    assert (found.model, found.seed, found.epochs, found.is_baseline) == (f"CRNN {head} probe", 0, 1, False)
    parameters = sum(p.numel() for p in load_model(probe / "checkpoints/best.ckpt").backbone.parameters())
    assert found.parameters == parameters

    run("test", f"--ckpt_path={probe}/checkpoints/best.ckpt", QUIET, "--trainer.accelerator=cpu")
    after = read_test(probe)
    assert (after["predicted"] == before["predicted"]).all()
    assert after.iloc[:, 2:].to_numpy() == pytest.approx(before.iloc[:, 2:].to_numpy(), abs=SAME)

    with pytest.raises(SystemExit, match=r"best\.ckpt has weights without the state of a training"):
        run("fit", f"--ckpt_path={probe}/checkpoints/best.ckpt", QUIET, "--trainer.max_epochs=1")
    assert (probe / "test.csv").read_text() == text

    run(*words, "--output=again")
    assert computed == ["train", "val", "test"]
    assert Path("again/test.csv").read_text() == text
    song = next((fma / "fma_small").rglob("*.mp3"))
    run("classify", song, "--ckpt_path=again/checkpoints/best.ckpt", "--device=cpu")
    assert "Rock" in "".join(capsys.readouterr())
    with pytest.raises(SystemExit, match="again already contains a run"):
        run(*words, "--output=again")


def test_a_knn_probe_is_a_run_without_a_checkpoint(run: Run, fma: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(*PROBE, f"--data.root={fma}", "--head=knn", "--output=out")
    said = " ".join("".join(capsys.readouterr()).split())
    assert "No checkpoint is written" in said
    found, summary = read_run(Path("out")), RunFolder(Path("out")).read_summary()
    assert (found.model, found.best_val is None, found.error) == ("CRNN knn probe", False, "")
    assert f"The number of neighbours is {summary['n_neighbors']}, selected on the val split." in said
    assert len(read_test(Path("out"))) == 8
    assert not list(Path("out").rglob("*.ckpt"))


@pytest.mark.parametrize("head", ["logistic", "knn", "mlp"])
def test_a_track_may_have_several_genres(run: Run, fma: Path, head: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = (*PROBE, f"--data.root={fma}", "--data.task=multilabel", f"--head={head}", "--head_dim=8")
    run(*words, "--output=out")
    before, found = read_test(Path("out")), read_run(Path("out"))
    assert (found.task, found.best_val is None, found.average_precision is None) == ("multilabel", False, False)
    assert (Path("out") / "genres.csv").exists()
    if head != "knn":
        run("test", "--ckpt_path=out/checkpoints/best.ckpt", QUIET, "--trainer.accelerator=cpu")
        after = read_test(Path("out"))
        assert after["predicted"].dropna().to_dict() == before["predicted"].dropna().to_dict()
        # Without any predicted genre, pandas reads that column as NaN.
        numbers = before.select_dtypes("number").columns
        assert after[numbers].to_numpy() == pytest.approx(before[numbers].to_numpy(), abs=SAME, nan_ok=True)


def test_a_backbone_of_a_run_is_probed_on_other_genres(run: Run, trained: Path, write_fma: WriteFMA) -> None:
    splits = ("training", "training", "validation", "test")
    names = {number: ("Low", "High")[number % 2] for number in range(1, 9)}
    sounds = {number: tone((110, 3520)[number % 2] * (1 + number / 400), 2.0) for number in names}
    root = write_fma({number: (splits[(number - 1) // 2], names[number], sounds[number]) for number in names})
    run("probe", f"--ckpt_path={trained}", f"--data.root={root}", "--output=out", "--device=cpu", "--embeddings=kept")
    assert RunFolder(Path("out")).read_summary()["backbone_data"]["class_path"] == "lit_genre.FMADataModule"
    table = read_test(Path("out"))
    assert list(table.columns[3:]) == ["High", "Low"]
    assert (table["predicted"] == table["genre"]).all()
    probe, origin = load_model("out/checkpoints/best.ckpt"), load_model(trained)
    assert (probe.classes, len(origin.classes)) == (["High", "Low"], 8)
    assert all(map(torch.equal, probe.backbone.state_dict().values(), origin.backbone.state_dict().values()))


@pytest.mark.parametrize("kind", ["logistic", "mlp"])
@pytest.mark.parametrize("trained", [[0, 2], [0, 1, 3]])
def test_a_head_in_torch_predicts_what_scikit_learn_predicts(kind: TrainedKind, trained: list[int]) -> None:
    random = np.random.default_rng(0)
    label = np.array(trained * 10)
    embedding = (random.normal(3, 5, size=(len(label), 6)) + 4 * label[:, None]).astype(np.float32)
    # One number that is always the same.
    embedding[:, 2] = 7
    clips = ClipEmbeddings(embedding, label, np.arange(len(label)) // 2)
    fitted = fit_head(clips, clips, kind, 5, seed=0)
    head = nn.Linear(6, 4) if kind == "logistic" else nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4))
    write_linear_layers(fitted, head)
    probs = head(torch.from_numpy(embedding)).softmax(1).detach().numpy()
    expected = fitted.classifier.predict_proba(fitted.scaler.transform(embedding))
    assert probs[:, trained] == pytest.approx(expected, abs=SAME)
    assert (np.delete(probs, trained, axis=1) == 0).all()


def test_the_head_of_each_genre_is_a_logistic_regression_of_its_own() -> None:
    random = np.random.default_rng(0)
    label = (random.random((60, 5)) < 0.4).astype(np.int64)
    label[:, 1], label[:, 3] = 0, 1
    embedding = (random.normal(3, 5, size=(60, 6)) + 3 * label @ random.normal(size=(5, 6))).astype(np.float32)
    train, val = (
        ClipEmbeddings(embedding[part], label[part], np.arange(60)[part]) for part in (slice(40), slice(40, 60))
    )
    fitted = fit_head(train, val, "logistic", 0, seed=0)
    scaled = fitted.scaler.transform(embedding)
    probs = {}
    for c in (0.001, 0.01, 0.1, 1.0, 10.0):
        probs[c] = np.zeros((60, 5))
        probs[c][:, 3] = 1
        for genre in (0, 2, 4):
            own = LogisticRegression(C=c, max_iter=300).fit(scaled[:40], label[:40, genre])
            probs[c][:, genre] = own.predict_proba(scaled)[:, 1]
    precision = {
        c: np.mean([average_precision_score(label[40:, genre], probs[c][40:, genre]) for genre in (0, 2, 4)])
        for c in probs
    }
    assert precision[fitted.setting] == pytest.approx(max(precision.values()))
    head = nn.Linear(6, 5)
    write_linear_layers(fitted, head)
    found = head(torch.from_numpy(embedding)).sigmoid().detach().numpy()
    assert found == pytest.approx(probs[fitted.setting], abs=OPTIMISED)
    assert len({round(value, 6) for value in precision.values()}) > 1


def test_the_perceptron_of_several_genres_is_the_one_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    # Two genres, of which a track has none, one or both.
    label = random.integers(2, size=(1000, 2))
    embedding = (random.normal(size=(1000, 6)) + 3 * label @ random.normal(size=(2, 6))).astype(np.float32)
    clips = ClipEmbeddings(embedding, label, np.arange(1000))
    fitted = fit_head(clips, clips, "mlp", 32, seed=0)
    head = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 2))
    write_linear_layers(fitted, head)
    expected = fitted.classifier.predict_proba(fitted.scaler.transform(embedding))
    assert head(torch.from_numpy(embedding)).sigmoid().detach().numpy() == pytest.approx(expected, abs=SAME)
    assert primary_score(track_scores(torch.from_numpy(expected), clips)) > 0.9


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("has_val", [False, True])
def test_neighbours_are_tracks_and_vote_as_in_scikit_learn(several: bool, has_val: bool) -> None:
    random = np.random.default_rng(0)
    # No training track has the genre 2.
    label = random.choice([0, 1, 3], size=120)
    embedding = (random.normal(size=(120, 6)) + 1.5 * np.eye(4, 6)[label]).astype(np.float32)
    labels = np.eye(4, dtype=np.int64)[label] if several else label
    train, val = slice(0, 80), slice(80, 120)
    # Each track has three clips, whose mean is its embedding; those of the validation are not in order.
    clips = [
        ClipEmbeddings(
            np.concatenate([embedding[part] - 1, embedding[part], embedding[part] + 1]),
            np.concatenate([labels[part]] * 3),
            np.concatenate([np.arange(120)[part]] * 3),
        )
        for part in (train, val)
    ]
    fitted = fit_neighbors(clips[0], clips[1] if has_val else None, 4)
    scaler = StandardScaler().fit(embedding[train])
    scaled = scaler.transform(embedding)
    probs, accuracy = {}, {}
    for number in (1, 3, 5, 10, 20, 50):
        classifier = KNeighborsClassifier(number, metric="cosine").fit(scaled[train], label[train])
        probs[number] = classifier.predict_proba(scaled[val])
        accuracy[number] = classifier.score(scaled[val], label[val])
    scores = fitted.score(clips[1], "val")
    assert scores.probs[:, [0, 1, 3]].numpy() == pytest.approx(probs[fitted.setting], abs=SAME)
    assert (scores.probs[:, 2] == 0).all()
    assert scores.track_id.tolist() == list(range(80, 120))
    assert np.array_equal(scores.label, labels[val])
    if not has_val:
        assert fitted.setting == 10
    elif not several:
        assert fitted.setting == max(number for number in accuracy if accuracy[number] == max(accuracy.values()))


def test_training_tracks_with_the_same_genres_are_refused() -> None:
    for label in (np.full(4, 1), np.tile([1, 0, 1], (4, 1))):
        clips = ClipEmbeddings(np.eye(4, dtype=np.float32), label, np.arange(4))
        with pytest.raises(LitGenreError, match="All training tracks have the same genre"):
            fit_head(clips, None, "logistic", 0, seed=0)
        with pytest.raises(LitGenreError, match="All training tracks have the same genre"):
            fit_neighbors(clips, None, 3)


@pytest.mark.parametrize("has_val", [True, False])
def test_a_track_counts_once_however_many_clips_it_has(has_val: bool) -> None:
    random = np.random.default_rng(1)
    label = np.array([0, 1] * 20)
    tracks = ClipEmbeddings((random.normal(size=(40, 5)) + label[:, None]).astype(np.float32), label, np.arange(40))
    # As many clips, but the tracks of one genre are four times as long as those of the other.
    even, long = (
        ClipEmbeddings(*(column[np.repeat(np.arange(40), counts)] for column in tracks[:3]))
        for counts in (np.full(40, 5), np.where(label == 1, 8, 2))
    )
    fitted = [fit_head(clips, tracks if has_val else None, "logistic", 0, seed=0) for clips in (even, long)]
    probs = [head.classifier.predict_proba(head.scaler.transform(tracks.embedding)) for head in fitted]
    # Not exactly: the scaling of the embeddings is computed from clips.
    assert probs[0] == pytest.approx(probs[1], abs=0.05)
    assert track_weights(long).mean() == pytest.approx(1)


@pytest.mark.parametrize("several", [False, True])
def test_without_a_val_split_a_head_is_regularised_by_tracks_not_by_clips(several: bool) -> None:
    random = np.random.default_rng(1)
    label = np.array([0, 1] * 20)
    label = np.column_stack([label, 1 - label]) if several else label
    tracks = ClipEmbeddings(
        (random.normal(size=(40, 5)) + label.reshape(40, -1)[:, -1:]).astype(np.float32), label, np.arange(40)
    )
    heads = [
        fit_head(
            ClipEmbeddings(*(column.repeat(count, axis=0) for column in tracks[:3])), None, "logistic", 0, seed=0
        ).classifier
        for count in (1, 2, 16)
    ]
    for head in heads[1:]:
        assert head.coef_ == pytest.approx(heads[0].coef_, rel=OPTIMISED)
        assert head.intercept_ == pytest.approx(heads[0].intercept_, rel=OPTIMISED, abs=OPTIMISED)


def test_clips_of_a_track_are_averaged() -> None:
    clips = ClipEmbeddings(np.empty((3, 0), np.float32), np.array([1, 1, 0]), np.array([5, 5, 2]))
    scores = track_scores(torch.tensor([[0.8, 0.2], [0.4, 0.6], [0.9, 0.1]]), clips)
    assert scores.track_id.tolist() == [2, 5]
    assert scores.probs[1].tolist() == pytest.approx([0.6, 0.4])
    assert scores.label.tolist() == [0, 1]


def test_data_and_checkpoints_that_do_not_fit_are_refused(run: Run, trained: Path, write_fma: WriteFMA) -> None:
    with pytest.raises(SystemExit, match="has the backbone CRNN, but the configuration has RNN"):
        run("probe", f"--ckpt_path={trained}", "--model.backbone=RNN")
    root = write_fma(
        {number: (split, "Rock", tone(200.0, 1.0)) for number, split in enumerate(("training", "test"), 1)}
    )
    with pytest.raises(SystemExit, match="The data has one genre only, 'Rock'"):
        run(*PROBE, f"--data.root={root}")
    with pytest.raises(SystemExit, match="head_dim is 0, but must be at least 1"):
        run(*PROBE, "--head_dim=0")


@pytest.mark.parametrize("command", [PROBE, ("baseline",)])
def test_data_without_a_test_is_refused_before_it_is_decoded(
    run: Run, write_fma: WriteFMA, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    root = write_fma({n: ("training", genre, tone(200.0, 1.0)) for n, genre in enumerate(("Folk", "Rock"), 1)})
    with pytest.raises(SystemExit, match="No track of FMA small is in the test split"):
        run(*command, f"--data.root={root}")
    assert not (root / "pcm").exists()
