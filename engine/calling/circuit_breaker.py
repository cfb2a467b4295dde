"""Tells an outage from bad texts: after several failures in a row all calls wait, and one probe decides.

    closed --failures in a row, or a doubt--> open --a probe succeeds--> closed
                                              open --a probe fails--> open: wait longer, probe again
                                              open for max_outage_s --> ServiceDown: the range is interrupted

The states are those of the circuit breaker of M. Nygard ("Release It!"); half-open is the moment of a probe.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from engine.errors import ExtractionError, ServiceDown
from engine.model import Sleep
from engine.observing.events import Events
from engine.settings import Settings

Probe = Callable[[], Awaitable[Exception | None]]
"""Asks whether the service works; returns None if it does, else the error. If it raises, the range ends."""


class CircuitBreaker:
    """Makes calls wait while it is in doubt whether the service works.

    Attributes:
        outages: how often the service was found down. If this number changed during an attempt, the attempt
            was made in an outage and says nothing about its texts.

    Args:
        clock, sleep: in seconds; injected by tests.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], float],
        sleep: Sleep,
        rng: random.Random,
        events: Events | None = None,
    ) -> None:
        self.outages = 0
        self._settings = settings
        self._clock, self._sleep, self._rng = clock, sleep, rng
        self._events = events or Events()
        self._failures = 0
        self._opened_at: float | None = None
        self._problem: Exception | None = None
        self._failed_probes = 0
        self._probing = asyncio.Lock()

    @property
    def is_open(self) -> bool:
        """Whether calls have to wait."""
        return self._opened_at is not None

    def record_success(self) -> None:
        """Records a success, which ends the row of failures."""
        self._failures = 0

    def record_failure(self) -> None:
        """Records a failure other than throttling; `circuit_failures` of them in a row open the circuit."""
        self._failures += 1
        if self._failures >= self._settings.tuning.circuit_failures:
            self.open()

    def open(self) -> None:
        """Makes all calls wait until a probe has shown that the service works."""
        if self._opened_at is None:
            self._opened_at, self._failed_probes, self._problem = self._clock(), 0, None

    async def wait_until_closed(self, probe: Probe) -> None:
        """Waits until the circuit is closed; the calls that wait send the probes, one at a time (trap 25).

        Args:
            probe: one request with a text that is known to be good.

        Raises:
            ServiceDown: the service was down for `max_outage_s`, and a probe that was made while this call
                waited has failed too.
        """
        seen = self._failed_probes
        while self._opened_at is not None:
            async with self._probing:
                if self._opened_at is not None:  # it may have been closed while this call waited
                    self._refuse_long_outage(self._opened_at, seen)
                    await self._probe_once(self._opened_at, probe)

    def _refuse_long_outage(self, opened_at: float, seen: int) -> None:
        down_s = self._clock() - opened_at
        if self._failed_probes > seen and down_s >= self._settings.max_outage_s:
            raise ServiceDown(
                f"the service does not work ({self._problem}): it has been down for {down_s:.0f} s; "
                "no document is blamed, run again to resume"
            ) from self._problem

    async def _probe_once(self, opened_at: float, probe: Probe) -> None:
        await self._sleep(self._wait_s())
        problem = await probe()
        if problem is None:
            self._close(opened_at)
        else:
            self._found_down(problem)

    def _close(self, opened_at: float) -> None:
        self._opened_at, self._failures = None, 0
        if self._failed_probes:
            self._events.warning("service_up", after_s=self._clock() - opened_at, probes=self._failed_probes)

    def _found_down(self, problem: Exception) -> None:
        self._failed_probes += 1
        self._problem = problem
        if self._failed_probes == 1:
            self.outages += 1
            self._events.warning("service_down", problem=problem)

    def _wait_s(self) -> float:
        """Returns the wait before the next probe: 0 s before the first one, then growing up to `probe_max_s`.

        It is random in the upper half of its bound, and is added to the pause that the service asked for.
        """
        if self._failed_probes == 0:
            return 0.0
        settings = self._settings
        bound = min(
            settings.tuning.probe_max_s, settings.tuning.retry_base_s * 2 ** min(self._failed_probes, 30)
        )
        hint = self._problem.retry_after_s if isinstance(self._problem, ExtractionError) else None
        return min(hint or 0.0, settings.tuning.retry_after_max_s) + self._rng.uniform(bound / 2, bound)
