"""The command `prepare`: download, verify, unpack and decode FMA."""

from pathlib import Path

from lit_genre.data.metadata.track import Subset
from lit_genre.errors import check_at_least
from lit_genre.prepare.archive import FMA_URL


def prepare(
    subset: Subset = "small",
    root: Path = Path("data"),
    base_url: str = FMA_URL,
    keep_archives: bool = False,
    decode: bool | None = None,
    sample_rate: int = 22050,
    store_root: Path | None = None,
    workers: int | None = None,
    timeout: float = 30.0,
) -> None:
    """Download FMA, verify it, unpack it and decode it; steps that are done already are skipped.

    An interrupted step is resumed by the same command.

    Args:
        subset: "small" (7.7 GB, 8,000 clips), "medium" (24 GB, 25,000), "large" (100 GB, 106,574) or "full" (944 GB,
            the same tracks untrimmed).
        root: Folder for `fma_metadata` and `fma_<subset>`, and for the archives while they are needed.
        base_url: Address of a folder with FMA's archives, or a local folder that has them. Archives in a local folder
            are read in place and never deleted.
        keep_archives: Whether to keep downloaded archives, in `archives` in root, after they are unpacked. An archive
            that you put there yourself is kept anyway.
        decode: Whether to decode the audio into the store that training reads; null decodes all subsets but full.
        sample_rate: Sample rate of the store, Hz; a model needs a store of its own sample rate.
        store_root: Folder for the store; null for `pcm` in root.
        workers: Number of threads that unpack, at least 1; null for one per core.
        timeout: Time without an answer of the server, or without a byte, after which a new connection is opened, s.

    Raises:
        LitGenreError: The disk is too small, the server does not answer or has other files, an archive is damaged or
            not safe, or existing files would be replaced.
    """
    check_at_least(
        sample_rate=(sample_rate, 1), workers=(1 if workers is None else workers, 1), timeout=(timeout, 0.01)
    )
    from lit_genre.prepare.steps import run_steps

    run_steps(subset, root, base_url, keep_archives, decode, sample_rate, store_root, workers, timeout)
