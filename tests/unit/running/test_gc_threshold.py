"""The garbage collector's threshold is raised inside the block and restored after it."""

from __future__ import annotations

import gc

import pytest

from engine.running.event_loop import GC_THRESHOLD, gc_threshold_raised


@pytest.fixture(autouse=True)
def as_before():
    """Restores the thresholds of the process after each test."""
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


def test_the_threshold_is_raised_until_the_last_block_exits():
    """Ranges run side by side and end in any order."""
    gc.set_threshold(700, 11, 12)
    one, other = gc_threshold_raised(), gc_threshold_raised()
    one.__enter__()
    other.__enter__()
    one.__exit__(None, None, None)
    assert gc.get_threshold() == (GC_THRESHOLD, 11, 12)
    other.__exit__(None, None, None)
    assert gc.get_threshold() == (700, 11, 12)


@pytest.mark.parametrize("threshold", [0, 1_000_000], ids=["off", "higher still"])
def test_what_the_application_chose_is_left_alone(threshold):
    """A collector that is off stays off, and a higher threshold is not lowered."""
    gc.set_threshold(threshold, 10, 10)
    with gc_threshold_raised():
        assert gc.get_threshold()[0] == threshold
    assert gc.get_threshold()[0] == threshold


def test_an_error_restores_the_thresholds():
    """The block restores them however it ends."""
    gc.set_threshold(700, 10, 10)
    with pytest.raises(ValueError, match="inside"), gc_threshold_raised():
        raise ValueError("inside")
    assert gc.get_threshold()[0] == 700
