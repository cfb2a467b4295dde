"""Medians over repetitions of the pipeline benchmark, and the time that a rate needs to recover."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.stub.stats import SLICE_S

WINDOW_S = 1.0
"""Throughput is averaged over this time: some tens of requests at the smallest measured capacity."""

BACK = 0.9
"""Share of the attainable rate that counts as recovered."""

GROUPED = ("scenario", "candidate", "concurrency", "documents")

SUMMED = ("lost", "wrong", "blamed")
"""These are summed, so that one bad repetition is not hidden by the median of the others."""

Row = Mapping[str, Any]


def summaries(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Returns one row per candidate and scenario: medians, sums of what is lost or wrong, and errors."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in GROUPED), []).append(row)
    return [_summary(group) for group in groups.values()]


def _summary(group: Sequence[Row]) -> dict[str, Any]:
    first = group[0]
    made: dict[str, Any] = {name: first[name] for name in GROUPED}
    made["repetitions"] = len(group)
    numbers = [name for name, value in first.items() if isinstance(value, int | float) and name not in made]
    for name in numbers:
        values = [row[name] for row in group if row.get(name) is not None]
        made[name] = sum(values) if name in SUMMED else median(values)
    made["during_outage"] = max(row["ended"].get("during_outage", 0) for row in group)
    errors = [row["error"] for row in group if row.get("error")]
    return {**made, "error": errors[0]} if errors else made


def back_after(slices: Sequence[int], at_s: float, until_s: float, rate: float) -> float | None:
    """Returns the seconds from a change until the throughput of a second has recovered; None if it never has.

    Args:
        slices: answered texts, per slice of `SLICE_S`.
        at_s, until_s: the time of the change, and of the next one or the end.
        rate: the attainable rate after the change, in texts per second.
    """
    width = round(WINDOW_S / SLICE_S)
    first, end = round(at_s / SLICE_S), min(len(slices), round(until_s / SLICE_S))
    for at in range(first, end - width + 1):
        if sum(slices[at : at + width]) >= BACK * rate * WINDOW_S:
            return round((at - first) * SLICE_S, 3)
    return None
