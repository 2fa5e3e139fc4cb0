"""Windows, and macOS with Apple's GPU (MPS), as far as a Linux machine without that GPU can imitate them."""

import errno
import fcntl
import os
import re
import resource
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from hashlib import sha1
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import lit_genre
from lit_genre.backbones.blocks import LSTM
from lit_genre.batch import Batch
from lit_genre.data.datamodules.loaders import clip_loader
from lit_genre.data.decoding import ffmpeg, ffmpeg_child
from lit_genre.data.decoding.errors import AudioError
from lit_genre.data.loading.device_audio import DeviceAudio
from lit_genre.errors import LitGenreError
from lit_genre.files import atomic_write
from lit_genre.inference.sort_files import plan_moves, sort_files
from lit_genre.model.classifier import GenreClassifier
from lit_genre.model.metrics import score
from lit_genre.model.spectrogram.augment import FilterAugment, Mixup, SpecAugment
from lit_genre.model.spectrogram.frontend import LogMel
from lit_genre.model.training.step_seed import seed_step
from lit_genre.prepare import archive
from lit_genre.serve import worker_pool, worker_process
from lit_genre.text import shell_argument
from tests.data.loading.test_mel_cache import CLIPS, MEL, opened
from tests.data.loading.test_samplers import CLIP
from tests.helpers.media import RATE, Format, song, write
from tests.helpers.runs import QUIET, ROOT, SMALL, folder

NETWORKS: Final = [name for name in lit_genre.__all__ if re.fullmatch("(CNN|C?RNN).*", name)]

PROBABILITY: Final = 0.5
"""Dropout between the layers of the LSTM."""

STEP: Final = 1e-3
"""Step of a difference quotient in float64, whose error is of the order of its square."""


@pytest.mark.slow
def test_commands_as_on_windows(tmp_path: Path) -> None:
    # libsndfile reads the first, FFmpeg the second. The encoding of stdout has no ł and no arrow.
    names = ["ł → 5.flac", "song.m4a"]
    (tmp_path / "music").mkdir()
    write(tmp_path / "music" / names[0], song(2, RATE), Format("flac", "flac", RATE))
    write(tmp_path / "music" / names[1], song(2, RATE), Format("ipod", "aac", RATE))
    lines: list[tuple[object, ...]] = [
        ("demo", "--root=data", "--artists=3", "--tracks_per_artist=1", "--seconds=2"),
        ("fit", *SMALL, QUIET, "--data.root=data", "--trainer.max_epochs=1"),
        ("fit", "--ckpt_path=last", QUIET, "--trainer.max_epochs=2"),
        ("test", "--ckpt_path=best", "--calibrate", QUIET),
        ("predict", "--ckpt_path=best", QUIET),
        ("classify", "music", "--output=genres.csv", "--embeddings=embeddings.npz", "--move=sorted", "--yes"),
    ]
    done = subprocess.run(
        [sys.executable, "-X", "warn_default_encoding", "-m", "tests.helpers.windows"],
        input="".join(f"{shlex.join(map(str, line))}\n" for line in lines),
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "cp1252"},
        capture_output=True,
        encoding="cp1252",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    run_folder = folder(tmp_path)
    assert (run_folder / "metrics.csv").read_text().count("\n") == 3
    assert (run_folder / "predictions.csv").read_text() == (run_folder / "test.csv").read_text()
    assert sorted(path.name for path in tmp_path.glob("sorted/*/*")) == names[::-1]
    assert r"\u0142 \u2192 5.flac" in done.stdout
    assert names[0] in (tmp_path / "genres.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        (r"runs\CRNN-1\checkpoints\best.ckpt", r"runs\CRNN-1\checkpoints\best.ckpt"),
        (r"C:\Users\A B\runs", r'"C:\Users\A B\runs"'),
        ("[a.csv, b.csv]", '"[a.csv, b.csv]"'),
        # Within double quotes, PowerShell would run the command, and a quote after a backslash would not be the end.
        ("$(calc) 'x'", "'$(calc) ''x'''"),
        ("C:\\A B\\", "'C:\\A B\\'"),
    ],
)
def test_arguments_for_the_shells_of_windows(monkeypatch: pytest.MonkeyPatch, text: str, quoted: str) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert shell_argument(text) == quoted


