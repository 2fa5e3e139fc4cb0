"""The result of an audit: lists of tracks as CSV, which `--data.drop` takes, and a summary for people."""

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pandas as pd
from rich import box
from rich.table import Table

from lit_genre.console import console
from lit_genre.data.metadata.track import SPLITS, Track
from lit_genre.errors import LitGenreError
from lit_genre.text import one_line, spreadsheet_cell

Findings = dict[str, pd.DataFrame]
"""A table for each list, indexed by `track_id`."""

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
"""Lists of tracks that may well be all right."""

_REPAIRED: Final = "damaged_samples"


def refuse_to_replace(output: Path) -> None:
    """Refuse a folder that has lists already.

    Raises:
        LitGenreError: It has: they may have been edited, which takes time.
    """
    for name in LISTS:
        if (path := output / f"{name}.csv").exists():
            raise LitGenreError(
                f"{path} is there already, and may have been edited. Choose another folder by --output, or delete it."
            )


def write_lists(found: Findings, tracks: list[Track], output: Path, name_of: Callable[[Track], str]) -> Findings:
    """Write a CSV for each list, with split, genre, artist, title and name of each track; return what is in them.

    Args:
        found: A table for each list.
        tracks: All tracks.
        output: Folder of the lists.
        name_of: Names a track for people.
    """
    of = {track.track_id: track for track in tracks}
    for name, table in found.items():
        named = [of[track_id] for track_id in table.index]
        table.insert(0, "split", [track.split for track in named])
        table.insert(1, "genre", [track.genre_top or ", ".join(track.genres) for track in named])
        # On one line, whatever the metadata has in them.
        table["artist"] = [" ".join(track.artist.split()) for track in named]
        table["title"] = [" ".join(track.title.split()) for track in named]
        table["name"] = [" ".join(name_of(track).split()) for track in named]
        if "kept" in table:
            table["kept_name"] = [" ".join(name_of(of[track_id]).split()) for track_id in table["kept"]]
        safe = table.map(lambda value: spreadsheet_cell(value) if isinstance(value, str) else value)
        # Of ends of lines within a cell, the csv module quotes those alone that also end a line here.
        safe.to_csv(output / f"{name}.csv", lineterminator="\r\n", errors="backslashreplace")
    return found


def report(found: Findings, n_tracks: int, output: Path) -> None:
    """Print how many tracks each list has, an example of it, and what to do next.

    Args:
        found: From `write_lists`.
        n_tracks: How many tracks were looked at.
        output: Folder of the lists.
    """
    table = Table("list", *("tracks", *SPLITS), "for example", box=box.SIMPLE_HEAD, pad_edge=False)
    table.title, table.title_justify = f"Result of the audit of {n_tracks:,} tracks", "left"
    for name, columns in LISTS.items():
        if name not in found:
            table.add_row(name, *["-"] * 4, "not checked")
            continue
        rows = found[name]
        counts = [str(int((rows["split"] == split).sum())) for split in SPLITS]
        table.add_row(name, str(len(rows)), *counts, one_line(_example(rows, columns)))
    console.print(table)
    if len(copies := found["duplicates"]):
        groups = copies.groupby("group")["crosses_splits"].first()
        console.print(f"{groups.sum()} of the {len(groups)} groups of duplicates are in more than one split.")
    _print_next_steps({name: found[name] for name in LISTS if len(found.get(name, ()))}, output)


def _example(rows: pd.DataFrame, columns: tuple[str, ...]) -> str:
    if rows.empty:
        return ""
    first = rows.iloc[0]
    return f"{first['name']}: " + ", ".join(f"{column} {first[column]}" for column in columns)


def _print_next_steps(found: Findings, output: Path) -> None:
    """Print what to do with the lists that are not empty."""
    if not found:
        console.print("Nothing was found.")
    if _REPAIRED in found:
        repaired = found.pop(_REPAIRED)["decoded_again"]
        console.print(
            f"The decoded audio of {len(repaired):,} tracks was damaged on the disk; {repaired.sum():,} of them were "
            "decoded again. If that happens again, check the disk."
        )
    for name in _TO_CHECK:
        if name in found:
            path = output / f"{name}.csv"
            console.print(f"Next: listen to the first tracks of {path}, and delete the lines of tracks to keep.")
    if found:
        names = [name for name in found if name not in _TO_CHECK] or list(found)
        lists = ", ".join(_in_yaml(f"{output / name}.csv") for name in names)
        console.print(f"Next: leave the tracks out: lit-genre fit --data.drop={shlex.quote(f'[{lists}]')}")
    if any((rows["split"] == "test").any() for rows in found.values()):
        console.print("Figures of a test split that lacks some tracks cannot be compared with published ones.")


def _in_yaml(path: str) -> str:
    """Quote a path for a list in YAML, unless it is a plain word."""
    return path if re.fullmatch(r"[\w./-]+", path) else json.dumps(path, ensure_ascii=False)
