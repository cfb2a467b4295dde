"""The acceptance of the pipeline benchmark: its limits, and the measured value of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import inf, isinf
from typing import Any

from benchmarks.pipeline.medians import back_after

Row = Mapping[str, Any]

LEAST_SHARE_OF_BEST = 0.97
MOST_TIMES_UNLOADED = 2.0
MOST_BACK_S = 10.0
LEAST_SHARE_OF_WORKERS = 0.85
MOST_TIMES_MEMORY = 1.5
LEAST_SHARE_OF_FAULTLESS = 0.85
MOST_TIMES_NEEDED = 1.2
MOST_PROBES = 100
MOST_GROWTH = 1.15


@dataclass(frozen=True, slots=True)
class Check:
    """A check of the acceptance; `value` is None if it was not measured."""

    point: int
    what: str
    value: float | None
    least: float | None = None
    most: float | None = None

    @property
    def passed(self) -> bool | None:
        """Whether the value keeps the limits; None if it was not measured."""
        if self.value is None:
            return None
        above = self.least is None or self.value >= self.least
        return above and (self.most is None or self.value <= self.most)

    @property
    def limit(self) -> str:
        """The limits in words."""
        if self.least == self.most:
            return f"exactly {self.most:g}"
        return f"at least {self.least:g}" if self.most is None else f"at most {self.most:g}"

    def to_json(self) -> dict[str, Any]:
        """Returns the check for the result file. An infinite value, of what never happened, becomes None."""
        value = None if self.value is None or isinf(self.value) else self.value
        return {**asdict(self), "value": value, "limit": self.limit, "passed": self.passed}


class Measured:
    """Looks up medians by scenario and candidate."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows

    def value(self, scenario: str, name: str, candidate: str = "engine", documents: int = 0) -> float | None:
        """Returns one number. If the candidate ran with several concurrencies, that of the fastest."""
        found = [
            row
            for row in self._rows
            if (row["scenario"], row["candidate"]) == (scenario, candidate)
            and documents in (0, row["documents"])
        ]
        best = max(found, key=lambda row: row.get("documents_per_second") or 0, default={})
        value: float | None = best.get(name)
        return value

    def sizes(self, scenario: str) -> list[int]:
        """Returns the numbers of documents that the scenario was run with, in ascending order."""
        return sorted({row["documents"] for row in self._rows if row["scenario"] == scenario})


def over(value: float | None, other: float | None) -> float | None:
    """Returns the ratio; None if one value was not measured."""
    return value / other if value is not None and other else None


def acceptance(medians: Sequence[Row], recoveries: Mapping[str, float | None], poisoned: int) -> list[Check]:
    """Makes all checks, in their order; `recoveries` are those of the engine (`recoveries_of`)."""
    of = Measured(medians)
    return [*_service(of, recoveries), *_client(of), *_faulty(of), *_faults(of, poisoned), *_memory(of)]


def _service(of: Measured, recoveries: Mapping[str, float | None]) -> Iterator[Check]:
    rate = "documents_per_second"
    for workers, size in (("workers", "32"), ("workers_wide", "64")):
        ratio = over(of.value("service", rate), of.value("service", rate, workers))
        what = f"documents per second over those of the best workers with {size} texts a request (A)"
        yield Check(1, what, ratio, least=LEAST_SHARE_OF_BEST)
    p95 = of.value("service", "latency_p95_times")
    yield Check(1, "p95 latency over the unloaded one (A)", p95, most=MOST_TIMES_UNLOADED)
    for change, seconds in recoveries.items():
        what = f"seconds until back at 90% after capacity is {change} (D)"
        yield Check(1, what, inf if seconds is None else seconds, most=MOST_BACK_S)
    yield Check(1, "documents lost where capacity is narrow (G)", of.value("narrow", "lost"), 0, 0)


def _client(of: Measured) -> Iterator[Check]:
    for name, what, limits in (
        ("documents_per_second", "documents per second", {"least": LEAST_SHARE_OF_WORKERS}),
        ("peak_mb", "peak memory", {"most": MOST_TIMES_MEMORY}),
    ):
        ratio = over(of.value("client_all", name), of.value("client_all", name, "workers"))
        yield Check(2, f"{what} over that of the workers (B, everything)", ratio, **limits)


def _faulty(of: Measured) -> Iterator[Check]:
    yield Check(3, "documents lost (C)", of.value("faulty", "lost"), 0, 0)
    yield Check(3, "documents with wrong results (C)", of.value("faulty", "wrong"), 0, 0)
    rate = "documents_per_second"
    ratio = over(of.value("faulty", rate), of.value("service", rate))
    yield Check(
        3, "documents per second over those without faults (C)", ratio, least=LEAST_SHARE_OF_FAULTLESS
    )
    needed = of.value("faulty", "requests_per_needed")
    yield Check(3, "requests over needed (C)", needed, most=MOST_TIMES_NEEDED)


def _faults(of: Measured, poisoned: int) -> Iterator[Check]:
    yield Check(4, "dead letters of an outage (F)", of.value("outage", "dead_letters"), 0, 0)
    yield Check(4, "documents lost in an outage (F)", of.value("outage", "lost"), 0, 0)
    yield Check(4, "requests during the outage (F)", of.value("outage", "during_outage"), most=MOST_PROBES)
    yield Check(5, "dead letters of poison texts (E)", of.value("poison", "dead_letters"), poisoned, poisoned)
    yield Check(5, "dead letters of other texts (E)", of.value("poison", "blamed"), 0, 0)
    yield Check(5, "documents lost besides (E)", of.value("poison", "lost"), 0, 0)


def _memory(of: Measured) -> Iterator[Check]:
    sizes = of.sizes("memory")
    peaks = [of.value("memory", "peak_mb", documents=size) for size in sizes]
    growth = over(peaks[-1], peaks[0]) if len(peaks) > 1 else None
    compared = " over that for ".join(f"{size:,}" for size in reversed(sizes)) or "many documents"
    yield Check(7, f"peak memory for {compared} documents", growth, most=MOST_GROWTH)


def recoveries_of(
    row: Row, changes: Sequence[tuple[float, int]], rate_of_slot: float
) -> dict[str, float | None]:
    """Returns the seconds until the candidate had recovered from each change, by the name of the change.

    Args:
        rate_of_slot: the attainable texts per second of one slot.
    """
    ends = [second for second, _ in changes[1:]] + [float("inf")]
    return {
        name: back_after(row["slices"], at, min(until, 1e6), slots * rate_of_slot)
        for name, (at, slots), until in zip(("halved", "restored"), changes, ends, strict=True)
    }
