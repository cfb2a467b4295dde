"""Decides whether and when a failed call is tried again: one tenacity policy, its state kept per call."""

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
    """The pause that a service asked for. All calls of the range wait for its end (trap 19, docs/traps.md).

    Each call that waits adds a jitter of its own, uniform in [0, `spread_s` + a tenth of the wait]. Otherwise
    all of them would return in the same instant.
    """

    clock: Callable[[], float] = time.monotonic
    sleep: Sleep = asyncio.sleep
    rng: random.Random = field(default_factory=random.Random)
    spread_s: float = 0.2
    _until: float = field(default=0.0, init=False)

    def extend(self, seconds: float) -> None:
        """Lets no call begin before `seconds` from now."""
        self._until = max(self._until, self.clock() + seconds)

    @property
    def remaining(self) -> float:
        """Seconds until calls may start again."""
        return max(0.0, self._until - self.clock())

    async def wait(self) -> None:
        """Waits until no pause is on."""
        while (remaining := self.remaining) > 0:
            await self.sleep(remaining + self.rng.uniform(0, self.spread_s + remaining / 10))


@dataclass
class RetryState:
    """What one call has used up so far. The policy is shared, so it keeps no state of calls (trap 28).

    Attributes:
        max_attempts: the call ends with this many transient failures.
        transient: transient failures so far.
        spent_s: time in attempts and in waits between them, without pauses, outages and waits for the quota.
        throttled_since: when it was throttled first; None if it was not.
        tokens: what a success gives back to the quota: the cost of the last retry.
    """

    max_attempts: int
    transient: int = 0
    spent_s: float = 0.0
    throttled_since: float | None = None
    tokens: int = SUCCESS_GAIN

    def reset(self) -> None:
        """Forgets the failures and the time, after an outage that explains them."""
        self.transient, self.spent_s = 0, 0.0


@dataclass
class _Call(Generic[T]):
    """One call: what it does, and its state."""

    attempt: Callable[[], Awaitable[T]]
    pause: EndpointPause
    state: RetryState
    pending: BaseException | None = None

    async def __call__(self) -> T:
        if self.pending is not None:
            error, self.pending = self.pending, None
            raise error
        if self.pause.remaining:
            await self.pause.wait()
        began = self.pause.clock()
        try:
            return await self.attempt()
        except Exception:
            self.state.spent_s += self.pause.clock() - began
            raise


class RetryPolicy:
    """Retries with full jitter: transient failures cost attempts and time, throttled ones only time.

    Wait after the n-th transient failure: uniform in [0, min(retry_max_s, retry_base_s * 2**(n - 1))]
    ("full jitter", AWS Architecture Blog, "Exponential Backoff And Jitter", 2015). After a throttled one, all
    calls of the range wait for the `Retry-After`, capped by `retry_after_max_s`, and this call for a jitter
    more. Each retry takes tokens from a quota, and waits for them when there are none.

    Args:
        pause: by default a new one on `clock`. All other waits for the service use its clock and sleep.
        on_retry: called with the class of each failure after which the call is tried again.
        on_pause: called with the seconds when the service asks for a pause while none is on.
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

    async def call(self, attempt: Callable[[], Awaitable[T]], state: RetryState | None = None) -> T:
        """Returns the result of the first attempt that succeeds.

        Args:
            state: the state of this call; by default a new one with `max_attempts` attempts.

        Raises:
            Exception: the error of the last attempt.
        """
        call = _Call(attempt, self.pause, state or RetryState(self.settings.max_attempts))
        try:
            result = await call()  # most calls succeed at once, and need not pay for tenacity
        except Exception as error:
            if classify(error) is Failure.PERMANENT:
                raise
            call.pending = error
        else:
            self._quota.give_back(SUCCESS_GAIN)
            return result
        # A copy: an AsyncRetrying object holds the state of its iteration, and many calls run at once.
        result = await self._retrying.copy()(call)
        self._quota.give_back(call.state.tokens)
        return result

    async def repeat(self, failure: Failure) -> None:
        """Counts and pays for a failed call that its caller repeats in another form, such as in halves."""
        self.on_retry(failure)
        if (wait_s := self._quota.take(failure)) > 0:
            await self.pause.sleep(wait_s)

    def _exhausted(self, retrying: RetryCallState) -> bool:
        state, failure = self._inspect(retrying)
        if failure is Failure.TRANSIENT:
            state.transient += 1
            return state.transient >= state.max_attempts or state.spent_s >= self.settings.max_retry_s
        now = self.pause.clock()
        if state.throttled_since is None:
            state.throttled_since = now
        return now - state.throttled_since >= self.settings.max_throttled_s

    def _wait(self, retrying: RetryCallState) -> float:
        state, failure = self._inspect(retrying)
        settings = self.settings
        # A call that is throttled for long asks less and less often, up to the bound.
        exponent = min(state.transient if failure is Failure.TRANSIENT else retrying.attempt_number, 30)
        jitter = self.rng.uniform(0, min(settings.retry_max_s, settings.retry_base_s * 2**exponent))
        unpaid_s = self._quota.take(failure)
        state.tokens = COSTS[failure]
        if failure is Failure.THROTTLED:
            error = _error(retrying)
            hint = error.retry_after_s if isinstance(error, ExtractionError) else None
            self._ask_for_pause(min(hint or 0.0, settings.retry_after_max_s))
            return max(self.pause.remaining, unpaid_s) + jitter
        state.spent_s += jitter
        return unpaid_s + jitter

    def _ask_for_pause(self, seconds: float) -> None:
        if seconds and not self.pause.remaining:
            self._on_pause(seconds)
        self.pause.extend(seconds)

    def _before_sleep(self, retrying: RetryCallState) -> None:
        self.on_retry(self._inspect(retrying)[1])

    @staticmethod
    def _inspect(retrying: RetryCallState) -> tuple[RetryState, Failure]:
        call = retrying.fn
        if not isinstance(call, _Call):
            raise TypeError(f"the policy retries _Call objects, not {call!r}")
        return call.state, classify(_error(retrying))


def _error(retrying: RetryCallState) -> BaseException:
    error = retrying.outcome.exception() if retrying.outcome else None
    if error is None:
        raise RuntimeError("tenacity asked about an attempt that did not fail")
    return error
