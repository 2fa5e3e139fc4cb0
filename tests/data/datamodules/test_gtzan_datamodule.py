import sys
from pathlib import Path

import pytest
import soundfile

from lit_genre import GTZANDataModule
from lit_genre.data.metadata.track import SPLITS
from lit_genre.errors import LitGenreError
from tests.helpers.audio import tone
from tests.helpers.reference import import_torchaudio

RATE = 8000
GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")


def imitate(folder: Path, suffix: str) -> None:
    """Write 1,000 files as GTZAN names them, of a tenth of a second, and jazz.00054 broken as in the usual archive."""
    folder.mkdir(parents=True)
    soundfile.write(folder / "song.wav", tone(440, 0.1, RATE), RATE)
    sound = (folder / "song.wav").read_bytes()
    for genre in GENRES:
        (folder / genre).mkdir()
        for number in range(100):
            name = f"{genre}.{number:05d}"
            (folder / genre / f"{name}{suffix}").write_bytes(b"\0" * 99 if name == "jazz.00054" else sound)


@pytest.mark.parametrize(("layout", "suffix"), [("genres", ".au"), ("gtzan/genres_original", ".wav"), (".", ".wav")])
def test_the_split_is_the_fault_filtered_one(
    tmp_path: Path, layout: str, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    gtzan = import_torchaudio().datasets.gtzan
    root = tmp_path / "data"
    imitate(root / layout, suffix)
    data = GTZANDataModule(root, sample_rate=RATE, clip_seconds=0.1, batch_size=100)
    data.setup()
    assert data.classes == list(GENRES)
    listed = (gtzan.filtered_train, gtzan.filtered_valid, gtzan.filtered_test)
    for split, names, count in zip(SPLITS, listed, (443, 197, 290), strict=True):
        assert {track.title for track in data.tracks if track.split == split} == set(names)
        served = {int(track_id) for batch in data.whole_tracks(split) for track_id in batch.track_id}
        assert {data.track(track_id).title for track_id in served} == set(names) - {"jazz.00054"}
        assert len(names) == count
    said = "".join(capsys.readouterr())
    assert "Left out: jazz.00054, no audio that can be decoded" in said
    assert "Left out 1 of 930 tracks" in said
    assert [data.track(number).title for number in (1, 1000)] == ["blues.00000", "rock.00099"]


def test_a_missing_layout_says_what_was_expected_where(tmp_path: Path) -> None:
    with pytest.raises(LitGenreError) as error:
        GTZANDataModule(tmp_path).classes  # noqa: B018
    for part in (str(tmp_path), "genres/blues/blues.00000.wav", "genres_original", ".au", "--data.root"):
        assert part in str(error.value)


@pytest.fixture
def lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a torchaudio with short lists first on the path, one that is made for another build of torch."""
    package = tmp_path / "site-packages" / "torchaudio"
    (package / "datasets").mkdir(parents=True)
    (package / "__init__.py").write_text('raise RuntimeError("for another build of torch")')
    (package / "datasets" / "gtzan.py").write_text("""
import torchaudio

gtzan_genres = ["blues", "rock"]
filtered_train = ["rock.00099"]
filtered_valid = ["blues.00000"]
filtered_test = []
""")
    monkeypatch.delitem(sys.modules, "torchaudio", raising=False)
    monkeypatch.syspath_prepend(package.parent)


@pytest.mark.usefixtures("lists")
def test_an_archive_in_part_is_refused(tmp_path: Path) -> None:
    (tmp_path / "genres" / "blues").mkdir(parents=True)
    with pytest.raises(LitGenreError, match="1 of the 1 train tracks in .*genres.*Unpack the archive again"):
        GTZANDataModule(tmp_path).setup()


@pytest.mark.usefixtures("lists")
def test_the_split_needs_only_the_file_of_torchaudio(tmp_path: Path) -> None:
    (tmp_path / "genres" / "blues").mkdir(parents=True)
    tracks = GTZANDataModule(tmp_path).read_tracks()
    assert [(track.track_id, track.split, track.title) for track in tracks] == [
        (1, "val", "blues.00000"),
        (200, "train", "rock.00099"),
    ]


def test_without_torchaudio_an_error_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "genres" / "blues").mkdir(parents=True)
    monkeypatch.setitem(sys.modules, "torchaudio", None)
    with pytest.raises(LitGenreError, match="torchaudio is not installed.*pip install --no-deps torchaudio"):
        GTZANDataModule(tmp_path).setup()
