"""The garbage collector is calm inside, and as before afterwards."""

from __future__ import annotations

import gc

import pytest

from engine.running.event_loop import ALLOCATIONS, calmed


@pytest.fixture(autouse=True)
def as_before():
    """Whatever a test does, the process gets its thresholds back."""
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


def test_it_collects_less_often_until_the_last_one_is_done():
    """Ranges run side by side, and end in any order."""
    gc.set_threshold(700, 11, 12)
    one, other = calmed(), calmed()
    one.__enter__()
    other.__enter__()
    one.__exit__(None, None, None)
    assert gc.get_threshold() == (ALLOCATIONS, 11, 12)
    other.__exit__(None, None, None)
    assert gc.get_threshold() == (700, 11, 12)


@pytest.mark.parametrize("threshold", [0, 1_000_000], ids=["off", "calmer still"])
def test_what_the_application_chose_is_left_alone(threshold):
    """A collector that is off stays off."""
    gc.set_threshold(threshold, 10, 10)
    with calmed():
        assert gc.get_threshold()[0] == threshold
    assert gc.get_threshold()[0] == threshold


def test_an_error_gives_the_thresholds_back():
    """Like any end."""
    gc.set_threshold(700, 10, 10)
    with pytest.raises(ValueError, match="inside"), calmed():
        raise ValueError("inside")
    assert gc.get_threshold()[0] == 700
