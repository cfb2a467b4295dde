"""The whole memory benchmark: reads each collection in a fresh process and compares the peaks."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from benchmarks.common.documents import fill
from benchmarks.common.mongo import Driver, scratch
from benchmarks.common.progress import Steps, steps

SIZES = (10_000, 1_000_000)
QUICK_SIZES = (2_000, 20_000)
MOST_RATIO = 1.5
"""Acceptance: the large collection may take at most this many times the memory of the small one."""


class Entities(StrEnum):
    """What the extractor finds in each text."""

    NONE = "none"
    ONE = "one"
    BOTH = "both"

    @property
    def kinds(self) -> tuple[str, ...]:
        """The extractors to run, one after another."""
        return ("none", "one") if self is Entities.BOTH else (self.value,)


@dataclass(frozen=True)
class Setup:
    """The sizes and extractors to measure."""

    sizes: tuple[int, ...]
    entities: tuple[str, ...]
    driver: Driver


def measure(uri: str, setup: Setup) -> list[dict[str, Any]]:
    """Fills the collections and reads each in fresh processes.

    Returns:
        One row per read: `entities, size`, and what the child process reports.
    """
    rows = []
    with scratch(uri) as database, steps("memory", len(setup.sizes) * (1 + len(setup.entities))) as shown:
        for size in setup.sizes:
            shown.at(f"filling {size:,}")
            fill(database[f"messages_{size}"], size)
            shown.done()
            for entities in setup.entities:
                row = _read(uri, database.name, size, entities, setup.driver, shown)
                rows.append({"entities": entities, "size": size, **row})
                shown.done()
    return rows


def _read(uri: str, database: str, size: int, entities: str, driver: Driver, shown: Steps) -> dict[str, Any]:
    """Reads the collection in a fresh process and returns its report; the results are dropped afterwards."""
    task = {"uri": uri, "database": database, "collection": f"messages_{size}", "entities": entities}
    with scratch(uri) as target:
        answers = _child({**task, "target": target.name, "driver": driver.value})
        result: dict[str, Any] = {}
        for answer in answers:
            result = answer
            if "documents" in answer:
                shown.at(f"reading {answer['documents']:,} of {size:,}, {entities} found")
    return {**result, "documents_per_second": round(result["read"] / result["seconds"])}


def _child(task: dict[str, str]) -> Iterable[dict[str, Any]]:
    """Yields the lines of a child process. Its task is not on the command line: it may contain a password."""
    command = [sys.executable, "-m", "benchmarks.memory.run_one"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(json.dumps(task) + "\n")
        child.stdin.close()
        yield from map(json.loads, child.stdout)
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, "benchmarks.memory.run_one")


def ratios(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Divides the peak memory of the largest collection by that of the smallest, for each extractor."""
    by_size = sorted(rows, key=lambda row: row["size"])
    least = {row["entities"]: row["peak_mb"] for row in reversed(by_size)}
    most = {row["entities"]: row["peak_mb"] for row in by_size}
    return {entities: round(most[entities] / least[entities], 3) for entities in least}


def succeeded(rows: list[dict[str, Any]]) -> bool:
    """Whether everything was read, and memory did not grow beyond the limit."""
    complete = all(row["reconciled"] and row["read"] == row["size"] for row in rows)
    return complete and max(ratios(rows).values()) <= MOST_RATIO


def table(rows: list[dict[str, Any]]) -> Table:
    """Makes a table of the rows."""
    shown = Table(box=SIMPLE_HEAD)
    names = ("entities", "documents", "ranges", "seconds", "per second", "MB before", "peak MB")
    for name in names:
        shown.add_column(name, justify="right")
    for row in rows:
        shown.add_row(
            row["entities"],
            f"{row['read']:,}",
            f"{row['ranges']:,}",
            f"{row['seconds']:.1f}",
            f"{row['documents_per_second']:,}",
            f"{row['before_mb']:.0f}",
            f"{row['peak_mb']:.0f}",
        )
    return shown
