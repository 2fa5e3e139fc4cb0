"""`lit-genre new-backbone` writes a package, prints the next commands, and refuses names that cannot be used."""

from pathlib import Path

import pytest

from tests.helpers.runs import Run

FILES = {"README.md", "pyproject.toml", "bass_net.py", "bass_net.yaml", "test_bass_net.py"}


def test_the_package_has_the_new_name_in_all_files(run: Run) -> None:
    run("new-backbone", "BassNet")
    written = {path.name: path.read_text() for path in Path("bass_net").iterdir()}
    assert written.keys() == FILES
    assert not any(word in text for text in written.values() for word in ("MyNet", "my_net", "my-net"))
    assert 'BassNet = "bass_net:BassNet"' in written["pyproject.toml"]


def test_the_next_three_commands_are_printed(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run("new-backbone", "BassNet", "--output", "of mine")
    output = capsys.readouterr().out
    assert "pip install -e 'of mine/bass_net[test]'\n" in output
    assert "pytest 'of mine/bass_net'\n" in output
    assert "lit-genre fit --config 'of mine/bass_net'/bass_net.yaml --data.root=data/demo" in output
    assert "lit-genre demo" in output


def test_a_folder_name_with_brackets_is_printed_unchanged(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run("new-backbone", "BassNet", "--output", "a[/b]")
    assert "pytest 'a[/b]/bass_net'\n" in capsys.readouterr().out


def test_the_commands_read_fma_if_it_exists(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    Path("data/fma_metadata").mkdir(parents=True)
    run("new-backbone", "BassNet")
    assert "bass_net/bass_net.yaml\n" in capsys.readouterr().out


def test_an_existing_folder_is_not_overwritten(run: Run) -> None:
    Path("bass_net").mkdir()
    Path("bass_net/bass_net.py").write_text("mine")
    with pytest.raises(SystemExit, match="bass_net already exists and was not changed"):
        run("new-backbone", "BassNet")
    assert Path("bass_net/bass_net.py").read_text() == "mine"
    assert len(list(Path("bass_net").iterdir())) == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("3d", "use letters and digits"),
        ("Bass Net", "use letters"),
        ("_Net", "use letters"),
        ("../Net", "use letters"),
        ("Nätz", "use letters"),
        ("Class", "no keyword of Python"),
        ("CRNN", "the package lit-genre declares a backbone of this name"),
        ("Backbone", "lit_genre or Python uses this name"),
        ("Random", "which exists already"),
        ("Torch", "would be the package torch, which is installed already"),
        ("Pillow", "would be the package pillow, which is installed already"),
        ("nn", "lit_genre or Python uses this name"),
        ("super", "lit_genre or Python uses this name"),
        ("Net_", "use letters"),
        ("My__Net", "use letters"),
    ],
)
def test_an_unusable_name_is_an_error_with_the_reason(run: Run, name: str, message: str) -> None:
    with pytest.raises(SystemExit) as error:
        run("new-backbone", name)
    assert message in str(error.value)
    assert not list(Path().iterdir())
