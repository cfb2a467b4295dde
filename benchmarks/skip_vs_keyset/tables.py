"""Prints the results of the benchmark of skip against keyset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.skip_vs_keyset.readers import LABELS

MOST_TIMES_CURSOR = 1.2
"""Acceptance: the engine's time over that of one cursor, at most (1,000,000 documents, pages of 1,000)."""

WIDTH = 100
"""The least width, also without a terminal: in fewer columns the numbers would be cut."""

Row = Mapping[str, Any]


def show(result: Mapping[str, Any], out: Console | None = None) -> None:
    """Prints the times, how they grow, and the lost documents."""
    out = out or Console(width=max(WIDTH, Console().width))
    machine = result["machine"]
    out.print(f"{machine['cores']} cores, {machine['cpu']}, mongod {machine['mongod']}, {machine['driver']}")
    out.print(reads_table(result["reads"]))
    out.print("~ estimated from pages at sampled depths; keys, docs: examined per returned document\n")
    for line in growth(result["reads"]):
        out.print(line, highlight=False)
    out.print(churn_table(result["churn"]))


def reads_table(rows: list[Row]) -> Table:
    """Makes a table with the time and the work of each reader."""
    names = ("documents", "page", "reader", "seconds", "per second", "x cursor", "keys", "docs")
    table = _table("Reading everything", names)
    last = None
    for row in rows:
        if last not in (None, (row["size"], row["page"])):
            table.add_section()
        last = (row["size"], row["page"])
        table.add_row(
            f"{row['size']:,}",
            f"{row['page']:,}",
            LABELS[row["reader"]],
            f"{'~' if row['estimated'] else ''}{row['seconds']:,.2f}",
            f"{row['size'] / row['seconds']:,.0f}",
            f"{ratio(rows, row['reader'], 'cursor', row['size'], row['page']):,.2f}",
            f"{row['keys_examined'] / row['size']:,.2f}",
            f"{row['documents_examined'] / row['size']:,.2f}",
        )
    return table


def churn_table(rows: list[Row]) -> Table:
    """Makes a table of what each reader lost or repeated of the documents that were there all the time."""
    modes = list(dict.fromkeys(row["mode"] for row in rows))
    what = f"Of {rows[0]['size']:,} documents, lost / repeated while 1% were deleted, inserted, or both"
    table = _table(what, ("page", "reader", *modes))
    for page, reader in dict.fromkeys((row["page"], row["reader"]) for row in rows):
        same = [row for row in rows if (row["page"], row["reader"]) == (page, reader)]
        counts = [f"{row['lost']:,} / {row['repeated']:,}" for row in same]
        table.add_row(f"{page:,}", LABELS[reader], *counts)
    return table


def growth(rows: list[Row]) -> list[str]:
    """Lists the important ratios, size by size: skip over keyset, keyset over one cursor."""
    sizes = sorted({row["size"] for row in rows})
    pages = sorted({row["page"] for row in rows})
    pairs = (
        ("skip_sorted", "engine"),
        ("skip_natural", "engine"),
        ("engine", "cursor"),
        ("engine", "cursor_exact"),
    )
    lines = [f"At {', '.join(f'{size:,}' for size in sizes)} documents:"]
    for one, other in pairs:
        for page in pages:
            times = " · ".join(f"{ratio(rows, one, other, size, page):,.2f}" for size in sizes)
            lines.append(f"  {LABELS[one]} over {LABELS[other]}, pages of {page:,}: {times}")
    return [*lines, f"  (acceptance: engine over one cursor at most {MOST_TIMES_CURSOR})"]


def ratio(rows: list[Row], one: str, other: str, size: int, page: int) -> float:
    """Divides the time of one reader by that of another."""
    seconds = {r["reader"]: r["seconds"] for r in rows if (r["size"], r["page"]) == (size, page)}
    return float(seconds[one] / seconds[other])


def _table(title: str, names: tuple[str, ...]) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for name in names:
        table.add_column(name, justify="left" if name == "reader" else "right", no_wrap=name == "reader")
    return table
