"""The limiter against simulated services in virtual time: limit, latency and throughput stay in their bands.

Every scenario runs with the default settings of the engine: from 1 to 64, nothing tuned to the service.
"""

from __future__ import annotations

import random

import pytest

from engine.calling.adaptive_limit import AdaptiveLimit
from tests.support.simulation import UNLOADED_S, Client, Service, Timeline

CAPACITY = 16 / UNLOADED_S
"""Answers a second of the default service."""

SEEDS = range(5)


def jitter(low, high, seed=1):
    """Makes service times that vary at random between these multiples of the unloaded time."""
    rng = random.Random(seed)
    return lambda _: UNLOADED_S * rng.uniform(low, high)


def some(share, seed=1):
    """Makes this share of the requests fail, whatever the load."""
    rng = random.Random(seed)
    return lambda _: rng.random() < share


def clients(count, seconds, limit=None, **values):
    """Runs this many clients against one service."""
    own = {name: values.pop(name) for name in ("wants", "requests", "pause_s") if name in values}
    timeline = Timeline()
    values.setdefault("takes_s", jitter(0.95, 1.05))
    service = Service(timeline, **values)
    found = []
    for seed in range(count):
        limiter = AdaptiveLimit(limit, limit) if limit else AdaptiveLimit(1, 64, clock=timeline.clock)
        found.append(Client(timeline, service, limiter, rng=random.Random(seed), **own))
        timeline.after(0, found[-1].send)
    timeline.run(seconds)
    return found


def client(seconds, limit=None, **values):
    """Runs one client against a service."""
    return clients(1, seconds, limit, **values)[0]


def halved(now):
    """The capacity: eight requests at once instead of sixteen, from 20 s to 40 s."""
    return 8 if 20 <= now < 40 else 16


@pytest.mark.parametrize("takes_s", [lambda _: UNLOADED_S, jitter(0.95, 1.05)], ids=["in step", "uneven"])
def test_a_short_run_is_as_fast_as_the_best_fixed_limit(takes_s):
    """20,000 texts in 625 requests take two seconds: at least 97% of the best rate, p95 at most doubled."""
    found = client(10, requests=625, takes_s=takes_s)
    best = min(
        client(10, limit, requests=625, takes_s=takes_s).answers[-1][0] for limit in (16, 18, 20, 24, 32)
    )
    assert best / found.answers[-1][0] >= 0.97
    assert found.latency(0, 10)[1] <= 2.001 * UNLOADED_S


def test_a_slow_first_round_trip_does_not_fill_the_queue():
    """Connecting makes the first base latency a third too high; the limit must not jump to the maximum."""
    found = client(10, requests=625, takes_s=lambda now: UNLOADED_S * (1.3 if now < UNLOADED_S else 1))
    assert found.latency(0, 10)[1] <= 2.001 * UNLOADED_S
    assert found.limit_range(0, 10)[2] < 40


def test_steady_capacity_keeps_a_steady_limit_near_the_knee():
    """The queue stays short and the service is never idle.

    The limit dips only to measure the base latency.
    """
    found = client(60)
    low, mean, high = found.limit_range(5, 60)
    assert (low >= 6, 18 <= mean <= 24, high <= 26) == (True, True, True)
    assert found.rate(5, 60) >= 0.97 * CAPACITY
    assert found.latency(5, 60)[1] <= 1.7 * UNLOADED_S
    assert sum(limit < 16 for _, limit in found.limits) / len(found.limits) <= 0.02


@pytest.mark.parametrize("at_once", [1, 2, 4, 16, 48])
def test_the_knee_is_found_by_latency_alone(at_once):
    """The queue is endless, so nothing is refused: any capacity is used, and the queue stays short."""
    found = client(120, at_once=lambda _: at_once, queued=10**6)
    assert found.failures == []
    assert at_once <= found.limit_range(60, 120)[1] <= 1.5 * at_once + 3
    assert found.rate(60, 120) >= 0.95 * at_once / UNLOADED_S
    assert found.latency(60, 120)[0] <= UNLOADED_S * (1.5 + 2 / at_once)


def test_capacity_halved_and_restored_is_followed_within_seconds():
    """Two seconds after each change the rate is at least 90% of the best, and latency at most doubled."""
    found = client(60, at_once=halved)
    assert found.rate(22, 30) >= 0.9 * CAPACITY / 2
    assert found.rate(42, 50) >= 0.9 * CAPACITY
    assert found.latency(24, 40)[1] <= 2 * UNLOADED_S
    assert 8 <= found.limit_range(24, 40)[1] <= 14
    assert 18 <= found.limit_range(44, 60)[1] <= 24


