"""The retry policy, with an injected clock: no test waits."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import ExtractionError, Failure
from engine.calling.endpoint import Endpoint
from engine.calling.retry import Call, EffortCounter
from engine.calling.retry_quota import COSTS
from engine.errors import classify
from engine.model import Effort
from tests.support.settings import settings_with


class Time:
    """A clock that moves only when something sleeps."""

    def __init__(self):
        self.now = 1000.0
        self.slept = []

    async def sleep(self, seconds):
        """Moves the clock."""
        self.slept.append(seconds)
        self.now += seconds


class Service:
    """Fails as scripted, then succeeds."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.attempts = 0

    async def __call__(self):
        """Makes one attempt."""
        self.attempts += 1
        if self.errors:
            raise self.errors.pop(0)
        return "fine"


def failure(kind, retry_after_s=None):
    """An error of the given class."""
    return ExtractionError("no", failure=kind, retry_after_s=retry_after_s)


class Calls:
    """Calls to one endpoint on a clock that only sleeping moves; its circuit breaker stays closed."""

    def __init__(self, time, seed=1, max_attempts=6, **values):
        self.max_attempts, self.counter = max_attempts, EffortCounter()
        settings = settings_with(max_attempts=max_attempts, circuit_failures=10_000, **values)
        rng = random.Random(seed)
        self.endpoint = Endpoint(settings, clock=lambda: time.now, sleep=time.sleep, rng=rng)
        self.last = None

    @property
    def tokens(self):
        """What is left of the quota."""
        return self.endpoint.retries._quota._tokens

    def use_up(self, retries):
        """Takes the tokens of so many transient retries."""
        for _ in range(retries):
            self.endpoint.retries._quota.take(Failure.TRANSIENT)

    async def call(self, service):
        """What a call of the service returns or raises at last."""

        async def attempt(call):
            async with self.endpoint.attempt(["text"], works):
                began = self.endpoint.clock()
                try:
                    return await service()
                finally:
                    call.spent_s += self.endpoint.clock() - began

        self.last = Call(attempt, self.endpoint.clock, self.max_attempts, self.counter)
        return await self.endpoint.retries.call(self.last)


async def works():
    """A probe that succeeds."""


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (failure(Failure.THROTTLED), Failure.THROTTLED),
        (ConnectionResetError(), Failure.TRANSIENT),
        (TimeoutError(), Failure.TRANSIENT),
        (OSError(), Failure.TRANSIENT),
        (EOFError(), Failure.TRANSIENT),
        (ValueError(), Failure.PERMANENT),
        (ExtractionError("no"), Failure.PERMANENT),
    ],
)
def test_trap_18_any_exception_has_a_class(error, kind):
    """So do the exceptions that plain functions raise."""
    assert classify(error) is kind


@pytest.mark.asyncio
async def test_a_success_needs_no_policy():
    """It takes one attempt and no wait."""
    time = Time()
    calls = Calls(time)
    assert await calls.call(Service()) == "fine"
    assert (time.slept, calls.counter.retries) == ([], 0)


@pytest.mark.asyncio
async def test_transient_failures_cost_attempts():
    """After `max_attempts` the last error is raised."""
    service = Service(*[failure(Failure.TRANSIENT) for _ in range(9)])
    calls = Calls(Time(), max_attempts=4)
    with pytest.raises(ExtractionError):
        await calls.call(service)
    assert (service.attempts, calls.counter.effort) == (4, Effort(0, retries=3))


@pytest.mark.asyncio
async def test_permanent_failures_are_not_tried_again():
    """This holds for the first failure and for later ones."""
    service = Service(failure(Failure.TRANSIENT), failure(Failure.PERMANENT))
    with pytest.raises(ExtractionError):
        await Calls(Time()).call(service)
    assert service.attempts == 2


@pytest.mark.asyncio
async def test_throttling_costs_time_and_no_attempts():
    """A service may be busy for a long time: only `max_throttled_s` ends the call."""
    service = Service(*[failure(Failure.THROTTLED, 1.0) for _ in range(50)])
    assert await Calls(Time(), max_attempts=2).call(service) == "fine"
    time, endless = Time(), Service(*[failure(Failure.THROTTLED, 10.0) for _ in range(500)])
    with pytest.raises(ExtractionError):
        await Calls(time, max_throttled_s=60).call(endless)
    assert 60 <= sum(time.slept) <= 60 + 10 + 20


@given(st.integers(0, 2**32), st.integers(1, 8))
def test_trap_20_waits_are_fully_jittered_and_bounded(seed, failures):
    """The wait after the n-th failure is between 0 and `retry_base_s * 2**(n - 1)`, capped."""
    time = Time()
    calls = Calls(time, seed, max_attempts=20, retry_base_s=0.5, retry_max_s=8)
    asyncio.run(calls.call(Service(*[failure(Failure.TRANSIENT)] * failures)))
    assert len(time.slept) == failures
    for n, waited in enumerate(time.slept, start=1):
        assert 0 <= waited <= min(8, 0.5 * 2 ** (n - 1))


