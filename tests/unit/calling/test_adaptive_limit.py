"""The rules of the adaptive limit, one by one; the simulated tests show how they work together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.calling.adaptive_limit import HOLD_S, MIN_ROUND, AdaptiveLimit, AttemptResult, LimitState


class Driver:
    """Makes attempts side by side, as many as a test says, on a clock that it moves."""

    def __init__(self, minimum=1, maximum=64):
        self.now = 100.0
        self.limiter = AdaptiveLimit(minimum, maximum, clock=lambda: self.now)

    def begin(self, count):
        """Begins the given number of attempts together."""
        return [self.limiter.begin(n) for n in range(1, count + 1)]

    def end(self, samples, result=AttemptResult.SUCCESS, after_s=0.0):
        """Ends the attempts together."""
        self.now += after_s
        for sample in samples:
            self.limiter.end(sample, result)

    def round(self, result=AttemptResult.SUCCESS, latency_s=0.05, count=None):
        """Begins and ends as many attempts as the limit allows."""
        self.end(self.begin(count or self.limiter.limit), result, latency_s)

    def settled(self, limit):
        """Learns the base latency, and brings the limit to a value by a refusal that is long past."""
        while self.limiter.limit <= limit:
            self.round()
        samples = self.begin(limit)
        self.end([samples[-1]], AttemptResult.THROTTLED)
        self.end(samples[:-1], AttemptResult.IGNORED)
        self.now += HOLD_S
        return self.limiter.limit


def test_the_first_limit_lies_within_its_bounds():
    """This holds even if the maximum is smaller than the initial limit."""
    assert AdaptiveLimit(1, 64).limit == 10
    assert AdaptiveLimit(1, 4).limit == 4
    assert AdaptiveLimit(20, 64).limit == 20


def test_slow_start_doubles_the_limit_in_a_round_trip():
    """Every success raises it by one: 10, 20, 40."""
    driver = Driver()
    limits = []
    for _ in range(3):
        limits.append(driver.limiter.limit)
        driver.round()
    assert limits == [10, 20, 40]


def test_waiting_shows_the_capacity_at_once():
    """40 in flight at twice the latency: the service works on 20 of them."""
    driver = Driver()
    driver.round()
    driver.round()
    driver.round(latency_s=0.1)
    assert 20 <= driver.limiter.limit <= 28


def test_without_waiting_the_limit_rises_slowly_after_a_refusal():
    """It rises by half its root in a round trip, not by one with each success."""
    driver = Driver()
    before = driver.settled(30)
    driver.round()
    assert 1 <= driver.limiter.limit - before <= 3


def test_trap_25_a_success_that_needed_a_retry_raises_nothing():
    """This holds in slow start and after it."""
    driver = Driver()
    driver.round(AttemptResult.RETRIED)
    assert driver.limiter.limit == 10
    before = driver.settled(30)
    for _ in range(5):
        driver.round(AttemptResult.RETRIED)
    assert driver.limiter.limit == before


def test_trap_25_a_cohort_of_refusals_lowers_the_limit_once():
    """All attempts of a round are refused: the limit backs off once."""
    driver = Driver()
    before = driver.settled(40)
    driver.round(AttemptResult.THROTTLED)
    assert driver.limiter.limit == int(0.45 * before)
    driver.round(AttemptResult.THROTTLED)
    assert driver.limiter.limit == int(0.45 * 0.45 * before)


@pytest.mark.parametrize("result", [AttemptResult.THROTTLED, AttemptResult.DROPPED])
def test_trap_25_what_began_before_the_last_decrease_decreases_nothing(result):
    """This holds however late it fails: a burst of errors once took a limit from 128 to 9."""
    driver = Driver(maximum=128)
    driver.settled(100)
    burst = driver.begin(driver.limiter.limit)
    driver.end(burst[:1], AttemptResult.THROTTLED, 0.05)
    lowered = driver.limiter.limit
    driver.end(burst[1:], result, 3.0)
    assert driver.limiter.limit == lowered


def test_faults_lower_the_limit_by_half_their_share():
    """A round that loses 2 of 20 keeps 95% of the limit, and the usual rise is added."""
    driver = Driver()
    before = driver.settled(20)
    samples = driver.begin(before)
    driver.end(samples[:2], AttemptResult.DROPPED, 0.05)
    driver.end(samples[2:])
    assert before - 1 <= driver.limiter.limit <= before + 2


def test_many_failures_lower_the_limit_by_half_their_share_too():
    """If half of 40 are dropped, three quarters of the limit are left, and the usual rise is added."""
    driver = Driver()
    before = driver.settled(40)
    samples = driver.begin(before)
    driver.end(samples[: before // 2], AttemptResult.DROPPED, 0.05)
    driver.end(samples[before // 2 :])
    assert 0.7 * before <= driver.limiter.limit <= 0.85 * before


def test_many_failures_end_slow_start():
    """After a round with many failures the next one no longer doubles the limit."""
    driver = Driver()
    driver.round()
    samples = driver.begin(20)
    driver.end(samples[12:])
    driver.end(samples[:12], AttemptResult.DROPPED, 0.05)
    before = driver.limiter.limit
    driver.round()
    assert driver.limiter.limit <= before + 3


def test_a_round_of_waiting_halves_the_limit_at_most():
    """Even if the latency is many times the base: the next round shows how much of it was a queue."""
    driver = Driver()
    before = driver.settled(40)
    driver.round(latency_s=1.0)
    assert 0.5 * before <= driver.limiter.limit <= 0.65 * before


def test_an_outage_takes_little_and_gives_it_back_fast():
    """Without any success it falls no lower than four; afterwards every success raises it again."""
    driver = Driver()
    before = driver.settled(30)
    for _ in range(50):
        driver.round(AttemptResult.DROPPED)
    assert driver.limiter.limit == 4
    for _ in range(3):
        driver.round()
    assert driver.limiter.limit >= before


def test_what_was_refused_is_not_asked_again_at_once():
    """The limit comes close to it and stays below for a while, twice as long if it is refused again."""
    driver = Driver()
    driver.settled(20)
    for hold_s in (2 * HOLD_S, 4 * HOLD_S, 4 * HOLD_S):
        samples = driver.begin(20)
        driver.end(samples[-1:], AttemptResult.THROTTLED)
        began = driver.now
        while driver.now < began + 0.95 * hold_s:
            driver.round()
            assert driver.limiter.limit <= 19
        assert driver.limiter.limit == 19
        driver.now = began + hold_s
        driver.round()
        assert driver.limiter.limit > 19


def test_one_refusal_with_little_in_flight_halves_the_limit_at_most():
    """A service that counts requests a minute may refuse the only one in flight."""
    driver = Driver()
    before = driver.settled(20)
    driver.end(driver.begin(1), AttemptResult.THROTTLED)
    driver.round()
    assert driver.limiter.limit >= 0.4 * before


def test_a_phase_with_too_little_to_do_raises_nothing():
    """With less than half the limit in flight, successes say nothing about the other half."""
    driver = Driver()
    for _ in range(100):
        driver.round(count=4)
    assert driver.limiter.limit == 10


def test_cancelled_and_refused_for_good_say_nothing():
    """They neither raise nor lower the limit."""
    driver = Driver()
    before = driver.settled(20)
    for _ in range(20):
        driver.round(AttemptResult.IGNORED, 5.0)
    assert driver.limiter.limit == before


def test_the_base_latency_is_measured_anew_with_half_the_capacity():
    """If requests have become slower for good, the limit dips once and comes back."""
    driver = Driver()
    driver.settled(20)
    limits = []
    for _ in range(400):
        driver.round(latency_s=0.05 * 1.3)
        limits.append(driver.limiter.limit)
    assert min(limits) <= 10
    assert limits[-1] >= 20


def test_the_limit_names_its_state():
    """Slow start until a queue shows, then steady; now and then a round measures the base latency."""
    driver = Driver()
    assert driver.limiter.state is LimitState.SLOW_START
    driver.round()
    driver.round(latency_s=0.5)
    assert driver.limiter.state is LimitState.STEADY
    seen = set()
    for _ in range(100):
        driver.round(latency_s=0.5)
        seen.add(driver.limiter.state)
    assert seen == {LimitState.STEADY, LimitState.MEASURING}


def test_one_straggler_makes_no_queue():
    """A single answer after a minute does not halve the limit."""
    driver = Driver()
    before = driver.settled(40)
    samples = driver.begin(before)
    driver.end(samples[1:], after_s=0.05)
    driver.end(samples[:1], after_s=60)
    driver.end(driver.begin(driver.limiter.limit), after_s=0.05)
    assert driver.limiter.limit >= before


RESULTS = st.sampled_from(list(AttemptResult))
STEPS = st.lists(st.tuples(st.integers(1, 80), RESULTS, st.floats(0, 30)), max_size=80)


@given(STEPS, st.integers(1, 5), st.integers(5, 70))
def test_the_limit_stays_within_its_bounds(steps, minimum, maximum):
    """This holds for any attempts in any order."""
    driver = Driver(minimum, maximum)
    for count, result, seconds in steps:
        driver.round(result, seconds, count)
        assert minimum <= driver.limiter.limit <= maximum


@given(
    st.lists(
        st.sampled_from([AttemptResult.THROTTLED, AttemptResult.DROPPED]), min_size=MIN_ROUND, max_size=100
    )
)
def test_trap_25_no_mix_of_failures_lowers_a_cohort_twice(failures):
    """However a round of 100 attempts fails, at most half of the limit is lost."""
    driver = Driver(maximum=128)
    before = driver.settled(100)
    for sample, result in zip(driver.begin(before), failures, strict=False):
        driver.end([sample], result, 0.01)
    assert driver.limiter.limit >= int(0.45 * before)


@given(STEPS, st.integers(1, 70))
def test_equal_bounds_make_the_limit_constant(steps, limit):
    """This holds for all results and latencies, so that no second class is needed for a fixed limit."""
    driver = Driver(limit, limit)
    for count, result, seconds in steps:
        driver.round(result, seconds, count)
        assert driver.limiter.limit == limit
