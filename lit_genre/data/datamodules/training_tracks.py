"""Read which tracks a model was trained on, and warn if it is evaluated on them."""

from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor

from lit_genre.data.metadata.track import Track
from lit_genre.errors import LitGenreError


def trained_tracks(checkpoint: dict[str, Any]) -> set[int] | None:
    """Return the ids of the tracks that a checkpoint was trained on; None if the checkpoint does not store them.

    Args:
        checkpoint: Content of the checkpoint.

    Raises:
        LitGenreError: The checkpoint is damaged.
    """
    # Lightning stores the state of a data module under the name of its class, which may be a user's.
    states = (part for part in checkpoint.values() if isinstance(part, dict) and "trained_on" in part)
    state = next(states, None)
    return read_track_ids(state["trained_on"]) if state else None


def read_track_ids(value: Any) -> set[int]:
    """Read the track ids that a checkpoint stores as a tensor.

    Args:
        value: The stored value; a checkpoint may be damaged or made by hand, so it may be anything.

    Raises:
        LitGenreError: The value is not a tensor of whole numbers, shape (t,).
    """
    if not isinstance(value, Tensor) or value.ndim != 1 or value.is_floating_point():
        raise LitGenreError("The checkpoint is damaged: it stores no track ids where they are expected.")
    return set(value.tolist())


def describe_training_overlap(
    tracks: list[Track], trained_on: set[int], track_name: Callable[[Track], str]
) -> Iterator[str]:
    """Yield a warning for each of the val and test splits that has tracks the model was trained on.

    Args:
        tracks: All tracks of the data set.
        trained_on: Ids of the tracks that the model was trained on.
        track_name: Returns the name of a track for messages.
    """
    for split in ("val", "test"):
        evaluated = [track for track in tracks if track.split == split]
        overlap = [track for track in evaluated if track.track_id in trained_on]
        if overlap:
            example = min(overlap, key=lambda track: track.track_id)
            yield (
                f"Warning: the model was trained on {len(overlap):,} of the {len(evaluated):,} {split} tracks (by "
                f"track id, for example {track_name(example)}), so the score is optimistic. The split may have "
                "changed since the training."
            )
