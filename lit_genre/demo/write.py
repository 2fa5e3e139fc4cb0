"""The command `demo`: write a small synthetic data set in FMA's format, to train without a download."""

from pathlib import Path

from lit_genre.errors import check_at_least


def write_demo(
    root: Path = Path("data/demo"),
    artists: int = 12,
    tracks_per_artist: int = 5,
    seconds: float = 6.0,
    seed: int = 0,
    workers: int | None = None,
) -> None:
    """Write a small synthetic data set in the format of FMA, to try the software without a download.

    The eight genres are four pairs. The two genres of a pair have the same instruments, and differ in the order of the
    sounds. Each artist is in one split only, as in FMA. An interrupted call is resumed by the next one; if the data set
    is complete, the call returns at once. Results on this music do not apply to FMA.

    Args:
        root: Folder for `fma_metadata` and `fma_small`.
        artists: Number of artists per genre, at least 3. One in six, at least one, is for validation, and as many for
            test.
        tracks_per_artist: Number of tracks by each artist, at least 1.
        seconds: Length of each track, at least 1 s. FMA's clips have 30 s.
        seed: Seed of the music and of the order of the tracks, at least 0; the same seed gives the same files.
        workers: Number of threads that synthesise and encode, at least 1; null for one per CPU.

    Raises:
        LitGenreError: An argument is out of range, or `root` has other data or a demo with other arguments.
    """
    check_at_least(
        artists=(artists, 3),
        tracks_per_artist=(tracks_per_artist, 1),
        seconds=(seconds, 1),
        seed=(seed, 0),
        workers=(1 if workers is None else workers, 1),
    )
    # Not at the top of the module, so that the help of the command needs neither NumPy nor pandas.
    from lit_genre.demo.dataset import write_dataset

    write_dataset(root, artists, tracks_per_artist, seconds, seed, workers)
