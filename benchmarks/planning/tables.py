"""Prints the results of the planning benchmark, and checks its limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.planning.counts import YARDSTICK
from benchmarks.planning.mixed_types import CASES, DOCUMENTS, READERS, TARGET, TIED
from benchmarks.planning.splitters import LABELS

ACCEPTED_AT = 1_000_000
"""The size of the collection for which the ratios are checked."""

MOST_RATIO = {"counted": 1.3, "exact": 2.0}
MOST_SAMPLE_S = 0.150
MOST_P95 = 1.3

WIDTH = 110
"""The least width, also without a terminal: in fewer columns the numbers would be cut."""

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Check:
    """A check of the acceptance; `passed` is None if it was not measured."""

    what: str
    most: float
    value: float | None

    @property
    def passed(self) -> bool | None:
        """Whether the value keeps the limit."""
        return None if self.value is None else self.value <= self.most


def acceptance(rows: Sequence[Row]) -> list[Check]:
    """Makes the checks of the acceptance: two ratios at one size, and the sample at every size."""
    checks = []
    for way, most in MOST_RATIO.items():
        found = [row["ratio"] for row in rows if (row["way"], row["size"]) == (way, ACCEPTED_AT)]
        what = f"{way} over COUNT_SCAN at {ACCEPTED_AT:,}"
        checks.append(Check(what, most, found[0] if found else None))
    for row in (row for row in rows if row["way"] == "sample"):
        checks.append(Check(f"seconds of sample at {row['size']:,}", MOST_SAMPLE_S, row["seconds"]))
        checks.append(Check(f"p95 of sample over its target at {row['size']:,}", MOST_P95, row["p95"]))
    return checks


def show(result: Mapping[str, Any], out: Console | None = None) -> None:
    """Prints the times, the lost documents, and the checks of the acceptance."""
    out = out or Console(width=max(WIDTH, Console().width))
    machine = result["machine"]
    out.print(f"{machine['cores']} cores, {machine['cpu']}, mongod {machine['mongod']}, {machine['driver']}")
    out.print(times_table(result["times"]))
    out.print("p5, p50, p95, largest: counted documents per range over the target, of all repetitions\n")
    out.print(mixed_table(result["mixed"]))
    out.print(
        f"reported: of the mixed order field, left out and the Plan says so; "
        f"largest: range over its target where {TIED} share a timestamp\n"
    )
    for check in acceptance(result["times"]):
        out.print(_verdict(check), highlight=False)


def times_table(rows: Sequence[Row]) -> Table:
    """Makes a table with the time and the skew of each way."""
    names = ("documents", "way", "ms", "x COUNT_SCAN", "ranges", "p5", "p50", "p95", "largest")
    table = _table("Planning", names)
    for row in rows:
        table.add_row(
            f"{row['size']:,}", LABELS[row["way"]], *_cells(row), end_section=row["way"] == YARDSTICK
        )
    return table


def _cells(row: Row) -> list[str]:
    if "refused" in row:
        return ["not allowed"]
    cells = [f"{1000 * row['seconds']:,.0f}", f"{row['ratio']:,.2f}"]
    if "ranges" not in row:
        return cells
    return [*cells, f"{row['ranges']:,}", *(f"{row[name]:.2f}" for name in ("p5", "p50", "p95", "largest"))]


def mixed_table(rows: Sequence[Row]) -> Table:
    """Makes a table of the lost and repeated documents of mixed types, for both ways of reading."""
    what = f"Of {DOCUMENTS} documents in ranges of {TARGET}, lost / repeated"
    table = _table(
        what, ("ranges by", "read by", *(case.label for case in CASES.values()), "reported", "largest")
    )
    for reading in READERS:
        chosen = [row for row in rows if row["reading"] == reading]
        ways = list(dict.fromkeys(row["way"] for row in chosen))
        for way in ways:
            same = {row["case"]: row for row in chosen if row["way"] == way}
            counts = ["not allowed" if "refused" in row else _counts(row) for row in same.values()]
            table.add_row(LABELS[way], reading, *counts, *_besides(same), end_section=way == ways[-1])
    return table


def _counts(row: Row) -> str:
    return f"{row['lost']:,} / {row['repeated']:,}"


def _besides(cases: Mapping[str, Row]) -> tuple[str, str]:
    """Returns the reported documents and the largest range, unless lost documents make it look smaller."""
    reported, ties = cases["values"].get("reported", ""), cases["ties"]
    return str(reported), f"{ties['largest']:.2f}" if ties.get("lost") == 0 else ""


def _verdict(check: Check) -> str:
    if check.value is None:
        return f"  ? not measured: {check.what} (at most {check.most:g})"
    mark = "[green]✓ pass[/green]" if check.passed else "[red]✗ fail[/red]"
    return f"  {mark} {check.what}: {check.value:.3f} (at most {check.most:g})"


def _table(title: str, names: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for name in names:
        text = name in ("way", "ranges by", "read by")
        table.add_column(name, justify="left" if text else "right", no_wrap=text)
    return table