def test_a_file_in_use_is_replaced_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failures, replace = [2], Path.replace
    pauses: list[float] = []

    def refuse(path: Path, target: Path) -> Path:
        failures[0] -= 1
        if failures[0] >= 0:
            raise PermissionError(13, "The file is in use", str(target))
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", refuse)
    monkeypatch.setattr(time, "sleep", pauses.append)
    with pytest.raises(PermissionError), atomic_write(tmp_path / "a") as file:
        file.write(b"on Linux, such an error is final")
    assert not pauses
    monkeypatch.setattr(sys, "platform", "win32")
    failures[0] = 2
    with atomic_write(tmp_path / "a") as file:
        file.write(b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert len(pauses) == 2
    failures[0] = 1000
    with pytest.raises(PermissionError, match="in use"), atomic_write(tmp_path / "a") as file:
        file.write(b"newer")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_an_archive_is_forced_to_the_disk_through_a_writable_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, synced = b"zip", []

    def download(url: str, path: Path, n_bytes: int | None, timeout: float) -> str:
        path.write_bytes(content)
        return sha1(content).hexdigest()

    monkeypatch.setattr(archive, "download", download)
    # Windows refuses to force a file to the disk that is open for reading.
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(fcntl.fcntl(descriptor, fcntl.F_GETFL)))
    path = archive.fetch(archive.Archive("a", sha1(content).hexdigest(), len(content)), "https://x", tmp_path)
    assert path.read_bytes() == content
    assert [flags & os.O_ACCMODE for flags in synced] == [os.O_RDWR]


def test_genres_with_the_names_of_devices(tmp_path: Path) -> None:
    genres = ("CON", "aux.x", "Contemporary", "Pop/Rock", "com1")
    moves = plan_moves([(tmp_path / f"{genre}", genre) for genre in genres], tmp_path)
    assert [path.parent.name for path in moves.values()] == ["CON_", "aux_.x", "Contemporary", "Pop_Rock", "com1_"]


def test_a_move_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise NotImplementedError("follow_symlinks unavailable on this platform")

    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "a.mp3").write_bytes(b"a")
    sort_files({tmp_path / "a.mp3": tmp_path / "Rock" / "a.mp3"}, "move", confirmed=True)
    assert [path.name for path in tmp_path.rglob("*")] == ["Rock", "a.mp3"]


@pytest.mark.parametrize("error", [BrokenPipeError(), OSError(errno.EINVAL, "Invalid argument")])
def test_a_decoder_that_has_died(error: OSError, monkeypatch: pytest.MonkeyPatch) -> None:
    child = ffmpeg._Child()
    try:
        child.process.kill()
        child.process.wait()
        if error.errno:  # As of a pipe of Windows.
            monkeypatch.setattr(child, "stdin", SimpleNamespace(write=_raise(error), close=_raise(error)))
        with pytest.raises(AudioError, match="the decoder crashed"):
            list(child.messages({"call": "measure", "path": "a.mp3"}))
    finally:
        child.close()
    assert child.stdout.closed


def _raise(error: Exception) -> Callable[..., Any]:
    def function(*_: object) -> None:
        raise error

    return function


def test_macos_may_refuse_to_limit_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def refuse(kind: int, limits: tuple[int, int]) -> None:
        tried.append(kind)
        if kind == resource.RLIMIT_DATA:
            raise ValueError("current limit exceeds maximum limit")

    monkeypatch.setattr(resource, "setrlimit", refuse)
    ffmpeg_child._limit_memory()
    worker_process._limit_memory(1 << 30)
    assert tried == 2 * [resource.RLIMIT_CORE, resource.RLIMIT_DATA]


def test_worker_processes_that_are_not_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    # As on Windows and macOS.
    monkeypatch.setattr(worker_pool, "_METHOD", "spawn")
    with worker_pool.WorkerPool(1, seconds=60, preload=("shutil",)) as pool:
        assert pool.run(shutil.which, "python-of-no-name") is None
        (worker,) = pool._idle
        assert pool.run(os.getpid) == worker.process.pid != os.getpid()
    assert type(worker.process).__name__ == "SpawnProcess"


class OnMPS(Tensor):
    """A tensor on the CPU that names MPS as its device, and so do the results of operations with it."""

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return torch.device("mps")


def on_mps(tensor: Tensor) -> Tensor:
    return tensor.as_subclass(OnMPS)


