"""Statistics of the stub service: how requests ended, their latencies, and the work done over time."""

from __future__ import annotations

from array import array
from collections import Counter
from typing import Any

SLICE_S = 0.1
"""Answered texts are counted per slice of this length, from the first request on."""


class ServiceStats:
    """Counts requests. Times are those of the stub's event loop, in seconds."""

    def __init__(self) -> None:
        self._began_at: float | None = None
        self._ended: Counter[str] = Counter()
        self._requests = self._texts = self._in_flight = self._most_in_flight = 0
        self._latencies_s, self._times_unloaded = array("d"), array("d")
        self._slices: Counter[int] = Counter()

    def begin(self, now: float) -> bool:
        """Notes the time of the first request; says whether this is the first one."""
        first = self._began_at is None
        self._began_at = now if first else self._began_at
        return first

    def arrived(self) -> None:
        """Counts a request that has arrived."""
        self._requests += 1
        self._in_flight += 1
        self._most_in_flight = max(self._most_in_flight, self._in_flight)

    def ended(self, kind: str) -> None:
        """Counts a request that has ended in a way other than `answered`."""
        self._in_flight -= 1
        self._ended[kind] += 1

    def answered(self, now: float, latency_s: float, unloaded_s: float, texts: int) -> None:
        """Counts a request that was answered with results."""
        self.ended("answered")
        self._texts += texts
        self._latencies_s.append(latency_s)
        if unloaded_s:
            self._times_unloaded.append(latency_s / unloaded_s)
        self._slices[int((now - (self._began_at or now)) / SLICE_S)] += texts

    def to_json(self) -> dict[str, Any]:
        """Returns all statistics, with latencies of answered requests, also as multiples of the unloaded."""
        return {
            "requests": self._requests,
            "texts": self._texts,
            "ended": dict(self._ended),
            "most_in_flight": self._most_in_flight,
            "latency_p95_ms": _scaled(percentile(self._latencies_s, 0.95), 1000),
            "latency_p95_times": _scaled(percentile(self._times_unloaded, 0.95), 1),
            "slices": [self._slices[at] for at in range(max(self._slices, default=-1) + 1)],
        }


def percentile(values: array[float], share: float) -> float | None:
    """Returns the value at this share of the sorted values; None if there are none."""
    if not values:
        return None
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else round(value * factor, 3)
