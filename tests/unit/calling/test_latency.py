"""The statistics of a round of attempts, and the base latency."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.calling.latency import BaseLatency, Round


def test_a_round_has_means():
    """The means are those of the answers; dropped attempts have no latency."""
    round_ = Round(dropped=1)
    for in_flight, latency_s in [(10, 0.1), (20, 0.2), (30, 0.3)]:
        round_.add(in_flight, latency_s)
    mean_s, error_s = round_.mean_latency_s()
    assert (round_.attempts, round_.lost, round_.mean_in_flight()) == (4, 0.25, 20)
    assert (mean_s, error_s) == (pytest.approx(0.2), pytest.approx(0.0471, abs=1e-4))


@given(st.lists(st.floats(0, 1e4), min_size=1))
def test_the_standard_error_is_a_number_whatever_is_summed(latencies):
    """Rounding never makes a variance negative."""
    round_ = Round()
    for latency_s in latencies:
        round_.add(1, latency_s)
    assert round_.mean_latency_s()[1] >= 0


@pytest.mark.parametrize(("base_s", "allowed_s"), [(0.001, 0.005), (0.08, 0.09), (4.0, 4.5)])
def test_a_little_waiting_is_allowed(base_s, allowed_s):
    """An eighth of the base, or 4 ms if the base is short."""
    assert BaseLatency(base_s, 0).allowed_s == pytest.approx(allowed_s)


def test_lower_latencies_pull_the_base_down_and_higher_ones_do_not_pull_it_up():
    """A lower latency pulls it by a tenth of the difference."""
    base = BaseLatency(0.1, 0)
    base.follow(0.2)
    assert base.s == 0.1
    base.follow(0.05)
    assert base.s == pytest.approx(0.095)


@pytest.mark.parametrize(
    ("at_s", "latency_s", "due_at_s"),
    [
        (3.0, 0.05, 10.0),
        (10.0, 0.05, 20.0),
        (19.9, 0.2, 20.0),
        (3.0, 0.3, 20.0),
        (3.0, 5.0, 250.0),
        (3.0, 0.0, 10.0),
    ],
)
def test_the_base_is_measured_at_times_that_clients_of_a_host_share(at_s, latency_s, due_at_s):
    """These are multiples of 10 s, or of as many times 10 s as fifty latencies take."""
    assert BaseLatency(latency_s, at_s).due_at_s(latency_s) == due_at_s


def test_a_base_that_fell_far_is_measured_at_once():
    """It was measured while the service was slow or loaded, so the next measurement does not wait."""
    base = BaseLatency(0.1, 3.0)
    for _ in range(20):
        base.follow(0.01)
    assert base.due_at_s(0.05) <= 3.0


def test_other_clients_queue_does_not_become_the_base_at_once():
    """A measured base rises by at most two fifths unless the client has no queue; it may fall freely."""
    base = BaseLatency(0.1, 0)
    assert base.measured(0.3, 10, alone=False).s == pytest.approx(0.14)
    assert base.measured(0.3, 10, alone=True).s == 0.3
    assert base.measured(0.05, 10, alone=False).s == 0.05
