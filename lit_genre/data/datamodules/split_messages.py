"""Messages on the songs of a user's data set: unknown artists, changed splits, and artists in several splits."""

from collections.abc import Iterator

from lit_genre.data.metadata.folders import Untagged
from lit_genre.data.metadata.manifest import ManifestEntry
from lit_genre.data.metadata.splits import artist_overlap, first_names


def describe_untagged(untagged: Untagged, n_songs: int) -> Iterator[str]:
    """Yield a message on songs of unknown artists: how many, why, and what to do; none if all artists are known.

    Args:
        untagged: Why the artists of songs are unknown.
        n_songs: Number of all songs.
    """
    names = [repr(name) for name, _ in untagged.placeholder_names.most_common()]
    reasons = [
        f"{count:,} {reason}"
        for count, reason in (
            (untagged.n_without, "without an artist tag"),
            (untagged.placeholder_names.total(), f"with an artist tag that names no artist ({first_names(names)})"),
            (untagged.n_unreadable, "with unreadable tags"),
        )
        if count
    ]
    if reasons:
        n_unknown = untagged.n_without + untagged.placeholder_names.total() + untagged.n_unreadable
        # If all files have artist tags, adding tags would not help.
        tags = "add artist tags to the files, or " if untagged.n_without else ""
        yield (
            f"The artist of {n_unknown:,} of the {n_songs:,} songs is unknown: {', '.join(reasons)}. Each of them is "
            "split by itself. If songs of one artist come to training and to test, the score is optimistic. To avoid "
            f"this, {tags}give a list with a column artist, --data.csv=LIST."
        )


def describe_moved(entries: list[ManifestEntry], saved: list[ManifestEntry]) -> Iterator[str]:
    """Yield a message on songs that have another split than in the saved one; none if no song has moved.

    Args:
        entries: The songs with their new splits.
        saved: The songs with their saved splits.
    """
    saved_splits = {entry.path: entry.split for entry in saved}
    moved = [entry for entry in entries if saved_splits.get(entry.path, entry.split) != entry.split]
    if moved:
        artists = list(dict.fromkeys(entry.artist for entry in moved))
        yield (
            f"{len(moved):,} of the songs changed their split: songs of one artist, in any spelling or by a common "
            f"song, were in several splits, and are moved to the split of most of them: {first_names(artists)}"
        )


def describe_artist_overlap(entries: list[ManifestEntry]) -> Iterator[str]:
    """Yield a warning if the given splits have artists in common."""
    if overlap := [f"{artist} ({', '.join(splits)})" for artist, splits in artist_overlap(entries).items()]:
        yield f"Artists in more than one split, so the score may be optimistic: {first_names(overlap)}."
