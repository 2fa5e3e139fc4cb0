from pathlib import Path

import pytest

from tests.helpers.runs import Run

FILES = {"README.md", "pyproject.toml", "bass_net.py", "bass_net.yaml", "test_bass_net.py"}


def test_the_package_bears_its_name_throughout(run: Run) -> None:
    run("new-backbone", "BassNet")
    written = {path.name: path.read_text() for path in Path("bass_net").iterdir()}
    assert written.keys() == FILES
    assert not any(word in text for text in written.values() for word in ("MyNet", "my_net", "my-net"))
    assert 'BassNet = "bass_net:BassNet"' in written["pyproject.toml"]


def test_the_three_commands_are_said(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run("new-backbone", "BassNet", "--folder", "of mine")
    told = capsys.readouterr().out
    assert "pip install -e 'of mine/bass_net[test]'\n" in told
    assert "pytest 'of mine/bass_net'\n" in told
    assert "lit-genre fit --config 'of mine/bass_net'/bass_net.yaml --data.root=data/demo" in told
    assert "lit-genre demo" in told


def test_a_folder_of_any_name(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run("new-backbone", "BassNet", "--folder", "a[/b]")
    assert "pytest 'a[/b]/bass_net'\n" in capsys.readouterr().out


def test_they_read_fma_where_it_is(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    Path("data/fma_metadata").mkdir(parents=True)
    run("new-backbone", "BassNet")
    assert "bass_net/bass_net.yaml\n" in capsys.readouterr().out


def test_nothing_is_overwritten(run: Run) -> None:
    Path("bass_net").mkdir()
    Path("bass_net/bass_net.py").write_text("mine")
    with pytest.raises(SystemExit, match="bass_net already exists and was not changed"):
        run("new-backbone", "BassNet")
    assert Path("bass_net/bass_net.py").read_text() == "mine"
    assert len(list(Path("bass_net").iterdir())) == 1


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("3d", "use letters and digits"),
        ("Bass Net", "use letters"),
        ("_Net", "use letters"),
        ("../Net", "use letters"),
        ("Nätz", "use letters"),
        ("Class", "no keyword of Python"),
        ("CRNN", "the package lit-genre declares a backbone of this name"),
        ("Backbone", "lit_genre itself, or Python, has something of this name"),
        ("Random", "there is one already"),
        ("Torch", "would be the package torch, which is installed already"),
        ("Pillow", "would be the package pillow, which is installed already"),
        ("nn", "lit_genre itself, or Python, has something of this name"),
        ("super", "lit_genre itself, or Python, has something of this name"),
        ("Net_", "use letters"),
        ("My__Net", "use letters"),
    ],
)
def test_names_that_cannot_be_are_refused_with_the_reason(run: Run, name: str, said: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        run("new-backbone", name)
    assert said in str(stopped.value)
    assert not list(Path().iterdir())
