"""Medians of the repetitions of the pipeline benchmark, and how fast a rate comes back after a change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.stub.stats import SLICE_S

WINDOW_S = 1.0
"""Throughput is taken over this long: some tens of requests at the least capacity measured."""

BACK = 0.9
"""Share of what is attainable that counts as being back."""

GROUPED = ("scenario", "candidate", "concurrency", "documents")

SUMMED = ("lost", "wrong", "blamed")
"""What one bad repetition must not hide behind the median of the others."""

Row = Mapping[str, Any]


def summaries(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """One row a candidate and scenario: medians of numbers, sums of what is lost or wrong, errors."""
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
    """Seconds from a change until throughput over the next second is back; None if it never is.

    Args:
        slices: texts answered, by slices of `SLICE_S`.
        at_s, until_s: the change, and the next one or the end.
        rate: what is attainable now, in texts a second.
    """
    width = round(WINDOW_S / SLICE_S)
    first, end = round(at_s / SLICE_S), min(len(slices), round(until_s / SLICE_S))
    for at in range(first, end - width + 1):
        if sum(slices[at : at + width]) >= BACK * rate * WINDOW_S:
            return round((at - first) * SLICE_S, 3)
    return None
