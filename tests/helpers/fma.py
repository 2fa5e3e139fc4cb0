"""A data set in FMA's layout, written by hand."""

from collections.abc import Callable
from pathlib import Path

import soundfile

WriteFMA = Callable[[dict[int, tuple[str, str, object]]], Path]


def write_tracks(root: Path, tracks: dict[int, tuple[str, str, object]]) -> Path:
    """Write tracks.csv and the clips under root, and return root.

    Args:
        root: Folder to make.
        tracks: {track id: (FMA's split, genre, content)}; content is samples (t,) or (t, channels) at 22,050 Hz, the
            bytes of a file, or None for a file that is missing.
    """
    (root / "fma_metadata").mkdir(parents=True)
    (root / "fma_small").mkdir()
    rows = [
        ",set,set,track,track,artist,artist",
        ",split,subset,genre_top,title,id,name",
        "track_id,,,,,,",
    ]
    for track_id, (split, genre, content) in tracks.items():
        rows.append(f"{track_id},{split},small,{genre},Title {track_id},{track_id},Artist {track_id}")
        path = root / "fma_small" / f"{track_id:06d}"[:3] / f"{track_id:06d}.mp3"
        path.parent.mkdir(exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif content is not None:
            # libsndfile detects the format by content, so that a WAV under the name of an MP3 is decoded losslessly.
            soundfile.write(path, content, 22050, format="WAV", subtype="PCM_16")
    (root / "fma_metadata" / "tracks.csv").write_text("\n".join(rows) + "\n")
    return root