@pytest.mark.asyncio
async def test_trap_19_retry_after_pauses_the_endpoint_for_all():
    """A call that was never refused waits too, and jitter never shortens the pause."""
    time = Time()
    calls = Calls(time, retry_base_s=1.0)
    await calls.call(Service(failure(Failure.THROTTLED, 30.0)))
    assert time.now - 1000.0 >= 30.0
    calls.endpoint.pause.extend(15.0)
    await calls.call(Service())
    assert time.slept[-1] >= 15.0


@pytest.mark.asyncio
async def test_trap_19_jitter_spreads_clients_with_the_same_hint():
    """Twenty clients with the same `Retry-After` return at twenty different times."""
    waits = set()
    for seed in range(20):
        time = Time()
        await Calls(time, seed).call(Service(failure(Failure.THROTTLED, 600.0)))
        waits.add(time.now)
    assert len(waits) == 20


@pytest.mark.asyncio
async def test_trap_19_a_hint_is_capped():
    """A service that asks for a week is asked again after `retry_after_max_s`."""
    time = Time()
    calls = Calls(time, retry_after_max_s=60, retry_base_s=0)
    await calls.call(Service(failure(Failure.THROTTLED, 604800.0)))
    assert 60 <= time.now - 1000.0 <= 60 * 1.1  # the jitter goes upward


@pytest.mark.asyncio
async def test_trap_28_calls_share_no_state():
    """The attempts of one call do not count for another."""
    calls = Calls(Time(), max_attempts=3)
    for _ in range(4):
        assert await calls.call(Service(*[failure(Failure.TRANSIENT)] * 2)) == "fine"


@pytest.mark.asyncio
async def test_trap_20_retries_have_a_cap_on_total_time():
    """Attempts that time out one after another end after `max_retry_s`, whatever `max_attempts` says."""
    time = Time()
    attempts = []

    async def silence():
        attempts.append(time.now)
        time.now += 60
        raise TimeoutError

    calls = Calls(time, max_attempts=100, max_retry_s=300, retry_base_s=0)
    with pytest.raises(TimeoutError):
        await calls.call(silence)
    assert len(attempts) == 5


@pytest.mark.asyncio
async def test_trap_20_waiting_for_tokens_or_as_told_is_not_charged():
    """Waiting for an empty quota or a long pause costs a call neither attempts nor time."""
    time = Time()
    calls = Calls(time, max_attempts=6, max_retry_s=1, retry_base_s=0, retry_tokens=14)
    told = [failure(Failure.THROTTLED, 60.0) for _ in range(3)]
    service = Service(*told, *[failure(Failure.TRANSIENT) for _ in range(5)])
    calls.use_up(300)  # thirty seconds of retries ahead of this call
    assert await calls.call(service) == "fine"
    assert time.now - 1000.0 >= 180
    assert (calls.counter.retries, calls.last.transient, calls.last.spent_s) == (8, 5, 0)


@pytest.mark.asyncio
async def test_trap_20_an_empty_quota_slows_retries_down_and_loses_nothing():
    """Sixty calls fail twice: the first retries are free, then they go ten a second, and all succeed."""
    time = Time()
    calls = Calls(time, retry_base_s=0)
    for _ in range(60):
        assert await calls.call(Service(*[failure(Failure.TRANSIENT)] * 2)) == "fine"
    # 120 retries; 60 gave their tokens back, and 60 did not: 500 pay for 35 of them.
    assert sum(time.slept) == pytest.approx((60 - 35) / 10, abs=0.2)


@pytest.mark.asyncio
async def test_trap_20_successes_refill_the_quota():
    """A retried call that succeeds returns its tokens, so that occasional faults never empty the quota."""
    calls = Calls(Time(), retry_base_s=0)
    for _ in range(200):
        assert await calls.call(Service(failure(Failure.TRANSIENT))) == "fine"
    assert calls.tokens == 500
    calls.use_up(1)
    for _ in range(14):
        await calls.call(Service())
    assert calls.tokens == 500


@pytest.mark.asyncio
async def test_what_is_repeated_in_another_form_is_counted_and_paid_for():
    """The two halves of a failed batch are an example."""
    time = Time()
    calls = Calls(time, retry_tokens=14)
    halved = Call(None, calls.endpoint.clock, 1, calls.counter)
    await calls.endpoint.retries.pay(halved, Failure.TRANSIENT)
    await calls.endpoint.retries.pay(halved, Failure.TRANSIENT)
    assert (calls.counter.retries, time.slept) == (2, [0.1])


@pytest.mark.asyncio
async def test_trap_60_a_call_that_gives_up_pays_for_the_retries_that_it_made():
    """Six attempts are five retries; what the policy looks at after the last one costs nothing."""
    calls = Calls(Time(), retry_base_s=0)
    with pytest.raises(ExtractionError):
        await calls.call(Service(*[failure(Failure.TRANSIENT)] * 6))
    assert (calls.counter.retries, calls.tokens) == (5, 500 - 5 * COSTS[Failure.TRANSIENT])
