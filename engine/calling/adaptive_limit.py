"""How many requests may be in flight: learnt from errors and latency, without I/O.

Additive increase, multiplicative decrease, and latency before either: a request that takes longer than the
unloaded service needs was waiting. With `n` in flight and answers after `latency`, a service that needs
`base` seconds unloaded works on `n * base / latency` of them (Little's law), whatever the length of its
queue; the limit goes there at once and stays a little above, so that the service is never idle. The models
are Netflix's concurrency-limits (Gradient2, Vegas), Vector's adaptive request concurrency and Envoy's
gradient controller; constants name their source, those without one were found by simulation.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from engine.calling.latency import BaseLatency, Cohort

INITIAL = 10
"""First limit: TCP's initial window (RFC 6928)."""

SAME = 0.8
"""Refused again at a level that differs by less: the capacity is still the same."""

STEEPEST = 0.5
"""A round lowers the limit to half of what was in flight at most (Netflix Gradient2)."""

BACKOFF = 0.9
"""What a refusal leaves of the limit (Netflix AIMDLimit, Vector)."""

OVERLOAD = 0.25
"""A round that dropped less of its attempts is no reason to end the fast start: such are plain faults."""

MIN_ROUND = 10
"""Fewest attempts that are judged together (Netflix WindowedLimit)."""

HOLD_S, MAX_HOLD_S = 5.0, 20.0
"""The limit stays below what was refused so long, doubled while the same is refused again."""

PROBE = 0.5
"""Part of the service's capacity that is used while the base latency is measured."""

FEW = 4
"""With a limit below this no queue is ours, and the base may rise to whatever is measured."""


class Verdict(StrEnum):
    """What the end of an attempt says of the service's capacity."""

    SUCCESS = "success"
    RETRIED = "retried"
    """A success that needed a retry: no evidence of capacity (TRAPS 25)."""
    THROTTLED = "throttled"
    """Refused for load: certain overload."""
    DROPPED = "dropped"
    """Timeout, connection error, 5xx: overload or a fault, which only their number tells."""
    IGNORED = "ignored"
    """Refused for good, cancelled: says nothing."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The beginning of one attempt.

    Attributes:
        number: counts the attempts of one limiter, from 1.
        in_flight: attempts at the service then, this one among them.
        began_s: seconds of the limiter's clock.
    """

    number: int
    in_flight: int
    began_s: float


class Limiter(Protocol):
    """Decides how many attempts may be in flight, and is told of the beginning and end of each."""

    @property
    def limit(self) -> int:
        """Most attempts in flight now."""

    def begin(self, in_flight: int) -> Sample:
        """An attempt begins and is one of `in_flight`."""

    def end(self, sample: Sample, verdict: Verdict) -> None:
        """It ended."""


class FixedLimit:
    """The same limit whatever happens."""

    _SAMPLE = Sample(0, 0, 0.0)

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def begin(self, in_flight: int) -> Sample:  # noqa: ARG002  (nothing is learnt)
        """Takes no note."""
        return self._SAMPLE

    def end(self, sample: Sample, verdict: Verdict) -> None:
        """Learns nothing."""