class NoFloat64(TorchDispatchMode):
    """Refuses what MPS does not have, float64, and complex numbers, which the front-end avoids there."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, Tensor) and (tensor.dtype == torch.float64 or tensor.is_complex()):
                raise TypeError(f"{func} returns {tensor.dtype}")
        return result


@pytest.mark.parametrize("name", NETWORKS)
def test_a_step_of_each_network_needs_no_float64(name: str) -> None:
    classes = ["Folk", "Pop", "Rock"]
    augment = [SpecAugment(), FilterAugment(), Mixup()]
    model = GenreClassifier(getattr(lit_genre, name), classes, clip_seconds=2, augment=augment, class_counts=[1, 2, 3])
    # The engine that "auto" means on MPS.
    model.frontend.engine = "nnaudio"  # type: ignore[assignment]
    assert {tensor.dtype for tensor in (*model.parameters(), *model.buffers())} <= {torch.float32, torch.int64}
    waveform = torch.randint(-(2**15), 2**15, (4, model.clip_samples)).short()
    batch = Batch(waveform, torch.tensor([0, 1, 2, 1]), torch.tensor([1, 2, 3, 3]))
    model.log_dict = lambda *_, **__: None  # type: ignore[method-assign]
    optimizer = torch.optim.Adam(model.parameters())
    with NoFloat64():
        model.training_step(batch, 0).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        model.eval()
        with torch.no_grad():
            model.validation_step(batch, 0)
    scores = model._average("val").scores()
    assert scores.track_id.tolist() == [1, 2, 3]
    assert score(scores, classes)["accuracy"].isfinite()


def test_the_front_end_on_mps_uses_no_complex_numbers() -> None:
    frontend, clip = LogMel(RATE), torch.rand(1, RATE) - 0.5
    with NoFloat64():
        mel = frontend(on_mps(clip))
    torch.testing.assert_close(mel.as_subclass(Tensor), frontend(clip), atol=1e-3, rtol=0)
    with pytest.raises(TypeError, match="complex"), NoFloat64():
        frontend(clip)


def test_seeding_on_mps() -> None:
    seed_step(1, 2, 3, 4, torch.device("mps", 0))
    first = torch.rand(3)
    seed_step(1, 2, 3, 4, torch.device("cpu"))
    assert torch.equal(torch.rand(3), first)


@pytest.mark.parametrize(("kind", "pins"), [("mps", False), ("cuda", True), (None, False)])
def test_batches_are_pinned_where_that_helps(kind: str | None, pins: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    # torch warns if batches are to be pinned for MPS.
    device = None if kind is None else torch.device(kind)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available=False: device)
    dataset: Any = SimpleNamespace()
    assert clip_loader(dataset, [], batch_size=1, num_workers=0).pin_memory is pins


def test_clips_that_a_worker_read_before_they_were_cached(tmp_path: Path) -> None:
    # Runs on an accelerator have workers.
    cache = opened(tmp_path)
    cache.keep(*CLIPS, MEL)
    waveform, label = torch.zeros(len(MEL), CLIP, dtype=torch.int16), torch.zeros(len(MEL), dtype=torch.int64)
    batch = Batch(waveform, label, *map(torch.tensor, CLIPS))
    assert torch.equal(cache.complete(batch, LogMel(RATE)), MEL.half())


def test_more_samples_than_a_tensor_may_have_on_mps() -> None:
    dataset: Any = SimpleNamespace(n_samples=torch.tensor([2**30, 2**30]).numpy(), clip_samples=1)
    with pytest.raises(LitGenreError, match="2,147,483,648 samples.*Set data.preload to disk"):
        DeviceAudio(dataset, torch.device("mps"))


@pytest.mark.parametrize("batch_first", [True, False])
def test_layers_of_an_lstm_one_by_one_are_those_of_torch(batch_first: bool) -> None:
    lstm, input = LSTM(5, 7, 3, batch_first=batch_first, dropout=PROBABILITY), torch.rand(2, 4, 5)
    assert not torch.equal(lstm(on_mps(input))[0], lstm(on_mps(input))[0])
    lstm.dropout = 0.0
    torch.testing.assert_close(lstm._compute_layers(input), lstm(input))


def test_the_gradient_on_mps_has_the_dropout_between_the_layers() -> None:
    torch.manual_seed(0)
    lstm = LSTM(5, 7, 2, batch_first=True, dropout=PROBABILITY).double()
    input = torch.rand(2, 4, 5, dtype=torch.float64)
    direction = torch.randn_like(input)

    def loss(step: float) -> float:
        torch.manual_seed(1)  # The same mask in each call.
        return float(lstm(on_mps(input.detach() + step * direction))[0].sum().detach())

    moved = input.requires_grad_()
    torch.manual_seed(1)
    lstm(on_mps(moved))[0].sum().backward()
    assert moved.grad is not None
    slope = (loss(STEP) - loss(-STEP)) / (2 * STEP)
    assert float((moved.grad * direction).sum()) == pytest.approx(slope, rel=1e-4)