@pytest.mark.parametrize("seed", SEEDS)
def test_a_jittery_link_does_not_collapse_the_limit(seed):
    """Latencies between half and three times the usual one are no sign of a queue."""
    found = client(60, takes_s=jitter(0.5, 3, seed))
    assert found.rate(0, 5) >= 0.85 * CAPACITY / 1.75
    assert found.rate(5, 60) >= 0.9 * CAPACITY / 1.75
    assert 16 <= found.limit_range(5, 60)[1] <= 32


def test_trap_25_a_burst_of_correlated_errors_costs_a_second():
    """All requests in flight fail for 100 ms: the limit is halved once, and restored within a second."""
    found = client(15, fails=lambda now: 10 <= now < 10.1)
    assert found.limit_range(10, 10.2)[0] >= 8
    assert found.limit_range(11, 12)[0] >= 16
    assert found.rate(11, 15) >= 0.95 * CAPACITY


def test_after_an_outage_the_limit_comes_back_by_itself():
    """While all requests fail for five seconds, few are sent; two seconds later the rate is full again."""
    found = client(20, fails=lambda now: 10 <= now < 15)
    assert found.limit_range(11, 15)[2] <= 4
    assert found.rate(17, 20) >= 0.95 * CAPACITY


def test_faults_without_overload_cost_what_they_cost():
    """Six of a hundred requests fail at random: the lower limit costs no more than these."""
    found = client(30, fails=some(0.06))
    assert found.rate(0, 30) >= 0.95 * 0.94 * CAPACITY
    assert 16 <= found.limit_range(2, 30)[1] <= 25


def test_a_service_that_only_refuses_is_used_to_its_capacity():
    """Without a queue there is no latency to see: the limit stays just below the refused level."""
    found = client(120, queued=0)
    assert 15 <= found.limit_range(5, 120)[1] <= 16.5
    assert found.rate(5, 120) >= 0.95 * CAPACITY
    assert len(found.failures) <= 40


def test_refusals_that_pause_all_cost_little():
    """Each refusal with `Retry-After: 1` stops everything for a second, so refusals must be very rare."""
    found = client(120, queued=0, pause_s=1.0)
    assert found.rate(5, 120) >= 0.9 * CAPACITY


def test_refusals_follow_a_capacity_that_is_halved_and_restored():
    """The limit falls at once, and rises at the next try, at most `MAX_HOLD_S` later."""
    found = client(80, queued=0, at_once=halved)
    assert found.rate(21, 40) >= 0.9 * CAPACITY / 2
    assert found.rate(62, 80) >= 0.95 * CAPACITY


@pytest.mark.parametrize("count", [2, 4])
def test_clients_of_one_service_share_it(count):
    """Each gets at least half of its fair share, together they use it fully, and the queue stays short."""
    found = clients(count, 180, queued=10**6)
    rates = [one.rate(60, 180) for one in found]
    assert sum(rates) >= 0.95 * CAPACITY
    assert min(rates) >= 0.5 * CAPACITY / count
    assert max(one.latency(60, 180)[1] for one in found) <= 2.5 * UNLOADED_S


def test_a_phase_with_too_little_to_do_raises_nothing():
    """With four requests in flight for a while the limit does not rise, and fits the full load later."""
    found = client(40, wants=lambda now: 4 if 10 <= now < 30 else 10**6)
    assert found.limit_range(10.2, 30)[2] <= 24
    assert found.rate(31, 40) >= 0.95 * CAPACITY
    assert found.latency(31, 40)[1] <= 1.7 * UNLOADED_S


def test_texts_that_get_longer_are_not_taken_for_overload():
    """Latency grows by half over a minute: the base latency follows, and the service stays fully used."""
    found = client(120, takes_s=lambda now: UNLOADED_S * (1 + 0.5 * min(1, max(0, (now - 20) / 60))))
    assert found.rate(80, 120) >= 0.95 * CAPACITY / 1.5
    assert found.rate(20, 80) >= 0.9 * CAPACITY / 1.25
    assert found.latency(80, 120)[1] <= 2.2 * 1.5 * UNLOADED_S


def test_a_service_that_becomes_three_times_slower_for_good_is_used_again():
    """It looks like overload until the base latency is measured again, at most ten seconds later."""
    found = client(60, takes_s=lambda now: UNLOADED_S * (3 if now > 25 else 1))
    assert found.rate(40, 60) >= 0.95 * CAPACITY / 3


def test_a_cold_start_is_not_taken_for_the_base_latency():
    """The first second is five times slower; the queue that builds up then is gone within seconds."""
    found = client(40, takes_s=lambda now: UNLOADED_S * (5 if now < 1 else 1))
    assert found.latency(15, 40)[1] <= 2.001 * UNLOADED_S
    assert found.rate(2, 40) >= 0.95 * CAPACITY


def test_a_slow_service_is_not_measured_to_death():
    """With answers after five seconds, measuring the base latency costs at most a few percent."""
    found = client(900, takes_s=lambda now: 5 + 0.1 * (now % 1))
    assert found.rate(100, 900) >= 0.93 * 16 / 5.05