class AdaptiveLimit:
    """A limit that finds the service's capacity and follows it.

    - Fast start: every success that did not wait raises the limit by one (doubling it a round trip) until
      latency or errors show the capacity; so does the return to what an outage took away.
    - After it, attempts are judged in rounds of one limit's worth, all begun after the last decision: so a
      cohort lowers the limit once, however many of it fail (TRAPS 25). A round goes to `in flight * base /
      latency`, or without waiting keeps the limit, less half the share that was dropped (DCTCP, RFC 8257),
      plus half the root of the limit a round trip (Netflix: the root), at least one.
    - A refusal lowers it at once, and it stays below what was refused for a while.
    - Attempts made with less than half the limit in flight raise nothing (Netflix Gradient2).
    - Now and then the base latency is measured with half the capacity in use: requests may have become
      larger, which is no overload. Latency is not divided by size: what a text costs beside the fixed
      costs of a request is unknown, and a measured base follows both.

    Args:
        minimum: the limit never falls below.
        maximum: nor rises above.
        initial: the first limit.
        clock: monotonic, seconds.
    """

    def __init__(
        self,
        minimum: int,
        maximum: int,
        initial: int = INITIAL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._minimum, self._maximum, self._clock = minimum, maximum, clock
        self._limit = float(min(max(initial, minimum), maximum))
        self._fast_to = float(maximum)
        self._refused_at, self._hold_s, self._hold_until = math.inf, HOLD_S, -math.inf
        self._base: BaseLatency | None = None
        self._capacity, self._probe_at, self._after_probe = 0.0, math.inf, 0.0
        self._begun = self._decided_at = self._latest_in_flight = 0
        self._cohort, self._enough = Cohort(), max(MIN_ROUND, self.limit)

    @property
    def limit(self) -> int:
        """Most attempts in flight now."""
        return int(self._limit)

    def begin(self, in_flight: int) -> Sample:
        """An attempt begins and is one of `in_flight`."""
        self._begun += 1
        self._latest_in_flight = in_flight
        return Sample(self._begun, in_flight, self._clock())

    def end(self, sample: Sample, verdict: Verdict) -> None:
        """It ended; older than the last decision, it says nothing new."""
        if sample.number <= self._decided_at:
            return
        if verdict is Verdict.SUCCESS:
            self._answered(sample)
        elif verdict is Verdict.DROPPED:
            self._cohort.dropped += 1
        elif verdict is Verdict.THROTTLED:
            self._back_off(sample.in_flight)
        else:
            return
        if self._cohort.attempts >= self._enough:
            self._judge(self._cohort)
        if self._clock() >= self._probe_at:
            self._probe()

    @property
    def _fast(self) -> bool:
        return self._limit < self._fast_to and not self._after_probe

    def _answered(self, sample: Sample) -> None:
        in_flight = max(sample.in_flight, self._latest_in_flight)
        if 2 * in_flight < self._limit:  # there was too little to do to learn from
            return
        if self._fast and not self._cohort.answers:  # the outage is over
            self._cohort.dropped = 0
        latency_s = self._clock() - sample.began_s
        self._cohort.add(in_flight, self._base.clip(latency_s) if self._base else latency_s)
        if self._fast and self._base and latency_s > self._base.allowed_s:
            self._enough = min(self._enough, MIN_ROUND)  # it waited: see at once whether others did
        elif self._fast:
            self._set(min(self._limit + 1, self._fast_to))

    def _back_off(self, in_flight: int) -> None:
        again = SAME <= in_flight / self._refused_at <= 1 / SAME
        self._hold_s = min(2 * self._hold_s, MAX_HOLD_S) if again else HOLD_S
        self._hold_until = self._clock() + self._hold_s
        level = BACKOFF * max(min(in_flight, self._limit), STEEPEST * self._limit)
        self._refused_at = max(in_flight, int(level) + 1)
        self._decide(level)
        self._fast_to = self._limit

    def _judge(self, cohort: Cohort) -> None:
        if not cohort.answers:  # an outage says nothing of the capacity: the way back is fast
            self._decide(self._after_probe or max(STEEPEST * self._limit, min(self._limit, FEW)))
            return
        mean_s, error_s = cohort.mean_latency_s()
        if self._base is None or self._after_probe:
            self._measured(mean_s + error_s)
            return
        self._base.follow(mean_s)
        # What a jittery link adds by chance is no queue; but while the limit doubles, better too careful.
        latency_s = mean_s if self._fast else mean_s - error_s
        if latency_s <= self._base.allowed_s:
            self._unhurried(cohort)
        else:
            self._waited(cohort, self._base, latency_s)

    def _unhurried(self, cohort: Cohort) -> None:
        """Nothing waited: up, unless much was dropped."""
        rise = 0.0 if self._fast else self._step * cohort.answers / self._limit
        self._decide((1 - cohort.lost / 2) * self._limit + rise)
        if cohort.lost >= OVERLOAD:
            self._fast_to = self._limit
        if self._base and self._limit >= self._maximum:  # or the base is too high to see a queue of ours
            self._capacity, self._probe_at = FEW / PROBE, self._base.due_at_s(self._base.s)

    def _waited(self, cohort: Cohort, base: BaseLatency, latency_s: float) -> None:
        """Some waited: down to what the service works on, and a little more."""
        in_flight = cohort.mean_in_flight()
        works_on = in_flight * max(base.allowed_s / latency_s, STEEPEST)
        self._decide(min((1 - cohort.lost / 2) * works_on, self._limit) + self._step)
        self._fast_to = self._limit
        self._capacity = in_flight * base.s / latency_s
        self._probe_at = base.due_at_s(latency_s)

    @property
    def _step(self) -> float:
        return max(1.0, math.sqrt(self._limit) / 2)

    def _probe(self) -> None:
        before = self._limit
        self._decide(PROBE * self._capacity)
        self._after_probe = before

    def _measured(self, latency_s: float) -> None:
        now = self._clock()
        if self._base is None:
            self._base = BaseLatency(latency_s, now)
        else:
            self._base = self._base.measured(latency_s, now, alone=self._after_probe < FEW)
        self._decide(self._after_probe or self._limit)

    def _decide(self, limit: float) -> None:
        """Sets the limit and begins a new round: what began before says nothing of it."""
        self._set(limit)
        self._cohort, self._enough = Cohort(), max(MIN_ROUND, self.limit)
        self._decided_at = self._begun
        self._probe_at, self._after_probe = math.inf, 0.0

    def _set(self, limit: float) -> None:
        if self._clock() < self._hold_until:
            limit = min(limit, self._refused_at - 1)
        self._limit = min(max(limit, self._minimum), self._maximum)
