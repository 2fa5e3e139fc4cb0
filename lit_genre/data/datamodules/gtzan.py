"""GTZAN as a LightningDataModule."""

from pathlib import Path
from typing import Any, Final

from lit_genre.data.datamodules.base import TrackDataModule
from lit_genre.data.metadata.track import Split, Track
from lit_genre.errors import LitGenreError

_FOLDERS: Final = ("genres", "genres_original", "Data/genres_original", ".")
_IN: Final = ("", "gtzan")
"""GTZAN may be one of several data sets in root."""
_SUFFIXES: Final = (".wav", ".au", ".mp3")
_A_GENRE: Final = 100
"""Excerpts of each genre."""


class GTZANDataModule(TrackDataModule):
    """GTZAN: 1,000 excerpts of 30 s in ten genres, of which the 930 without known faults are used.

    The split is the fault-filtered, artist-aware one: 443 excerpts for training, 197 for validation and 290 for test.
    GTZAN has repeated, mislabelled and distorted excerpts and many of one artist: with a random split a model is tested
    on what it was trained on, and the score is far too high. An excerpt that is not there or cannot be decoded, such as
    jazz.00054 in the usual archive, is left out and listed.

    Args:
        root: Folder with `genres/`, `genres_original/` or the ten genre folders themselves, or with a folder `gtzan`
            that has these; in each the excerpts by their well-known names, such as `blues/blues.00000.wav` (or .au).
        **options: Those of TrackDataModule.

    Raises:
        LitGenreError: The excerpts are not there, or more than max_lost of a split is lost.

    Reference:
        Tzanetakis and Cook, "Musical Genre Classification of Audio Signals", IEEE Transactions on Speech and Audio
        Processing 10 (5), 2002. Its faults: Sturm, "The GTZAN dataset: Its contents, its faults, their effects on
        evaluation, and its future use", arXiv:1306.1461, 2013. The split: Kereliuk, Sturm and Larsen, "Deep Learning
        and Music Adversaries", IEEE Transactions on Multimedia 17 (11), 2015.
    """

    remedy = "Unpack the archive again"
    store_name = "gtzan"
    title = "GTZAN"

    def __init__(self, root: Path = Path("data"), **options: Any) -> None:
        super().__init__(root, **options)

    @property
    def audio_folder(self) -> Path:
        """Where its audio lies."""
        folders = [self.root / place / name for place in _IN for name in _FOLDERS]
        if found := next((folder for folder in folders if (folder / "blues").is_dir()), None):
            return found
        raise LitGenreError(
            f"No GTZAN in {self.root.resolve()}: expected is, for each of the ten genres, one of\n"
            + "".join(f"  {folder / 'blues' / 'blues.00000.wav'}\n" for folder in folders)
            + "or the same with .au. Name the folder it is in by --data.root=FOLDER."
        )

    def read_tracks(self) -> list[Track]:
        """List the excerpts without known faults."""
        # torchaudio ships the lists.
        from torchaudio.datasets import gtzan

        self.audio_folder  # noqa: B018, is there, or says what is missing
        names: dict[Split, list[str]] = {
            "train": gtzan.filtered_train,
            "val": gtzan.filtered_valid,
            "test": gtzan.filtered_test,
        }
        tracks = [_track(name, split, gtzan.gtzan_genres) for split, listed in names.items() for name in listed]
        return sorted(tracks, key=lambda track: track.track_id)

    def file_of(self, track: Track) -> Path:
        """Tell where the audio of an excerpt lies."""
        stem = self.audio_folder / track.genre_top / track.title
        files = [stem.with_name(stem.name + suffix) for suffix in _SUFFIXES]
        return next((file for file in files if file.is_file()), files[0])


def _track(name: str, split: Split, genres: list[str]) -> Track:
    """Number an excerpt by its place among all 1,000, from 1 on."""
    genre, _, number = name.partition(".")
    track_id = _A_GENRE * genres.index(genre) + int(number) + 1
    return Track(track_id, split, genre, (genre,), name, artist_id=-1, artist="", album_id=-1)
