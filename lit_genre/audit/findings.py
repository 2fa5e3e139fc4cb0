"""What an audit found: lists of tracks as CSV, which `--data.drop` takes, and a summary for people."""

import json
import re
import shlex
from pathlib import Path
from typing import Final

import pandas as pd
from rich import box
from rich.table import Table

from lit_genre.console import console
from lit_genre.data.track import SPLITS, Track
from lit_genre.errors import LitGenreError
from lit_genre.text import one_line, spreadsheet_cell

Findings = dict[str, pd.DataFrame]
"""A table for each list, indexed by `track_id`."""

LISTS: Final = {
    "artist_leaks": ("artist_id", "also_in"),
    "album_leaks": ("album_id", "also_in"),
    "duplicates": ("same", "kept", "kept_split"),
    "near_silent": ("rms_db", "silent_share"),
    "short": ("seconds", "expected"),
    "undecodable": ("reason",),
    "label_noise": ("genre", "suggested", "margin"),
}
"""The lists, and the columns that an example is told by."""

_TO_HEAR_FIRST: Final = ("near_silent", "label_noise")


def refuse_to_replace(output: Path) -> None:
    """Refuse a folder that has lists already.

    Raises:
        LitGenreError: It has: they may have been edited, which took somebody's time and ears.
    """
    for name in LISTS:
        if (path := output / f"{name}.csv").exists():
            raise LitGenreError(
                f"{path} is there already, and may have been edited. Choose another folder by --output, or delete it."
            )


def write_lists(found: Findings, tracks: list[Track], output: Path) -> Findings:
    """Write a CSV for each list, with what a person knows the tracks by; returns what is in them."""
    of = {track.track_id: track for track in tracks}
    for name, table in found.items():
        named = [of[track_id] for track_id in table.index]
        table.insert(0, "split", [track.split for track in named])
        table.insert(1, "genre", [track.genre_top or ", ".join(track.genres) for track in named])
        # On one line, whatever the metadata has in them.
        table["artist"] = [" ".join(track.artist.split()) for track in named]
        table["title"] = [" ".join(track.title.split()) for track in named]
        safe = table.map(lambda value: spreadsheet_cell(value) if isinstance(value, str) else value)
        # Of ends of lines within a cell, the csv module quotes those alone that also end a line here.
        safe.to_csv(output / f"{name}.csv", lineterminator="\r\n", errors="backslashreplace")
    return found


def report(found: Findings, n_tracks: int, output: Path) -> None:
    """Print how many tracks were found, an example of each list, and what to do next.

    Args:
        found: From `write_lists`.
        n_tracks: How many tracks were looked at.
        output: Folder of the lists.
    """
    table = Table("list", *("tracks", *SPLITS), "for example", box=box.SIMPLE_HEAD, pad_edge=False)
    table.title, table.title_justify = f"{n_tracks:,} tracks: what was found", "left"
    for name, told in LISTS.items():
        if name not in found:
            table.add_row(name, *["-"] * 4, "not looked for")
            continue
        rows = found[name]
        counts = [str(int((rows["split"] == split).sum())) for split in SPLITS]
        table.add_row(name, str(len(rows)), *counts, one_line(_example(rows[list(told)])))
    console.print(table)
    if len(copies := found["duplicates"]):
        groups = copies.groupby("group")["crosses_splits"].first()
        console.print(f"{groups.sum()} of the {len(groups)} groups of duplicates are in more than one split.")
    _say_what_next({name: found[name] for name in LISTS if len(found.get(name, ()))}, output)


def _example(rows: pd.DataFrame) -> str:
    if rows.empty:
        return ""
    return f"{rows.index[0]}: " + ", ".join(f"{column} {value}" for column, value in rows.iloc[0].items())


def _say_what_next(found: Findings, output: Path) -> None:
    """Tell what to do with the lists that are not empty."""
    if not found:
        console.print("Nothing was found.")
    for name in _TO_HEAR_FIRST:
        if name in found:
            path = output / f"{name}.csv"
            console.print(f"Next: listen to the first of {path}, and delete the lines of tracks to keep.")
    if found:
        names = [name for name in found if name not in _TO_HEAR_FIRST] or list(found)
        lists = ", ".join(_in_yaml(f"{output / name}.csv") for name in names)
        console.print(f"Next: leave the tracks out: lit-genre fit --data.drop={shlex.quote(f'[{lists}]')}")
    if any((rows["split"] == "test").any() for rows in found.values()):
        console.print("Figures of a test split that lacks some tracks cannot be compared with published ones.")


def _in_yaml(path: str) -> str:
    """Quote a path for a list in YAML, unless it is a plain word."""
    return path if re.fullmatch(r"[\w./-]+", path) else json.dumps(path, ensure_ascii=False)
