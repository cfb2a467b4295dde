"""What the stub service has seen: requests by how they ended, latencies, and work done over time."""

from __future__ import annotations

from array import array
from collections import Counter
from typing import Any

SLICE_S = 0.1
"""Answered texts are counted by slices of this length, from the first request on."""


class ServiceStats:
    """Counts; times are of the stub's loop, in seconds."""

    def __init__(self) -> None:
        self._began_at: float | None = None
        self._ended: Counter[str] = Counter()
        self._requests = self._texts = self._in_flight = self._most_in_flight = 0
        self._latencies_s, self._times_unloaded = array("d"), array("d")
        self._slices: Counter[int] = Counter()

    def begin(self, now: float) -> bool:
        """Whether this is the first request of all."""
        first = self._began_at is None
        self._began_at = now if first else self._began_at
        return first

    def arrived(self) -> None:
        """A request has come."""
        self._requests += 1
        self._in_flight += 1
        self._most_in_flight = max(self._most_in_flight, self._in_flight)

    def ended(self, kind: str) -> None:
        """A request has ended without results."""
        self._in_flight -= 1
        self._ended[kind] += 1

    def answered(self, now: float, latency_s: float, unloaded_s: float, texts: int) -> None:
        """A request has got its results."""
        self.ended("answered")
        self._texts += texts
        self._latencies_s.append(latency_s)
        if unloaded_s:
            self._times_unloaded.append(latency_s / unloaded_s)
        self._slices[int((now - (self._began_at or now)) / SLICE_S)] += texts

    def to_json(self) -> dict[str, Any]:
        """Everything; latencies of answered requests, also as multiples of what each takes unloaded."""
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
    """The least of the values that so large a share of them does not exceed."""
    if not values:
        return None
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else round(value * factor, 3)
