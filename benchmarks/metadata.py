"""Measure the time to read FMA's metadata, from a tracks.csv of the same shape and size.

    python benchmarks/metadata.py [--rounds 3]

It is read to `Track` records, as by a data module.
"""

import argparse
import csv
import tempfile
from pathlib import Path

from timing import medians

from lit_genre.data.metadata.fma import load_tracks
from lit_genre.demo.dataset import COLUMNS

ROWS = 106_574
BIOGRAPHY = 'A "biography", with commas\nand lines. ' * 62


def write_tracks(root: Path) -> Path:
    """Write a file with as many rows, columns and bytes as FMA's tracks.csv."""
    columns = [(group, field) for group, fields in COLUMNS.items() for field in fields.split()]
    path = root / "fma_metadata" / "tracks.csv"
    path.parent.mkdir()
    with path.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["", *(group for group, _ in columns)])
        table.writerow(["", *(field for _, field in columns)])
        table.writerow(["track_id", *("" for _ in columns)])
        for track_id in range(ROWS):
            subset = "small" if track_id < 8000 else "medium" if track_id < 25000 else "large"
            row = {
                ("set", "split"): ("training", "validation", "test")[max(0, track_id % 10 - 7)],
                ("set", "subset"): subset,
                ("track", "genre_top"): "" if subset == "large" else ("Folk", "Pop", "Rock")[track_id % 3],
                ("track", "genres"): "[10, 12]",
                ("artist", "id"): track_id // 7,
                ("artist", "bio"): BIOGRAPHY,
            }
            table.writerow([track_id, *(row.get(column, "") for column in columns)])
    return path


def main() -> None:
    """Print seconds for each subset."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        size = write_tracks(root).stat().st_size
        seconds = medians(
            options.rounds, small=lambda: load_tracks(root, "small"), medium=lambda: load_tracks(root, "medium")
        )
    print(f"{ROWS:,} rows, {size / 1e6:.0f} MB: small in {seconds['small']:.2f} s, medium in {seconds['medium']:.2f} s")


if __name__ == "__main__":
    main()
