"""Learns from errors and latency how many requests may be in flight. No I/O.

The limit rises by additions and falls by multiplications (AIMD), and latency comes before either: a request
that takes longer than the service needs without load has waited in a queue. With `n` requests in flight and
answers after `latency`, a service that needs `base` seconds without load works on `n * base / latency` of
them (Little's law), however long its queue is. The limit goes to that number at once and stays a little above
it, so that the service is never idle.

The models are Netflix's concurrency-limits (Gradient2, Vegas), Vector's adaptive request concurrency and
Envoy's gradient controller. Constants name their source; those that name none were found by simulation.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from engine.calling.latency import BaseLatency, Round

INITIAL = 10
"""The first limit, if the bounds allow it: TCP's initial window (RFC 6928)."""

SAME = 0.8
"""Two refusals at levels whose ratio is at least this show the same capacity."""

STEEPEST = 0.5
"""A round lowers the limit to no less than half of what was in flight (Netflix Gradient2)."""

BACKOFF = 0.9
"""A refusal multiplies the limit by this (Netflix AIMDLimit, Vector)."""

OVERLOAD = 0.25
"""Slow start continues while less than this share of a round fails: isolated faults are not overload."""

MIN_ROUND = 10
"""The fewest attempts that are judged together (Netflix WindowedLimit)."""

HOLD_S, MAX_HOLD_S = 5.0, 20.0
"""After a refusal (429) the limit stays below the refused level for 5 s. The time doubles, up to 20 s, if
that level is refused again."""

PROBE = 0.5
"""The share of the service's capacity that is used while the base latency is measured."""

FEW = 4
"""Below this limit the client's own requests form no queue, so a measured base latency is taken as it is."""


class AttemptResult(StrEnum):
    """What the end of an attempt says about the service's capacity."""

    SUCCESS = "success"
    RETRIED = "retried"
    """A success after a retry: no evidence of capacity (trap 25, docs/traps.md)."""
    THROTTLED = "throttled"
    """Refused because of load: certain overload."""
    DROPPED = "dropped"
    """A timeout, connection error or 5xx: overload or an isolated fault; only their number can tell."""
    IGNORED = "ignored"
    """Refused for good, or cancelled: says nothing about capacity."""


class LimitState(StrEnum):
    """What a limit is doing.

    slow start -> steady -> measuring -> steady        (a queue, a refusal or the maximum ends slow start)
                  steady -> slow start                 (after an outage, up to the limit before it)
    """

    SLOW_START = "slow start"
    """Each success raises the limit by one, because the capacity is not known yet."""
    STEADY = "steady"
    """The limit follows the capacity, round by round."""
    MEASURING = "measuring"
    """Half the capacity is used for one round, so that the base latency can be measured."""


@dataclass(frozen=True, slots=True)
class AttemptStart:
    """The state in which an attempt began.

    Attributes:
        number: counts the attempts of one limit, from 1.
        in_flight: attempts in flight at that moment, including this one.
        began_s: the time, in seconds of the limit's clock.
    """

    number: int
    in_flight: int
    began_s: float


