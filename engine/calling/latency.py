"""What latencies say: of a cohort of attempts together, and of the service when nothing waits."""

from __future__ import annotations

import math
from dataclasses import dataclass

SLACK, MIN_SLACK_S = 1 / 8, 0.004
"""Waiting up to an eighth of the base latency, or 4 ms, is no queue (HyStart++, RFC 9406)."""

PERIOD_S, PERIOD_LATENCIES = 10.0, 50
"""The base latency is measured anew so often (BBR: 10 s), if that is at least so many latencies."""

FOLLOW, FELL = 0.1, 0.8
"""Lower latencies pull the base down by a tenth of the way; fallen to four fifths, it is measured anew."""

MOST_RISE = 1.4
"""A measured base is at most so much above the last: other clients' queue must not become ours for good."""

CLIP = 4
"""Latencies beyond so many times the base count as that: one straggler does not make a queue."""


@dataclass(slots=True)
class Cohort:
    """Sums over attempts that were made at the same limit.

    Attributes:
        answers: attempts that succeeded.
        dropped: attempts that failed.
        in_flight: sum over the answers.
        latency_s: likewise.
        latency_squares: likewise, squared seconds.
    """

    answers: int = 0
    dropped: int = 0
    in_flight: int = 0
    latency_s: float = 0.0
    latency_squares: float = 0.0

    def add(self, in_flight: int, latency_s: float) -> None:
        """One more answer."""
        self.answers += 1
        self.in_flight += in_flight
        self.latency_s += latency_s
        self.latency_squares += latency_s * latency_s

    @property
    def attempts(self) -> int:
        """Answers and failures."""
        return self.answers + self.dropped

    @property
    def lost(self) -> float:
        """Share of the attempts that failed."""
        return self.dropped / self.attempts

    def mean_in_flight(self) -> float:
        """Of the answers."""
        return self.in_flight / self.answers

    def mean_latency_s(self) -> tuple[float, float]:
        """The mean, and its standard error."""
        mean = self.latency_s / self.answers
        variance = max(0.0, self.latency_squares / self.answers - mean * mean)
        return mean, math.sqrt(variance / self.answers)


class BaseLatency:
    """The latency of the service when nothing waits.

    Attributes:
        s: seconds.
    """

    def __init__(self, measured_s: float, at_s: float) -> None:
        self.s = self._measured_s = measured_s
        self._at_s = at_s

    @property
    def allowed_s(self) -> float:
        """Beyond it, requests are waiting."""
        return self.s + max(MIN_SLACK_S, SLACK * self.s)

    def clip(self, latency_s: float) -> float:
        """A latency, or the most that one may count."""
        return min(latency_s, CLIP * self.s)

    def follow(self, latency_s: float) -> None:
        """Moves towards a lower mean latency."""
        if latency_s < self.s:
            self.s += FOLLOW * (latency_s - self.s)

    def due_at_s(self, latency_s: float) -> float:
        """When to measure it anew: at multiples of the period, so clients on one clock do it together."""
        if self.s < FELL * self._measured_s:
            return self._at_s
        period = PERIOD_S * max(1, math.ceil(latency_s * PERIOD_LATENCIES / PERIOD_S))
        return (self._at_s // period + 1) * period

    def measured(self, latency_s: float, at_s: float, *, alone: bool) -> BaseLatency:
        """As measured anew.

        Args:
            latency_s: mean with little in flight.
            at_s: the clock's.
            alone: no queue can have been this client's, so whatever was measured is the service's latency.
        """
        return BaseLatency(latency_s if alone else min(latency_s, MOST_RISE * self.s), at_s)
