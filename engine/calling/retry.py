"""When a failed call is tried again, and after what wait: one tenacity policy, composed of named parts.

    stop:  enough transient failures | enough time spent | put off by the service for too long
    wait:  full jitter
    retry: the failure may pass (throttled or transient)

The parts only look at the call; what a retry costs is taken in `before_sleep`, which tenacity runs only if
there is another attempt. (It asks `wait` before `stop`, so a wait with effects would be paid for retries that
are never made.)
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception
from tenacity.stop import stop_base
from tenacity.wait import wait_exponential

from engine.calling.retry_quota import COSTS, SUCCESS_GAIN, RetryQuota
from engine.errors import Failure, classify
from engine.model import Effort, Sleep

T = TypeVar("T")


@dataclass(slots=True)
class EffortCounter:
    """Counts what the calls of one range take: requests, and those of them that repeat a failed one."""

    requests: int = 0
    retries: int = 0
    throttled: int = 0
    refused: int = 0

    def count_retry(self, failure: Failure) -> None:
        """Counts a failed request that is made again."""
        self.retries += 1
        self.throttled += failure is Failure.THROTTLED
        self.refused += failure is Failure.PERMANENT

    def count_sent_again(self) -> None:
        """Counts a request that the extractor has sent a second time, within one attempt."""
        self.requests += 1
        self.count_retry(Failure.TRANSIENT)

    @property
    def effort(self) -> Effort:
        """The counts so far."""
        return Effort(self.requests, self.retries, self.throttled, self.refused)


@dataclass
class Call(Generic[T]):
    """One call: how an attempt is made, and what the attempts have used up.

    This state lives here and never in the policy, which all calls share (trap 28, docs/traps.md).

    Attributes:
        attempt: makes one attempt; it is given the call.
        clock: monotonic, seconds.
        max_attempts: transient failures that end the call.
        effort: counts the retries.
        transient: transient failures so far.
        spent_s: time in failed attempts and in the random waits after them. Pauses, outages and waits for a
            slot or for the retry quota are not the call's fault and do not count.
        throttled_since: when the service put the call off for the first time.
        is_clear: whether a call that was put off may end before its time, asked after each time.
        tokens: what the last retry took from the quota; a success gives it back.
        failed: how the first attempt failed, until the policy asks for it.
    """

    attempt: Callable[[Call[T]], Awaitable[T]]
    clock: Callable[[], float]
    max_attempts: int
    effort: EffortCounter = field(default_factory=EffortCounter)
    transient: int = 0
    spent_s: float = 0.0
    throttled_since: float | None = None
    is_clear: Callable[[], bool] | None = None
    tokens: int = SUCCESS_GAIN
    failed: BaseException | None = None

    def forgive(self) -> None:
        """Takes back what was counted against the call, because an outage was to blame."""
        self.transient, self.spent_s = 0, 0.0

    async def __call__(self) -> T:
        """Makes an attempt and records how it failed; if `failed` is set, raises that instead."""
        if self.failed is not None:
            error, self.failed = self.failed, None
            raise error
        try:
            return await self.attempt(self)
        except Exception as error:
            failure = classify(error)
            if failure is Failure.TRANSIENT:
                self.transient += 1
            elif failure is Failure.THROTTLED and self.throttled_since is None:
                self.throttled_since = self.clock()
            raise


class RetryPolicy:
    """Makes calls, and repeats those whose failure may pass.

    Transient failures cost attempts and time, throttled ones only time. The wait after the n-th failure is
    uniform in [0, min(retry_max_s, retry_base_s * 2**(n - 1))] ("full jitter", AWS Architecture Blog,
    "Exponential Backoff And Jitter", 2015). Each retry takes tokens from the quota, and waits for them when
    there are none. Waits that the service asked for are the endpoint's, and each attempt keeps them.

    Args:
        max_retry_s: time in attempts and waits after which a transient failure ends the call.
        max_throttled_s: time after which a call that is put off ends.
        base_s, most_s: the first bound of the random wait, and its last.
    """

    def __init__(
        self,
        quota: RetryQuota,
        *,
        max_retry_s: float,
        max_throttled_s: float,
        base_s: float,
        most_s: float,
        sleep: Sleep,
        rng: random.Random,
    ) -> None:
        self._quota, self._sleep = quota, sleep
        self._retrying = AsyncRetrying(
            retry=retry_if_exception(lambda error: classify(error) is not Failure.PERMANENT),
            stop=stop_after_transient_failures()
            | stop_after_spent(max_retry_s)
            | stop_after_throttled(max_throttled_s),
            wait=wait_full_jitter(base_s, most_s, rng),
            before_sleep=self._pay,
            sleep=sleep,
            reraise=True,
        )

    async def call(self, call: Call[T]) -> T:
        """The result of the first attempt that succeeds.

        Raises:
            Exception: the last attempt's.
        """
        try:
            result = await call()  # no retry object is made for it (docs/decisions/0005)
        except Exception as error:
            if classify(error) is Failure.PERMANENT:
                raise
            call.failed = error  # the policy begins with this failure
            # A copy, because an AsyncRetrying keeps the state of its iteration, and calls run side by side.
            result = await self._retrying.copy()(call)
        self._quota.give_back(call.tokens)
        return result

    async def pay(self, call: Call[T], failure: Failure) -> None:
        """Counts a retry and takes its tokens, once they are there."""
        call.effort.count_retry(failure)
        call.tokens = COSTS[failure]
        if (wait_s := self._quota.take(failure)) > 0:
            await self._sleep(wait_s)

    async def _pay(self, state: RetryCallState) -> None:
        call, failure = _call(state), classify(_error(state))
        if failure is Failure.TRANSIENT:
            call.spent_s += state.upcoming_sleep
        await self.pay(call, failure)


class stop_after_transient_failures(stop_base):  # noqa: N801  (tenacity names its parts so)
    """Stops a call that has failed transiently `max_attempts` times."""

    def __call__(self, retry_state: RetryCallState) -> bool:
        """Looks at the call, whatever its last failure was."""
        call = _call(retry_state)
        return call.transient >= call.max_attempts


class stop_after_spent(stop_base):  # noqa: N801
    """Stops a call that has spent so many seconds in failed attempts and waits, after a transient failure."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __call__(self, retry_state: RetryCallState) -> bool:
        """Looks at the last failure and at the call."""
        transient = classify(_error(retry_state)) is Failure.TRANSIENT
        return transient and _call(retry_state).spent_s >= self._seconds