class AdaptiveLimit:
    """A limit on the requests in flight that finds the service's capacity and follows it.

    - Slow start: each success that did not wait raises the limit by one, which doubles it in a round trip,
      until latency or errors show the capacity. After an outage the limit comes back in the same way.
    - After slow start, attempts are judged in rounds. A round is as many attempts as the limit, all begun
      after the last decision, so a burst of failures lowers the limit once, however many there are (trap 25).
      If requests waited, the limit goes to `in flight * base / latency`; otherwise it stays. Then it is
      lowered by half the share that was dropped (DCTCP, RFC 8257), and raised by half its root (Netflix: the
      root), at least by one.
    - A refusal lowers the limit at once, and the limit stays below what was refused for a while.
    - Attempts with less than half the limit in flight raise nothing (Netflix Gradient2).
    - The base latency is measured now and then, with half the capacity in use, because larger requests take
      longer without being overload. Latency is not divided by the size of a request: the share of the fixed
      costs in it is unknown. A measured base follows both.

    If `minimum` and `maximum` are equal, the limit is constant.

    Args:
        minimum: the lowest limit.
        maximum: the highest limit.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        minimum: int,
        maximum: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._minimum, self._maximum, self._clock = minimum, maximum, clock
        self._limit = float(min(max(INITIAL, minimum), maximum))
        self._slow_start_to = float(maximum)
        self._refused_at, self._hold_s, self._hold_until = math.inf, HOLD_S, -math.inf
        self._base: BaseLatency | None = None
        self._capacity, self._measure_at, self._limit_before_measuring = 0.0, math.inf, 0.0
        self._begun = self._decided_at = self._latest_in_flight = 0
        self._round, self._enough = Round(), max(MIN_ROUND, self.limit)

    @property
    def limit(self) -> int:
        """The most attempts that may be in flight now."""
        return int(self._limit)

    def begin(self, in_flight: int) -> AttemptStart:
        """Records the start of an attempt; `in_flight` includes it."""
        self._begun += 1
        self._latest_in_flight = in_flight
        return AttemptStart(self._begun, in_flight, self._clock())

    def end(self, start: AttemptStart, result: AttemptResult) -> None:
        """Records the end of an attempt. Attempts that began before the last decision are ignored."""
        if start.number <= self._decided_at:
            return
        if result is AttemptResult.SUCCESS:
            self._answered(start)
        elif result is AttemptResult.DROPPED:
            self._round.dropped += 1
        elif result is AttemptResult.THROTTLED:
            self._back_off(start.in_flight)
        else:
            return
        if self._round.attempts >= self._enough:
            self._judge(self._round)
        if self._clock() >= self._measure_at:
            self._measure_base()

    @property
    def state(self) -> LimitState:
        """What the limit is doing now."""
        if self._limit_before_measuring:
            return LimitState.MEASURING
        return LimitState.SLOW_START if self._limit < self._slow_start_to else LimitState.STEADY

    @property
    def _slow_start(self) -> bool:
        return self.state is LimitState.SLOW_START

    def _answered(self, start: AttemptStart) -> None:
        in_flight = max(start.in_flight, self._latest_in_flight)
        if 2 * in_flight < self._limit:  # too few to learn from
            return
        if self._slow_start and not self._round.answers:  # the outage is over
            self._round.dropped = 0
        latency_s = self._clock() - start.began_s
        self._round.add(in_flight, self._base.clip(latency_s) if self._base else latency_s)
        if self._slow_start and self._base and latency_s > self._base.allowed_s:
            self._enough = min(self._enough, MIN_ROUND)  # it waited: judge soon whether others did
        elif self._slow_start:
            self._set(min(self._limit + 1, self._slow_start_to))

    def _back_off(self, in_flight: int) -> None:
        again = SAME <= in_flight / self._refused_at <= 1 / SAME
        self._hold_s = min(2 * self._hold_s, MAX_HOLD_S) if again else HOLD_S
        self._hold_until = self._clock() + self._hold_s
        level = BACKOFF * max(min(in_flight, self._limit), STEEPEST * self._limit)
        self._refused_at = max(in_flight, int(level) + 1)
        self._decide(level)
        self._slow_start_to = self._limit

    def _judge(self, round_: Round) -> None:
        if not round_.answers:  # an outage says nothing about the capacity: slow start will lead back
            self._decide(self._limit_before_measuring or max(STEEPEST * self._limit, min(self._limit, FEW)))
            return
        mean_s, error_s = round_.mean_latency_s()
        if self._base is None or self._limit_before_measuring:
            self._measured(mean_s + error_s)
            return
        self._base.follow(mean_s)
        # A rise within the standard error may be chance; in slow start, where the limit doubles, it counts.
        latency_s = mean_s if self._slow_start else mean_s - error_s
        if latency_s <= self._base.allowed_s:
            self._judge_without_queue(round_)
        else:
            self._judge_with_queue(round_, self._base, latency_s)

    def _judge_without_queue(self, round_: Round) -> None:
        """Raises the limit after a round without queueing, unless many attempts failed."""
        rise = 0.0 if self._slow_start else self._step * round_.answers / self._limit
        self._decide((1 - round_.lost / 2) * self._limit + rise)
        if round_.lost >= OVERLOAD:
            self._slow_start_to = self._limit
        if self._base and self._limit >= self._maximum:  # the base may be too high to show a queue
            self._capacity, self._measure_at = FEW / PROBE, self._base.due_at_s(self._base.s)

    def _judge_with_queue(self, round_: Round, base: BaseLatency, latency_s: float) -> None:
        """Lowers the limit, after a round with queueing, to a little above what the service works on."""
        in_flight = round_.mean_in_flight()
        works_on = in_flight * max(base.allowed_s / latency_s, STEEPEST)
        self._decide(min((1 - round_.lost / 2) * works_on, self._limit) + self._step)
        self._slow_start_to = self._limit
        self._capacity = in_flight * base.s / latency_s
        self._measure_at = base.due_at_s(latency_s)

    @property
    def _step(self) -> float:
        return max(1.0, math.sqrt(self._limit) / 2)

    def _measure_base(self) -> None:
        """Begins a round with little in flight; the limit returns to what it is now when the round ends."""
        before = self._limit
        self._decide(PROBE * self._capacity)
        self._limit_before_measuring = before

    def _measured(self, latency_s: float) -> None:
        now = self._clock()
        if self._base is None:
            self._base = BaseLatency(latency_s, now)
        else:
            self._base = self._base.measured(latency_s, now, alone=self._limit_before_measuring < FEW)
        self._decide(self._limit_before_measuring or self._limit)

    def _decide(self, limit: float) -> None:
        """Sets the limit and begins a new round; attempts that began before it will be ignored."""
        self._set(limit)
        self._round, self._enough = Round(), max(MIN_ROUND, self.limit)
        self._decided_at = self._begun
        self._measure_at, self._limit_before_measuring = math.inf, 0.0

    def _set(self, limit: float) -> None:
        if self._clock() < self._hold_until:
            limit = min(limit, self._refused_at - 1)
        self._limit = min(max(limit, self._minimum), self._maximum)
