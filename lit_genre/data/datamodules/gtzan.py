"""GTZAN as a LightningDataModule."""

import ast
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from lit_genre.data.datamodules.base import TrackDataModule
from lit_genre.data.metadata.track import Split, Track
from lit_genre.errors import LitGenreError

_FOLDERS: Final = ("genres", "genres_original", "Data/genres_original", ".")
"""Folders of the ten genre folders, in the archives that are in use."""

_PARENTS: Final = ("", "gtzan")
"""Root may be the folder of GTZAN, or a folder of several data sets."""

_SUFFIXES: Final = (".wav", ".au", ".mp3")
_EXCERPTS_PER_GENRE: Final = 100

_LISTS: Final[dict[Split, str]] = {"train": "filtered_train", "val": "filtered_valid", "test": "filtered_test"}
"""Names of the lists of each split in torchaudio's module."""


class GTZANDataModule(TrackDataModule):
    """GTZAN: 1,000 excerpts of 30 s in ten genres, of which the 930 without known faults are used.

    The split is the fault-filtered one, which separates artists: 443 excerpts for training, 197 for validation and 290
    for test. GTZAN has repeated, mislabelled and distorted excerpts and many excerpts by one artist. With a random
    split a model is tested on excerpts and artists of its training, and the score is far too optimistic. An excerpt
    that is missing or cannot be decoded, such as jazz.00054 in the usual archive, is left out and reported.

    Args:
        root: Folder with `genres/`, `genres_original/` or the ten genre folders themselves, or with a folder `gtzan`
            that has these. The excerpts have their usual names, such as `blues/blues.00000.wav` (or .au).
        **options: Those of TrackDataModule.

    Raises:
        LitGenreError: The excerpts are not there, more than max_missing_fraction of a split is missing, or torchaudio,
            which contains the list of each split, is not installed.

    Reference:
        Tzanetakis and Cook, "Musical Genre Classification of Audio Signals", IEEE Transactions on Speech and Audio
        Processing 10 (5), 2002. Its faults: Sturm, "The GTZAN dataset: Its contents, its faults, their effects on
        evaluation, and its future use", arXiv:1306.1461, 2013. The split: Kereliuk, Sturm and Larsen, "Deep Learning
        and Music Adversaries", IEEE Transactions on Multimedia 17 (11), 2015.
    """

    hint = "Unpack the archive again"
    cache_name = "gtzan"
    display_name = "GTZAN"

    def __init__(self, root: Path = Path("data"), **options: Any) -> None:
        super().__init__(root, **options)

    @property
    def audio_folder(self) -> Path:
        """Folder of the ten genre folders."""
        folders = [self.root / parent / name for parent in _PARENTS for name in _FOLDERS]
        if audio_folder := next((folder for folder in folders if (folder / "blues").is_dir()), None):
            return audio_folder
        raise LitGenreError(
            f"No GTZAN in {self.root.resolve()}: expected, for each of the ten genres, one of\n"
            + "".join(f"  {folder / 'blues' / 'blues.00000.wav'}\n" for folder in folders)
            + "or the same with .au. Name the folder it is in by --data.root=FOLDER."
        )

    def read_tracks(self) -> list[Track]:
        """Return the excerpts without known faults."""
        self.audio_folder  # noqa: B018, raises if the excerpts are not there
        lists = _torchaudio_lists()
        tracks = [_track(name, split, lists["gtzan_genres"]) for split in _LISTS for name in lists[_LISTS[split]]]
        return sorted(tracks, key=lambda track: track.track_id)

    def audio_path(self, track: Track) -> Path:
        """Return the path of the audio file of an excerpt.

        Args:
            track: The excerpt.
        """
        stem = self.audio_folder / track.genre_top / track.title
        files = [stem.with_name(stem.name + suffix) for suffix in _SUFFIXES]
        return next((file for file in files if file.is_file()), files[0])


def _torchaudio_lists() -> dict[str, list[str]]:
    """Return the lists of excerpts and of genres that torchaudio's module of GTZAN defines, by their names."""
    # The module is read, not imported: torchaudio can be imported only next to the build of torch that it is made for.
    spec = find_spec("torchaudio")
    if spec is None or spec.origin is None:
        raise LitGenreError(
            "torchaudio is not installed. GTZANDataModule reads the list of each split from its file "
            "datasets/gtzan.py. Install it by `pip install --no-deps torchaudio`; it need not match torch."
        )
    source = Path(spec.origin).with_name("datasets") / "gtzan.py"
    nodes = ast.parse(source.read_text(encoding="utf-8")).body
    names = {*_LISTS.values(), "gtzan_genres"}
    return {
        target.id: ast.literal_eval(node.value)
        for node in nodes
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name) and target.id in names
    }


def _track(name: str, split: Split, genres: list[str]) -> Track:
    """Return the record of an excerpt; its id is its position among all 1,000, from 1 on."""
    genre, _, number = name.partition(".")
    track_id = _EXCERPTS_PER_GENRE * genres.index(genre) + int(number) + 1
    return Track(track_id, split, genre, (genre,), name, artist_id=-1, artist="", album_id=-1)
