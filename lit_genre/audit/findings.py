"""Write the result of an audit as lists of tracks, which `--data.exclude` accepts, and print a summary."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pandas as pd
from rich import box
from rich.table import Table

from lit_genre.console import console, results
from lit_genre.data.metadata.track import SPLITS, Track
from lit_genre.errors import LitGenreError
from lit_genre.text import one_line, shell_argument, spreadsheet_cell

Findings = dict[str, pd.DataFrame]
"""A table for each list, by the name of the list; the index of a table is `track_id`."""

LISTS: Final = {
    "artist_leaks": ("artist_id", "also_in"),
    "album_leaks": ("album_id", "also_in"),
    "duplicates": ("same", "kept_name", "kept_split"),
    "near_silent": ("rms_db", "silent_share"),
    "short": ("seconds", "expected"),
    "incomplete": ("status", "seconds_lost", "decoded_fraction"),
    "undecodable": ("reason",),
    "damaged_samples": ("decoded_again", "seconds"),
    "label_noise": ("genre", "suggested", "margin"),
}
"""The lists, and the columns that the summary shows of an example."""

_TO_CHECK: Final = ("near_silent", "incomplete", "label_noise")
"""Lists with tracks that may be correct, so a person must check them before they are excluded."""

_REPAIRED: Final = "damaged_samples"
"""List of tracks that are decoded again and need no exclusion."""


def refuse_to_replace(output: Path) -> None:
    """Raise an error if a folder has lists already, because a user may have edited them.

    Args:
        output: Folder of the lists.

    Raises:
        LitGenreError: The folder has lists.
    """
    for name in LISTS:
        if (path := output / f"{name}.csv").exists():
            raise LitGenreError(
                f"{path} already exists, and may have been edited. Choose another folder with --output, or delete it."
            )


def write_lists(findings: Findings, tracks: list[Track], output: Path, track_name: Callable[[Track], str]) -> Findings:
    """Write a CSV file for each list, with split, genre, artist, title and name of each track.

    Args:
        findings: A table for each list, indexed by `track_id`; the columns are added to it.
        tracks: All tracks.
        output: Folder of the lists; it must exist.
        track_name: Function that returns the name of a track for messages.

    Returns:
        The tables with the added columns.

    Raises:
        OSError: A file cannot be written.
    """
    tracks_by_id = {track.track_id: track for track in tracks}
    for name, table in findings.items():
        table_tracks = [tracks_by_id[track_id] for track_id in table.index]
        table.insert(0, "split", [track.split for track in table_tracks])
        table.insert(1, "genre", [track.genre_top or ", ".join(track.genres) for track in table_tracks])
        # Texts of the metadata may contain line ends; each is written on one line.
        table["artist"] = [_on_one_line(track.artist) for track in table_tracks]
        table["title"] = [_on_one_line(track.title) for track in table_tracks]
        table["name"] = [_on_one_line(track_name(track)) for track in table_tracks]
        if "kept" in table:
            table["kept_name"] = [_on_one_line(track_name(tracks_by_id[track_id])) for track_id in table["kept"]]
        # Titles come from metadata that anyone may have written; a spreadsheet must not compute them.
        safe = table.map(lambda value: spreadsheet_cell(value) if isinstance(value, str) else value)
        # The csv module quotes a line end within a cell only if its characters are in the line terminator.
        safe.to_csv(output / f"{name}.csv", lineterminator="\r\n", errors="backslashreplace")
    return findings


def _on_one_line(text: str) -> str:
    return " ".join(text.split())


def report(findings: Findings, n_tracks: int, output: Path) -> None:
    """Print the number of tracks in each list, an example from it, and what to do next.

    Args:
        findings: Tables from `write_lists`.
        n_tracks: Number of tracks that were checked.
        output: Folder of the lists.
    """
    table = Table("list", *("tracks", *SPLITS), "for example", box=box.SIMPLE_HEAD, pad_edge=False)
    table.title, table.title_justify = f"Result of the audit of {n_tracks:,} tracks", "left"
    for name, columns in LISTS.items():
        # Some lists need decoded audio.
        if name not in findings:
            table.add_row(name, *["-"] * 4, "not checked")
            continue
        rows = findings[name]
        counts = [str(int((rows["split"] == split).sum())) for split in SPLITS]
        table.add_row(name, str(len(rows)), *counts, one_line(_example(rows, columns)))
    results.print(table)
    if len(copies := findings["duplicates"]):
        groups = copies.groupby("group")["crosses_splits"].first()
        console.print(f"{groups.sum()} of the {len(groups)} groups of duplicates are in more than one split.")
    _print_next_steps({name: findings[name] for name in LISTS if len(findings.get(name, ()))}, output)


def _example(rows: pd.DataFrame, columns: tuple[str, ...]) -> str:
    if rows.empty:
        return ""
    first = rows.iloc[0]
    return f"{first['name']}: " + ", ".join(f"{column} {first[column]}" for column in columns)


def _print_next_steps(findings: Findings, output: Path) -> None:
    """Print what to do with the lists that are not empty."""
    if not findings:
        console.print("Nothing was found.")
    if _REPAIRED in findings:
        repaired = findings.pop(_REPAIRED)["decoded_again"]
        console.print(
            f"The decoded audio of {len(repaired):,} tracks was damaged on the disk; {repaired.sum():,} of them were "
            "decoded again. If this happens again, check the disk."
        )
    for name in _TO_CHECK:
        if name in findings:
            path = output / f"{name}.csv"
            console.print(f"Next: listen to the first tracks of {path}, and delete the lines of tracks to keep.")
    if findings:
        # Lists to check are suggested only if there are no others.
        names = [name for name in findings if name not in _TO_CHECK] or list(findings)
        # With slashes on Windows, too: YAML would need an escape for each backslash.
        lists = ", ".join(_in_yaml(f"{(output / name).as_posix()}.csv") for name in names)
        console.print(f"Next: leave the tracks out: lit-genre fit --data.exclude={shell_argument(f'[{lists}]')}")
    if any((rows["split"] == "test").any() for rows in findings.values()):
        console.print("Results on a test split without some of its tracks cannot be compared with published results.")


def _in_yaml(path: str) -> str:
    """Return a path as an item of a YAML list, in quotes if it has special characters."""
    return path if re.fullmatch(r"[\w./:-]+", path) else json.dumps(path, ensure_ascii=False)
