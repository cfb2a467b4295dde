"""When a failed call is tried again, and after what wait: one tenacity policy, state kept per call."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from engine.calling.retry_quota import COSTS, SUCCESS_GAIN, RetryQuota
from engine.errors import ExtractionError, Failure, classify
from engine.model import Sleep
from engine.settings import Settings

T = TypeVar("T")


@dataclass
class EndpointPause:
    """The wait a service asked for, kept by all calls to it, not by the one that was told (TRAPS 19).

    Each call that waits adds a jitter of its own, upward: uniform in [0, `spread_s` + a tenth of the wait].
    Otherwise all of them would be back in the same instant.
    """

    clock: Callable[[], float] = time.monotonic
    sleep: Sleep = asyncio.sleep
    rng: random.Random = field(default_factory=random.Random)
    spread_s: float = 0.2
    _until: float = field(default=0.0, init=False)

    def extend(self, seconds: float) -> None:
        """No call before `seconds` from now."""
        self._until = max(self._until, self.clock() + seconds)

    @property
    def remaining(self) -> float:
        """Seconds until calls may start again."""
        return max(0.0, self._until - self.clock())

    async def passed(self) -> None:
        """Returns once no pause is on."""
        while (remaining := self.remaining) > 0:
            await self.sleep(remaining + self.rng.uniform(0, self.spread_s + remaining / 10))


@dataclass
class Charges:
    """What one call has used up. State lives here, never in the shared policy (TRAPS 28).

    Attributes:
        max_attempts: transient failures that end the call.
        transient: transient failures so far.
        spent_s: time in attempts and in waits between them; pauses, outages and the quota are not its fault.
        tokens: what its last retry took from the quota.
    """

    max_attempts: int
    transient: int = 0
    spent_s: float = 0.0
    throttled_since: float | None = None
    tokens: int = SUCCESS_GAIN

    def forgive(self) -> None:
        """Takes back what was charged: it was not the call's fault."""
        self.transient, self.spent_s = 0, 0.0


@dataclass
class _Call(Generic[T]):
    """One call: what it does, and what it was charged."""

    attempt: Callable[[], Awaitable[T]]
    pause: EndpointPause
    charges: Charges
    pending: BaseException | None = None

    async def __call__(self) -> T:
        if self.pending is not None:
            error, self.pending = self.pending, None
            raise error
        if self.pause.remaining:
            await self.pause.passed()
        began = self.pause.clock()
        try:
            return await self.attempt()
        except Exception:
            self.charges.spent_s += self.pause.clock() - began
            raise


class RetryPolicy:
    """Full jitter by failure class: transient failures cost attempts, throttled ones only time.

    Wait after the n-th transient failure: uniform in [0, min(retry_max_s, retry_base_s * 2**(n - 1))]
    ("full jitter", AWS Architecture Blog, "Exponential Backoff And Jitter", 2015). After a throttled one: the
    `Retry-After`, capped, for all calls of this range, plus the same jitter, never less. Each retry takes
    tokens from a quota, and waits for them when there are none.

    Args:
        pause: by default one on `clock`; whatever else waits for the service goes by its clock and sleep.
        on_retry: called with the class of each failure that will be tried again.
        on_pause: called with its seconds when the service asks for a pause and none is on.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        pause: EndpointPause | None = None,
        rng: random.Random | None = None,
        clock: Callable[[], float] = time.monotonic,
        on_retry: Callable[[Failure], None] = lambda _: None,
        on_pause: Callable[[float], None] = lambda _: None,
    ) -> None:
        self.settings = settings
        self.rng = rng or random.Random()  # noqa: S311  (spreads load; nothing secret)
        self.pause = pause or EndpointPause(clock, rng=self.rng, spread_s=settings.retry_base_s)
        self.on_retry, self._on_pause = on_retry, on_pause
        self._quota = RetryQuota(settings.retry_tokens, self.pause.clock)
        self._retrying = AsyncRetrying(
            sleep=self.pause.sleep,
            retry=retry_if_exception(lambda error: classify(error) is not Failure.PERMANENT),
            stop=self._exhausted,
            wait=self._wait,
            before_sleep=self._before_sleep,
            reraise=True,
        )

    async def call(self, attempt: Callable[[], Awaitable[T]], charges: Charges | None = None) -> T:
        """The result of the first attempt that succeeds.

        Args:
            charges: of this call; by default it has `max_attempts` attempts.

        Raises:
            Exception: the last attempt's.
        """
        call = _Call(attempt, self.pause, charges or Charges(self.settings.max_attempts))
        try:
            result = await call()  # the happy path pays nothing for the policy
        except Exception as error:
            if classify(error) is Failure.PERMANENT:
                raise
            call.pending = error
        else:
            self._quota.give_back(SUCCESS_GAIN)
            return result
        # A copy: an AsyncRetrying keeps its iteration state on itself, and calls run side by side.
        result = await self._retrying.copy()(call)
        self._quota.give_back(call.charges.tokens)
        return result

    async def repeat(self, failure: Failure) -> None:
        """Counts and pays for a failed call that its caller repeats in another form, such as in halves."""
        self.on_retry(failure)
        if (wait_s := self._quota.take(failure)) > 0:
            await self.pause.sleep(wait_s)

    def _exhausted(self, state: RetryCallState) -> bool:
        charges, failure = self._inspect(state)
        if failure is Failure.TRANSIENT:
            charges.transient += 1
            return charges.transient >= charges.max_attempts or charges.spent_s >= self.settings.max_retry_s
        now = self.pause.clock()
        if charges.throttled_since is None:
            charges.throttled_since = now
        return now - charges.throttled_since >= self.settings.max_throttled_s

    def _wait(self, state: RetryCallState) -> float:
        charges, failure = self._inspect(state)
        settings = self.settings
        # Throttled for long means: ask less and less often, up to the bound.
        exponent = min(charges.transient if failure is Failure.TRANSIENT else state.attempt_number, 30)
        jitter = self.rng.uniform(0, min(settings.retry_max_s, settings.retry_base_s * 2**exponent))
        unpaid_s = self._quota.take(failure)
        charges.tokens = COSTS[failure]
        if failure is Failure.THROTTLED:
            error = _error(state)
            hint = error.retry_after_s if isinstance(error, ExtractionError) else None
            self._ask_for_pause(min(hint or 0.0, settings.retry_after_max_s))
            return max(self.pause.remaining, unpaid_s) + jitter
        charges.spent_s += jitter
        return unpaid_s + jitter

    def _ask_for_pause(self, seconds: float) -> None:
        if seconds and not self.pause.remaining:
            self._on_pause(seconds)
        self.pause.extend(seconds)

    def _before_sleep(self, state: RetryCallState) -> None:
        self.on_retry(self._inspect(state)[1])

    @staticmethod
    def _inspect(state: RetryCallState) -> tuple[Charges, Failure]:
        call = state.fn
        if not isinstance(call, _Call):
            raise TypeError(f"the policy retries _Call objects, not {call!r}")
        return call.charges, classify(_error(state))


def _error(state: RetryCallState) -> BaseException:
    error = state.outcome.exception() if state.outcome else None
    if error is None:
        raise RuntimeError("tenacity asked about an attempt that did not fail")
    return error
