"""The retry quota, on a clock of its own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine import Failure
from engine.calling.retry_quota import COSTS, RETRIES_PER_S, SUCCESS_GAIN, RetryQuota


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self):
        self.now = 50.0

    def __call__(self):
        """Returns the time."""
        return self.now


def test_trap_20_the_quota_is_that_of_botocore():
    """500 tokens pay for 35 transient retries or 100 throttled ones; the next one has to wait."""
    for failure, paid in ((Failure.TRANSIENT, 35), (Failure.THROTTLED, 100)):
        quota = RetryQuota(500, Clock())
        assert [quota.take(failure) for _ in range(paid)] == [0.0] * paid
        assert quota.take(failure) > 0


def test_trap_20_an_empty_quota_lets_retries_wait_and_never_refuses():
    """Each retry waits for its own tokens, so ten begin each second, however many wait."""
    quota = RetryQuota(14, Clock())
    waits = [quota.take(Failure.TRANSIENT) for _ in range(31)]
    assert waits == [n / RETRIES_PER_S for n in range(31)]


def test_trap_20_a_success_gives_back():
    """It returns what its retry took, or one token if it needed none, up to the capacity."""
    quota = RetryQuota(500, Clock())
    quota.take(Failure.TRANSIENT)
    quota.give_back(SUCCESS_GAIN)
    assert quota._tokens == 487
    quota.give_back(COSTS[Failure.TRANSIENT])
    assert quota._tokens == 500


def test_time_fills_the_quota_up():
    """An empty quota is full again after a while, and never above its capacity."""
    clock = Clock()
    quota = RetryQuota(140, clock)
    for _ in range(10):
        quota.take(Failure.TRANSIENT)
    clock.now += 1000
    assert quota.take(Failure.TRANSIENT) == 0
    assert quota._tokens == 140 - 14


@given(st.lists(st.sampled_from(["success", "retry", "second"]), max_size=400))
def test_trap_20_retries_that_fail_stay_within_the_budget(events):
    """Retries that need no wait are at most (capacity + successes) / 14, and ten a second."""
    clock = Clock()
    quota = RetryQuota(70, clock)
    retries = successes = seconds = 0
    for event in events:
        if event == "success":
            successes += 1
            quota.give_back(SUCCESS_GAIN)
        elif event == "second":
            seconds += 1
            clock.now += 1
        elif quota.take(Failure.TRANSIENT) == 0:
            retries += 1
    assert retries * 14 <= 70 + successes + seconds * RETRIES_PER_S * 14
