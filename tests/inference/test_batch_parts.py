"""A batch that does not fit the memory of the device is computed in parts, with the same result."""

import pytest
import torch
from torch import Tensor

from lit_genre.errors import LitGenreError
from lit_genre.inference.batch_parts import BatchParts

MESSAGES = (
    "CUDA out of memory. Tried to allocate 2.00 GiB.",
    "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 2 bytes.",
    "MPS backend out of memory (MPS allocated: 5.1 GB).",
)


@pytest.fixture(autouse=True)
def _no_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the garbage collection, which takes a second of each test."""
    monkeypatch.setattr("lit_genre.inference.batch_parts.garbage_collection_cuda", lambda: None)


class Device:
    """A device whose memory has room for a few clips."""

    def __init__(self, capacity: int, message: str) -> None:
        self.capacity, self.message = capacity, message
        self.sizes: list[int] = []

    def compute(self, waveform: Tensor) -> tuple[Tensor, ...]:
        self.sizes.append(len(waveform))
        if len(waveform) > self.capacity:
            raise RuntimeError(self.message)
        return waveform.mean(1), 2 * waveform


@pytest.mark.parametrize("message", MESSAGES)
def test_parts_are_halved_until_they_fit(message: str, capsys: pytest.CaptureFixture[str]) -> None:
    device = Device(3, message)
    compute = BatchParts(device.compute)
    waveform = torch.arange(40.0).reshape(10, 4)
    mean, double = compute(waveform)
    assert device.sizes == [10, 5, 3, 3, 3, 1]
    assert torch.equal(mean, waveform.mean(1))
    assert torch.equal(double, 2 * waveform)
    assert "A batch of 10 clips does not fit the memory. Using 5 clips." in capsys.readouterr().err
    # The size is kept.
    compute(waveform)
    assert device.sizes[6:] == [3, 3, 3, 1]


def test_a_clip_that_does_not_fit_is_reported() -> None:
    with pytest.raises(LitGenreError, match=r"A clip of 4 samples does not fit the memory.*--device cpu"):
        BatchParts(Device(0, MESSAGES[0]).compute)(torch.zeros(4, 4))


def test_another_error_is_not_hidden() -> None:
    with pytest.raises(RuntimeError, match="shapes"):
        BatchParts(Device(0, "shapes cannot be multiplied").compute)(torch.zeros(4, 4))
