"""Print the rows of a list on the standard output: as a table, JSON or CSV."""

import csv
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.table import Table

from lit_genre.console import results
from lit_genre.text import spreadsheet_cell

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def print_list(rows: "Sequence[DataclassInstance]", format: str, table: Table) -> None:
    """Print a list.

    Args:
        rows: Dataclass objects of one class, which JSON and CSV contain with all attributes.
        format: "table", "json" or "csv".
        table: The rows as a table for people.
    """
    records: list[dict[str, Any]] = [asdict(row) for row in rows]
    if format == "json":
        sys.stdout.write(json.dumps(records, indent=2) + "\n")
    elif format == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        # Without a row, no class tells the columns.
        writer.writerows([list(records[0])] if records else [])
        writer.writerows([spreadsheet_cell(str(value)) for value in record.values()] for record in records)
    else:
        results.print(table)
