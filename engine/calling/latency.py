"""Latency statistics for the adaptive limit: of one round of attempts, and of the service without a queue."""

from __future__ import annotations

import math
from dataclasses import dataclass

SLACK, MIN_SLACK_S = 1 / 8, 0.004
"""Up to an eighth above the base latency, or 4 ms, does not count as queueing (HyStart++, RFC 9406)."""

PERIOD_S, PERIOD_LATENCIES = 10.0, 50
"""The base latency is measured again every 10 s (as in BBR), or every 50 latencies if that is longer."""

FOLLOW, FELL = 0.1, 0.8
"""A lower mean latency pulls the base down by a tenth of the difference. A base that has fallen below four
fifths of its measured value is measured again at once."""

MOST_RISE = 1.4
"""A measured base is at most this many times the one before: the queue of other clients must not become part
of it for good."""

CLIP = 4
"""A latency counts as at most this many times the base: one straggler does not make a queue."""


@dataclass(slots=True)
class Round:
    """Sums over attempts that were made at the same limit.

    Attributes:
        answers: attempts that succeeded.
        dropped: attempts that failed.
        in_flight: sum of the requests in flight, over the answers.
        latency_s: sum of the latencies of the answers.
        latency_squares: sum of their squares, in squared seconds.
    """

    answers: int = 0
    dropped: int = 0
    in_flight: int = 0
    latency_s: float = 0.0
    latency_squares: float = 0.0

    def add(self, in_flight: int, latency_s: float) -> None:
        """Adds an answer."""
        self.answers += 1
        self.in_flight += in_flight
        self.latency_s += latency_s
        self.latency_squares += latency_s * latency_s

    @property
    def attempts(self) -> int:
        """Answers and failures together."""
        return self.answers + self.dropped

    @property
    def lost(self) -> float:
        """The share of the attempts that failed."""
        return self.dropped / self.attempts

    def mean_in_flight(self) -> float:
        """Returns the mean number of requests in flight, over the answers."""
        return self.in_flight / self.answers

    def mean_latency_s(self) -> tuple[float, float]:
        """Returns the mean latency of the answers and its standard error."""
        mean = self.latency_s / self.answers
        variance = max(0.0, self.latency_squares / self.answers - mean * mean)
        return mean, math.sqrt(variance / self.answers)


class BaseLatency:
    """The latency of the service when no request waits in a queue.

    Attributes:
        s: the latency in seconds.
    """

    def __init__(self, measured_s: float, at_s: float) -> None:
        self.s = self._measured_s = measured_s
        self._at_s = at_s

    @property
    def allowed_s(self) -> float:
        """The latency above which requests are taken to wait in a queue."""
        return self.s + max(MIN_SLACK_S, SLACK * self.s)

    def clip(self, latency_s: float) -> float:
        """Returns the latency, reduced to `CLIP` times the base if it is longer."""
        return min(latency_s, CLIP * self.s)

    def follow(self, latency_s: float) -> None:
        """Moves the base towards a mean latency that is lower."""
        if latency_s < self.s:
            self.s += FOLLOW * (latency_s - self.s)

    def due_at_s(self, latency_s: float) -> float:
        """Returns when to measure it again: at multiples of the period, so that clients do it together."""
        if self.s < FELL * self._measured_s:
            return self._at_s
        period = PERIOD_S * max(1, math.ceil(latency_s * PERIOD_LATENCIES / PERIOD_S))
        return (self._at_s // period + 1) * period

    def measured(self, latency_s: float, at_s: float, *, alone: bool) -> BaseLatency:
        """Returns the base after a new measurement.

        Args:
            latency_s: the mean latency with few requests in flight.
            at_s: when it was measured, on the clock of the limit.
            alone: whether this client had too few requests in flight to form a queue. Then the measured
                latency is that of the service, however high it is.
        """
        return BaseLatency(latency_s if alone else min(latency_s, MOST_RISE * self.s), at_s)
