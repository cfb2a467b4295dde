"""Bounds the attempts in flight by a limiter's limit; first come, first served.

An attempt holds one slot from its beginning to its end; what waits between attempts holds none. All ranges
of a process may share one `Slots`: then its limit is that of the process.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Protocol, Self

from engine.calling.adaptive_limit import AdaptiveLimit, FixedLimit, Limiter, Sample, Verdict
from engine.errors import Failure, classify
from engine.observing.events import Changes, Events
from engine.settings import Settings


class Timer(Protocol):
    """What a call put off returns."""

    def cancel(self) -> None:
        """Never mind."""


CallLater = Callable[[float, Callable[[], None]], Timer]

VERDICTS = {
    Failure.THROTTLED: Verdict.THROTTLED,
    Failure.TRANSIENT: Verdict.DROPPED,
    Failure.PERMANENT: Verdict.IGNORED,
}
"""What a failure of each class says of the service's capacity."""


def slots_of(settings: Settings) -> Slots:
    """As many as the service takes, from `min_concurrency` to `max_concurrency`; fixed if these are equal."""
    least, most = settings.min_concurrency, settings.max_concurrency
    return Slots(FixedLimit(most) if least == most else AdaptiveLimit(least, most))


def _call_later(seconds: float, do: Callable[[], None]) -> Timer:
    return asyncio.get_running_loop().call_later(seconds, do)


class Slot:
    """The slot of one attempt, held inside `async with`.

    Attributes:
        verdict: set inside, it counts instead of what the attempt's end says by itself.
    """

    __slots__ = ("_charged_s", "_retried", "_sample", "_slots", "verdict")

    def __init__(self, slots: Slots, *, retried: bool) -> None:
        self.verdict: Verdict | None = None
        self._slots, self._retried = slots, retried
        self._charged_s = 0.0
        self._sample: Sample | None = None

    def charge_for(self, seconds: float) -> None:
        """Keeps the slot so long after the attempt, as an aborted call may occupy the server (TRAPS 22)."""
        self._charged_s = seconds

    async def __aenter__(self) -> Self:
        slots = self._slots
        if not slots.take_now():
            await slots.take()
        self._sample = slots.limiter.begin(slots.taken)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._sample is None:
            raise RuntimeError("the slot was never taken")
        self._slots.limiter.end(self._sample, self.verdict or self._verdict(error))
        self._slots.give_back(self._charged_s)

    def _verdict(self, error: BaseException | None) -> Verdict:
        if error is None:
            return Verdict.RETRIED if self._retried else Verdict.SUCCESS
        return VERDICTS[classify(error)] if isinstance(error, Exception) else Verdict.IGNORED


class Slots:
    """As many slots as the limiter allows at the moment.

    Attributes:
        limiter: decides; it is told of every attempt.
        charged: slots of attempts that ended and may still occupy the server.
        taken: slots that are held or charged; never raised to more than the limit.
        sharing: ranges at work with them.
        turn: held by the range that is being read: while the last requests of one are in flight, the next
            one begins, and no more documents are in memory than one range needs.
    """

    def __init__(self, limiter: Limiter, call_later: CallLater = _call_later) -> None:
        self.limiter = limiter
        self.taken = self.charged = self.sharing = 0
        self.turn = asyncio.Lock()
        self._call_later = call_later
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._timers: set[Timer] = set()
        self._closed = False
        self._limits = Changes(Events(), "limit_changed", limiter.limit)

    @property
    def limit(self) -> int:
        """Most slots taken now."""
        return self.limiter.limit

    @property
    def in_flight(self) -> int:
        """Attempts at the service now."""
        return self.taken - self.charged

    def slot(self, *, retried: bool = False) -> Slot:
        """The slot of one attempt: `async with slots.slot() as slot`.

        Args:
            retried: the same was tried before, so that its success is no evidence of capacity.
        """
        return Slot(self, retried=retried)

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Around a range at work."""
        self.sharing += 1
        try:
            yield
        finally:
            self.sharing -= 1

    def close(self) -> None:
        """Ends all charges; from now on none is made."""
        self._closed = True
        while self._timers:
            self._timers.pop().cancel()
        self._free(self.charged)

    # --- for Slot ---

    def take_now(self) -> bool:
        """Takes a slot if one is free and nobody came before."""
        if self._waiting or self.taken >= self.limiter.limit:
            return False
        self.taken += 1
        return True

    async def take(self) -> None:
        """Takes a slot when its turn comes."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # its turn had come
                self.taken -= 1
            elif turn in self._waiting:
                self._waiting.remove(turn)
            self._admit()
            raise

    def give_back(self, charged_s: float) -> None:
        """Frees a slot, now or after so many seconds."""
        self._limits.see(self.limiter.limit)
        if charged_s > 0 and not self._closed:
            self._charge(charged_s)
        else:
            self.taken -= 1
        if self._waiting:
            self._admit()

    def _charge(self, seconds: float) -> None:
        self.charged += 1

        def expire() -> None:
            self._timers.discard(timer)
            self._free(1)

        timer = self._call_later(seconds, expire)
        self._timers.add(timer)

    def _free(self, charged: int) -> None:
        self.charged -= charged
        self.taken -= charged
        self._admit()

    def _admit(self) -> None:
        """Gives free slots to those who wait, the first first."""
        while self._waiting and self.taken < self.limiter.limit:
            turn = self._waiting.popleft()
            if not turn.done():
                self.taken += 1
                turn.set_result(None)
