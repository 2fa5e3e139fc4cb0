"""Backbones are found by their entry points; a broken one causes a warning and the others are usable."""

from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint

import pytest

from lit_genre.backbones import registry as plugins
from lit_genre.backbones.crnn import CRNN

Declare = Callable[..., None]


@pytest.fixture
def declare(monkeypatch: pytest.MonkeyPatch) -> Iterator[Declare]:
    """Replace the installed entry points by pairs of name and value."""

    def replace(*points: tuple[str, str]) -> None:
        found = [EntryPoint(name, value, plugins.GROUP) for name, value in points]
        monkeypatch.setattr("lit_genre.entry_points.entry_points", lambda group: found)
        plugins.backbones.cache_clear()

    yield replace
    plugins.backbones.cache_clear()


def test_backbones_of_this_package_are_found_by_entry_points() -> None:
    plugins.backbones.cache_clear()
    found = plugins.backbones()["CRNN"]
    assert found.loaded is CRNN
    assert found.package == "lit-genre"


def test_backbones_are_loaded_once() -> None:
    assert plugins.backbones() is plugins.backbones()


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (
            [("Broken", "no_such_module:Broken")],
            "importing no_such_module:Broken failed: ModuleNotFoundError",
        ),
        ([("Absent", "lit_genre.backbones.crnn:Absent")], "AttributeError"),
        ([("Path", "pathlib:Path")], "not a subclass of lit_genre.Backbone"),
        ([("Other", "lit_genre.backbones.crnn:CRNN")], "the class is called CRNN"),
        ([("CRNN", "a:CRNN"), ("CRNN", "b:CRNN")], "more than one package declares this name"),
    ],
)
def test_a_broken_backbone_causes_a_warning_and_the_others_are_usable(
    declare: Declare, points: list[tuple[str, str]], message: str
) -> None:
    good = [] if points[0][0] == "CRNN" else [("CRNN", "lit_genre.backbones.crnn:CRNN")]
    declare(*points, *good)
    with pytest.warns(UserWarning, match=message) as warnings:
        found = plugins.backbones()
    assert len(warnings) == 1
    assert points[0][0] in str(warnings[0].message)
    assert found[points[0][0]].loaded is None
    assert not good or found["CRNN"].loaded is CRNN
    known, _, left_out = plugins.known_backbones().partition("Left out:")
    assert points[0][0] + " " not in known
    assert message in left_out
