"""The peak memory of a run where it can be measured, and nothing where it cannot."""

import builtins
from typing import Any

import pytest
import torch

from lit_genre.runs.writer import peak_memory


@pytest.mark.skipif(torch.accelerator.is_available(), reason="the memory of this process is for a machine without one")
def test_of_this_process() -> None:
    # This process has imported torch.
    assert 0.1 < peak_memory()["memory_gb"] < 100


def test_a_system_without_the_module_has_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_resource(name: str, *args: Any, **options: Any) -> Any:
        if name == "resource":
            raise ImportError(name)
        return real(name, *args, **options)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(builtins, "__import__", without_resource)
    assert peak_memory() == {}
