"""When a failed call is tried again, and after what wait: one tenacity policy, state kept per call."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from engine.config import Settings
from engine.errors import ExtractionError, Failure

T = TypeVar("T")
Sleep = Callable[[float], Awaitable[None]]


def classify(error: BaseException) -> Failure:
    """How an extractor's exception is to be treated.

    An `ExtractionError` says it itself; connection errors and timeouts are transient; whatever else is a
    fault of the request or of the extractor, and repeating it changes nothing.
    """
    if isinstance(error, ExtractionError):
        return error.failure
    return Failure.TRANSIENT if isinstance(error, OSError | TimeoutError | EOFError) else Failure.PERMANENT


@dataclass
class EndpointPause:
    """The wait a service asked for, kept by all calls to it, not by the one that was told (TRAPS 19)."""

    clock: Callable[[], float] = time.monotonic
    sleep: Sleep = asyncio.sleep
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
            await self.sleep(remaining)


@dataclass
class _Call(Generic[T]):
    """One call with the attempts it took. State lives here, never in the shared policy (TRAPS 28)."""

    attempt: Callable[[], Awaitable[T]]
    pause: EndpointPause
    transient: int = 0
    throttled_since: float | None = None
    pending: BaseException | None = None

    async def __call__(self) -> T:
        if self.pending is not None:
            error, self.pending = self.pending, None
            raise error
        await self.pause.passed()
        return await self.attempt()


class RetryPolicy:
    """Full jitter by failure class: transient failures cost attempts, throttled ones only time.

    Wait before attempt n+1 after a transient failure: uniform in [0, min(retry_max_s, retry_base_s * 2**n)]
    ("full jitter", AWS Architecture Blog, "Exponential Backoff And Jitter", 2015). After a throttled one: the
    `Retry-After`, capped, for all calls of this range, plus the same jitter, never less.

    Args:
        on_retry: called with the class of each failure that will be tried again.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        pause: EndpointPause | None = None,
        rng: random.Random | None = None,
        on_retry: Callable[[Failure], None] = lambda _: None,
    ) -> None:
        self._settings = settings
        self._pause = pause or EndpointPause()
        self._rng = rng or random.Random()  # noqa: S311  (spreads load; nothing secret)
        self._on_retry = on_retry
        self._retrying = AsyncRetrying(
            sleep=self._pause.sleep,
            retry=retry_if_exception(lambda error: classify(error) is not Failure.PERMANENT),
            stop=self._exhausted,
            wait=self._wait,
            before_sleep=self._before_sleep,
            reraise=True,
        )

    async def call(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """The result of the first attempt that succeeds.

        Raises:
            Exception: the last attempt's.
        """
        call = _Call(attempt, self._pause)
        try:
            return await call()  # the happy path pays nothing for the policy
        except Exception as error:
            if classify(error) is Failure.PERMANENT:
                raise
            call.pending = error
        # A copy: an AsyncRetrying keeps its iteration state on itself, and calls run side by side.
        return await self._retrying.copy()(call)

    def _exhausted(self, state: RetryCallState) -> bool:
        call, failure = self._inspect(state)
        if failure is Failure.TRANSIENT:
            call.transient += 1
            return call.transient >= self._settings.max_attempts
        call.throttled_since = call.throttled_since or self._pause.clock()
        return self._pause.clock() - call.throttled_since >= self._settings.max_throttled_s

    def _wait(self, state: RetryCallState) -> float:
        call, failure = self._inspect(state)
        settings = self._settings
        # Throttled for long means: ask less and less often, up to the bound.
        exponent = min(call.transient if failure is Failure.TRANSIENT else state.attempt_number, 30)
        jitter = self._rng.uniform(0, min(settings.retry_max_s, settings.retry_base_s * 2**exponent))
        if failure is Failure.THROTTLED:
            error = _error(state)
            hint = error.retry_after_s if isinstance(error, ExtractionError) else None
            self._pause.extend(min(hint or 0.0, settings.retry_after_max_s))
            return self._pause.remaining + jitter
        return jitter

    def _before_sleep(self, state: RetryCallState) -> None:
        self._on_retry(self._inspect(state)[1])

    @staticmethod
    def _inspect(state: RetryCallState) -> tuple[_Call[object], Failure]:
        call = state.fn
        if not isinstance(call, _Call):
            raise TypeError(f"the policy retries _Call objects, not {call!r}")
        return call, classify(_error(state))


def _error(state: RetryCallState) -> BaseException:
    error = state.outcome.exception() if state.outcome else None
    if error is None:
        raise RuntimeError("tenacity asked about an attempt that did not fail")
    return error
