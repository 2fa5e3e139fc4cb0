import importlib
import inspect
from pathlib import Path
from types import ModuleType

import pytest
from torch import nn

from lit_genre.model.source_code import source_digest

BASE = "from torch import nn\n\n\nclass Base(nn.Module):\n    gain = 1\n"
DERIVED = "import its_base\n\n\nclass Derived(its_base.Base):\n    pass\n"


@pytest.fixture
def derived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    (tmp_path / "its_base.py").write_text(BASE)
    (tmp_path / "its_derived.py").write_text(DERIVED)
    monkeypatch.syspath_prepend(tmp_path)
    made: nn.Module = importlib.import_module("its_derived").Derived()
    return made


def test_the_code_that_a_class_derives_from_counts_and_pytorchs_does_not(
    derived: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = source_digest(nn.Sequential(derived, nn.ReLU()))
    assert source_digest(nn.Sequential(derived, nn.ReLU())) == before
    assert source_digest(nn.Sequential(nn.ReLU())) != before
    getsource = inspect.getsource

    def later(name: str) -> None:
        def read(module: ModuleType) -> str:
            return getsource(module) + "# mended" * (module.__name__ == name)

        monkeypatch.setattr(inspect, "getsource", read)

    for name in ("its_base", "its_derived"):
        later(name)
        assert source_digest(nn.Sequential(derived, nn.ReLU())) != before
    later("torch.nn.modules.activation")
    assert source_digest(nn.Sequential(derived, nn.ReLU())) == before


def test_a_class_of_a_console_has_its_name() -> None:
    one, other = (type("Typed", (nn.Module,), {"__module__": module})() for module in ("a_console", "another"))
    assert source_digest(one) == source_digest(one) != source_digest(other)
