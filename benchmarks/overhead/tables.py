"""Prints the results of the overhead benchmark, and checks its limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

MINUTE_S = 60.0
MOST_OVERHEAD = 0.15
"""Acceptance, for ranges of a minute: how much longer the DAG may take than the engine alone."""

WIDTH = 110
"""The least width, also without a terminal: in fewer columns the numbers would be cut."""

Row = Mapping[str, Any]

_MAPPED = {
    "queued_s": "queued until its process runs",
    "starting_s": "its process until the engine begins",
    "working_s": "the engine's work",
    "ending_s": "from there to its process's end",
    "wall_s": "wall time of all, a task",
}


@dataclass(frozen=True, slots=True)
class Check:
    """A limit, and the measured value."""

    what: str
    limit: float
    measured: float

    @property
    def passed(self) -> bool:
        """Whether the limit is kept."""
        return self.measured <= self.limit


def acceptance(rows: list[Row]) -> list[Check]:
    """Checks the limits that apply to what was measured."""
    return [
        Check(f"overhead, {row['work']}", MOST_OVERHEAD, row["overhead"])
        for row in rows
        if row["range_s"] and row["range_s"] >= MINUTE_S
    ]


def show(result: Mapping[str, Any], out: Console | None = None) -> None:
    """Prints the times of the engine and the DAG, and where the DAG's time goes."""
    out = out or Console(width=max(WIDTH, Console().width))
    rows = result["rows"]
    out.print(ways_table(rows))
    out.print(phases_table(rows))
    out.print(mapped_table(rows))
    for check in acceptance(rows):
        verdict = "[green]✓[/]" if check.passed else "[red]✗[/]"
        out.print(f"{verdict} {check.what}: {check.measured:.1%}, at most {check.limit:.0%}", highlight=False)


def ways_table(rows: list[Row]) -> Table:
    """Compares the wall times."""
    names = ("work", "documents", "engine alone, s", "DAG, s", "more, s", "overhead")
    table = _table("The engine alone, and the DAG under a real scheduler", names)
    for row in rows:
        more_s = row["wall_s"] - row["alone_s"]
        times = (f"{seconds:.1f}" for seconds in (row["alone_s"], row["wall_s"], more_s))
        table.add_row(row["work"], f"{row['documents']:,}", *times, f"{row['overhead']:.1%}")
    return table


def phases_table(rows: list[Row]) -> Table:
    """Shows the DAG's wall time, phase by phase."""
    table = _table("Where the DAG's time goes, in seconds", ("phase", *(row["work"] for row in rows)))
    for phase in rows[0]["phases"]:
        table.add_row(phase, *(f"{row['phases'][phase]:.2f}" for row in rows))
    table.add_section()
    table.add_row("all", *(f"{row['wall_s']:.2f}" for row in rows))
    return table


def mapped_table(rows: list[Row]) -> Table:
    """Shows how long a mapped task takes, on average."""
    table = _table("A mapped task, in seconds on average", ("part", *(row["work"] for row in rows)))
    for name, words in _MAPPED.items():
        table.add_row(words, *(f"{row['mapped'][name]:.2f}" for row in rows))
    table.add_row("slots without a process", *(f"{row['mapped']['idle_share']:.0%}" for row in rows))
    return table


def _table(title: str, names: tuple[str, ...]) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for at, name in enumerate(names):
        table.add_column(name, justify="right" if at else "left", no_wrap=not at)
    return table
