"""Limits the attempts in flight to what an `AdaptiveLimit` allows; first come, first served.

An attempt holds one slot from its beginning to its end; waits between attempts hold none. All ranges of a
process may share one `Slots` object: then its limit applies to the process.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from engine.calling.adaptive_limit import AdaptiveLimit, AttemptResult
from engine.errors import Failure
from engine.observing.events import Changes, Events

CallLater = Callable[[float, Callable[[], None]], object]
"""Schedules a call after a number of seconds."""

RESULTS = {
    Failure.THROTTLED: AttemptResult.THROTTLED,
    Failure.TRANSIENT: AttemptResult.DROPPED,
    Failure.PERMANENT: AttemptResult.IGNORED,
}
"""What a failure of each class says about the service's capacity."""


def _call_later(seconds: float, do: Callable[[], None]) -> object:
    return asyncio.get_running_loop().call_later(seconds, do)


class Slots:
    """As many slots as the limit allows at the moment.

    Attributes:
        limiter: sets the limit; it is told of the beginning and end of every attempt.
        charged: slots of attempts that have ended but may still occupy the server.
        taken: slots that are held or charged; none is taken while there are as many as the limit.
        sharing: how many ranges are using the slots now.
    """

    def __init__(self, limiter: AdaptiveLimit, call_later: CallLater = _call_later) -> None:
        self.limiter = limiter
        self.taken = self.charged = self.sharing = 0
        self._call_later = call_later
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._limits = Changes(Events(), "limit_changed", limiter.limit)

    @property
    def limit(self) -> int:
        """The most slots that may be taken now."""
        return self.limiter.limit

    @property
    def in_flight(self) -> int:
        """How many attempts are in flight now."""
        return self.taken - self.charged

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Counts a range as using the slots while the block runs."""
        self.sharing += 1
        try:
            yield
        finally:
            self.sharing -= 1

    def try_take(self) -> bool:
        """Takes a slot if one is free and no attempt waits for one; returns whether it did."""
        if self._waiting or self.taken >= self.limiter.limit:
            return False
        self.taken += 1
        return True

    async def take(self) -> None:
        """Takes a slot; waits until one is free and no attempt waits that came earlier."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # a slot was given to it already
                self.taken -= 1
            elif turn in self._waiting:
                self._waiting.remove(turn)
            self._admit()
            raise

    def give_back(self, charged_s: float = 0.0) -> None:
        """Frees a slot, either now or after `charged_s` seconds."""
        self._limits.see(self.limiter.limit)
        if charged_s > 0:
            self.charged += 1
            self._call_later(charged_s, self._end_charge)
        else:
            self.taken -= 1
        if self._waiting:
            self._admit()

    def _end_charge(self) -> None:
        self.charged -= 1
        self.taken -= 1
        self._admit()

    def _admit(self) -> None:
        """Hands free slots to the waiting attempts, first come, first served."""
        while self._waiting and self.taken < self.limiter.limit:
            turn = self._waiting.popleft()
            if not turn.done():
                self.taken += 1
                turn.set_result(None)
