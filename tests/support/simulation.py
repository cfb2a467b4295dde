"""Simulates a service and its clients in virtual time, without sleeping, from a seeded random source.

It is modelled on the scenario files of Vector's adaptive request concurrency: a service with a given
capacity, a limiter in front of it, and statistics of the result.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from statistics import fmean, quantiles

from engine.calling.adaptive_limit import AdaptiveLimit, AttemptResult, AttemptStart

UNLOADED_S = 0.052
"""Seconds of a request to an idle service: 20 ms, and 1 ms for each of 32 texts, as in the benchmarks."""


class Timeline:
    """The virtual clock, and the calls that are scheduled."""

    def __init__(self):
        self.now = 0.0
        self._due = []
        self._order = count()

    def clock(self) -> float:
        """The virtual time in seconds; a limiter takes it as its clock."""
        return self.now

    def after(self, seconds: float, do: Callable[[], None]) -> None:
        """Schedules a call, so many seconds from now."""
        heapq.heappush(self._due, (self.now + seconds, next(self._order), do))

    def run(self, until: float) -> None:
        """Makes all calls that are scheduled until then, in order."""
        while self._due and self._due[0][0] <= until:
            self.now, _, do = heapq.heappop(self._due)
            do()
        self.now = until


@dataclass
class Request:
    """One request of a client; `done` tells the client how it ended."""

    began_s: float
    sample: AttemptStart
    retried: bool
    done: Callable[[AttemptResult], None]


@dataclass
class Service:
    """Works on some requests at once, queues some more, and refuses the others.

    Attributes:
        at_once: by time, the most requests that run at once; those that run when it falls are not stopped.
        queued: the most requests that wait.
        takes_s: by time, the seconds that a request takes once it runs.
        fails: by time, whether a request that has run ends in an error.
    """

    timeline: Timeline
    at_once: Callable[[float], int] = lambda _: 16
    queued: int = 64
    takes_s: Callable[[float], float] = lambda _: UNLOADED_S
    fails: Callable[[float], bool] = lambda _: False
    running: int = 0
    waiting: deque[Request] = field(default_factory=deque)

    def take(self, request: Request) -> None:
        """Runs, queues or refuses a request."""
        if self.running < self.at_once(self.timeline.now):
            self._start(request)
        elif len(self.waiting) < self.queued:
            self.waiting.append(request)
        else:
            self.timeline.after(0.001, partial(request.done, AttemptResult.THROTTLED))

    def _start(self, request: Request) -> None:
        self.running += 1
        self.timeline.after(self.takes_s(self.timeline.now), partial(self._finish, request))

    def _finish(self, request: Request) -> None:
        self.running -= 1
        request.done(AttemptResult.DROPPED if self.fails(self.timeline.now) else AttemptResult.SUCCESS)
        while self.waiting and self.running < self.at_once(self.timeline.now):
            self._start(self.waiting.popleft())


@dataclass
class Client:
    """Keeps as many requests in flight as its limiter allows; retries failed ones a little later.

    Attributes:
        turnaround_s: seconds between an answer and the next request, if one is waiting to be sent.
        wants: by time, the most requests in flight that the client has work for.
        requests: the number of requests that must succeed.
        pause_s: seconds after a refusal in which no request begins (`Retry-After`).
    """

    timeline: Timeline
    service: Service
    limiter: AdaptiveLimit
    turnaround_s: float = 0.001
    wants: Callable[[float], int] = lambda _: 10**6
    requests: int = 10**9
    pause_s: float = 0.0
    rng: random.Random = field(default_factory=lambda: random.Random(1))
    callers: int = 64
    in_flight: int = 0
    put_off: int = 0
    begun: int = 0
    to_retry: int = 0
    paused_until_s: float = 0.0
    answers: list[tuple[float, float]] = field(default_factory=list)
    limits: list[tuple[float, int]] = field(default_factory=list)
    failures: list[tuple[float, AttemptResult]] = field(default_factory=list)

    def send(self) -> None:
        """Begins all requests that may begin now."""
        now = self.timeline.now
        while (
            now >= self.paused_until_s
            and self.in_flight < min(self.limiter.limit, self.wants(now))
            and (self.to_retry or self._has_more())
        ):
            self._begin()

    def _has_more(self) -> bool:
        return self.begun < self.requests and self.in_flight + self.put_off < self.callers

    def _begin(self) -> None:
        retried = self.to_retry > 0
        self.to_retry -= retried
        self.put_off -= retried
        self.begun += not retried
        self.in_flight += 1
        request = Request(self.timeline.now, self.limiter.begin(self.in_flight), retried, lambda _: None)
        request.done = partial(self._end, request)
        self.service.take(request)

    def _end(self, request: Request, result: AttemptResult) -> None:
        now = self.timeline.now
        self.in_flight -= 1
        if result is AttemptResult.SUCCESS:
            self.answers.append((now, now - request.began_s))
            result = AttemptResult.RETRIED if request.retried else result
        else:
            self._put_off(result)
        self.limiter.end(request.sample, result)
        self.limits.append((now, self.limiter.limit))
        self.timeline.after(self.turnaround_s, self.send)

    def _put_off(self, result: AttemptResult) -> None:
        now = self.timeline.now
        self.failures.append((now, result))
        self.put_off += 1
        if result is AttemptResult.THROTTLED and self.pause_s:
            self.paused_until_s = now + self.pause_s
            self.timeline.after(self.pause_s, self.send)
        self.timeline.after(self.rng.uniform(0.1, 0.5), self._retry)

    def _retry(self) -> None:
        self.to_retry += 1
        self.send()

    # --- statistics ---

    def rate(self, start_s: float, stop_s: float) -> float:
        """Answers a second in this time."""
        return sum(start_s <= at < stop_s for at, _ in self.answers) / (stop_s - start_s)

    def latency(self, start_s: float, stop_s: float) -> tuple[float, float]:
        """The mean and the 95th percentile of the latency in this time, in seconds."""
        found = [latency for at, latency in self.answers if start_s <= at < stop_s]
        return fmean(found), quantiles(found, n=20)[-1]

    def limit_range(self, start_s: float, stop_s: float) -> tuple[int, float, int]:
        """The least, the mean (weighted by answers) and the highest limit in this time."""
        found = [limit for at, limit in self.limits if start_s <= at < stop_s]
        return min(found), fmean(found), max(found)
