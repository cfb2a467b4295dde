"""Prints the results of the pipeline benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

WIDTH = 140
"""The least width, also without a terminal: in fewer columns the numbers would be cut."""

LABELS = {
    "engine": "engine, default settings",
    "engine_on_asyncio": "engine, asyncio's loop",
    "engine_on_pymongo": "engine, PyMongo",
    "workers": "expert's workers",
    "workers_wide": "the same, 64 texts",
    "workers_on_pymongo": "the same, PyMongo",
    "gather": "gather and semaphore",
    "threads": "64 threads, requests",
    "blog": "the blog's loop",
    "beam": "Beam RequestResponseIO",
    "ray": "Ray Data",
    "bare": "bare sockets",
}

_COLUMNS = {
    "documents": ("documents", "{:,}"),
    "documents_per_second": ("per second", "{:,.0f}"),
    "share": ("share", "{:.1%}"),
    "cpu_ms_a_document": ("CPU ms", "{:.3f}"),
    "peak_mb": ("MB", "{:,.0f}"),
    "requests": ("requests", "{:,.0f}"),
    "requests_per_needed": ("/needed", "{:.2f}"),
    "latency_p95_ms": ("p95 ms", "{:,.0f}"),
    "latency_p95_times": ("/idle", "{:.2f}"),
    "lost": ("lost", "{:,.0f}"),
    "wrong": ("wrong", "{:,.0f}"),
    "dead_letters": ("dead", "{:,.0f}"),
}
_OF_STORED = ("lost", "wrong", "dead_letters")

_NOTES = (
    "share: of the capacity in full requests of n texts, slots * n / (base + n * time of a text)",
    "n: 64 texts for the engine, its default; 32 for the others that send batches, if not named; otherwise 1",
    "bare sockets: prepared requests, nothing stored; the limit of stub and machine",
    "CPU ms: of the client, per document; MB: its peak; /needed: requests over full requests without faults",
    "p95: latency of answered requests at the service; /idle: over the latency if nothing waited",
    "dead: dead letters; lost: documents with neither results nor a dead letter",
    "",
)

Row = Mapping[str, Any]


def show(result: Mapping[str, Any], out: Console | None = None) -> None:
    """Prints the measurements of each scenario, and the checks of the acceptance."""
    out = out or Console(width=max(WIDTH, Console().width))
    machine = result["machine"]
    out.print(f"{machine['cores']} cores, {machine['cpu']}, mongod {machine['mongod']}, {machine['driver']}")
    for scenario in result["scenarios"]:
        rows = [row for row in result["medians"] if row["scenario"] == scenario["name"]]
        out.print(table(scenario, rows))
        for row in (row for row in rows if row.get("error")):
            out.print(f"  {label(row)}: {row['error']}", highlight=False, markup=False)
    for line in _NOTES:
        out.print(line, highlight=False)
    if not result["setup"]["peers"]:
        out.print(
            "Beam and Ray Data: not measured; --peers-python names an interpreter that has them\n",
            highlight=False,
        )
    for name, recoveries in result["recoveries"].items():
        times = ", ".join(f"{change} {_back(seconds)}" for change, seconds in recoveries.items())
        out.print(f"{LABELS[name]}, back at 90% after capacity was: {times}", highlight=False)
    for check in result["acceptance"]:
        out.print(verdict(check), highlight=False)


def _back(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds:.1f} s"


def table(scenario: Mapping[str, Any], rows: Sequence[Row]) -> Table:
    """Makes the table of one scenario."""
    capacity = f", {scenario['capacity']:,.0f} texts per second" if scenario["capacity"] else ""
    made = Table(title=f"{scenario['label']}{capacity}", title_justify="left", box=SIMPLE_HEAD)
    made.add_column("candidate", no_wrap=True)
    for head, _ in _COLUMNS.values():
        made.add_column(head, justify="right", no_wrap=True)
    for row in rows:
        made.add_row(label(row), *(_cell(row, name) for name in _COLUMNS))
    return made


def label(row: Row) -> str:
    """Names the candidate, with its concurrency if that was chosen."""
    name = LABELS[row["candidate"]]
    return f"{name}, {row['concurrency']}" if row["concurrency"] else name


def _cell(row: Row, name: str) -> str:
    value = row.get(name)
    if value is None or (row["candidate"] == "bare" and name in _OF_STORED):
        return ""
    return _COLUMNS[name][1].format(value)


def verdict(check: Mapping[str, Any]) -> str:
    """Describes a check of the acceptance in one line."""
    if check["passed"] is None:
        return f"  ? {check['point']} not measured: {check['what']} ({check['limit']})"
    mark = "[green]✓ pass[/green]" if check["passed"] else "[red]✗ fail[/red]"
    value = "never" if check["value"] is None else f"{check['value']:.3f}"
    return f"  {mark} {check['point']} {check['what']}: {value} ({check['limit']})"