class stop_after_throttled(stop_base):  # noqa: N801
    """Stops a call that the service has put off for so many seconds, or whose case is clear."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __call__(self, retry_state: RetryCallState) -> bool:
        """Looks at the last failure and at the call."""
        call = _call(retry_state)
        if classify(_error(retry_state)) is not Failure.THROTTLED or call.throttled_since is None:
            return False
        late = call.clock() - call.throttled_since >= self._seconds
        return late or (call.is_clear is not None and call.is_clear())


class wait_full_jitter(wait_exponential):  # noqa: N801
    """Waits at random up to a bound that doubles with each attempt.

    It is tenacity's `wait_random_exponential` with a random source that is given.
    """

    def __init__(self, base_s: float, most_s: float, rng: random.Random) -> None:
        super().__init__(multiplier=base_s, max=most_s)
        self._rng = rng

    def __call__(self, retry_state: RetryCallState) -> float:
        """Draws the seconds to wait."""
        return self._rng.uniform(0, super().__call__(retry_state))


def _call(state: RetryCallState) -> Call[object]:
    if not isinstance(state.fn, Call):
        raise TypeError(f"the policy retries Call objects, not {state.fn!r}")
    return state.fn


def _error(state: RetryCallState) -> BaseException:
    error = state.outcome.exception() if state.outcome else None
    if error is None:
        raise RuntimeError("tenacity asked about an attempt that did not fail")
    return error
