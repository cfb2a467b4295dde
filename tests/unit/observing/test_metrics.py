"""Each number is recorded under its name, and a range that has ended is no longer observed."""

from __future__ import annotations

import asyncio
import gc
import weakref
from types import SimpleNamespace

import pytest

from engine.errors import ExtractionError, Failure, WriteError
from engine.model import Counts
from engine.observing import metrics
from engine.observing.metrics import DURATIONS_S, QueueDepths
from tests.support.metrics import Measured

FAILURES = {
    "throttled": ExtractionError("busy", failure=Failure.THROTTLED),
    "transient": ConnectionError("reset"),
    "permanent": ValueError("refused"),
    "cancelled": asyncio.CancelledError(),
}


class At:
    """A running range, of which only these numbers matter."""

    def __init__(self, *depths, slots):
        self.slots, self._depths = slots, depths

    def depths(self):
        """Returns the numbers given."""
        return QueueDepths(*self._depths)


def slots(in_flight, limit):
    """Slots of which only these numbers matter."""
    return SimpleNamespace(in_flight=in_flight, limit=limit)


@pytest.mark.parametrize(("kind", "error"), FAILURES.items(), ids=FAILURES)
def test_requests_are_counted_by_their_failure(measured, kind, error):
    """The histogram counts by `error.type`, which a success lacks; texts are counted in either case."""
    with measured.instruments.request(["Ada", "😀"]):
        pass
    with pytest.raises(type(error)), measured.instruments.request(["Bob"]):
        raise error
    numbers = measured.numbers()
    assert (numbers["request.duration", None], numbers["request.duration", kind]) == (1, 1)
    assert (numbers["request.texts", None], numbers["request.characters", None]) == (3, 7)


def test_durations_are_in_seconds_with_bounds_to_match():
    """0.3 s pass between readings of the clock; the SDK's own bounds would put all into one bucket."""
    times = iter([10.0, 10.3])
    measured = Measured(clock=lambda: next(times))
    with measured.instruments.write():
        pass
    metric = measured.metrics()["write.duration"]
    (point,) = metric.data.data_points
    assert (metric.unit, tuple(point.explicit_bounds)) == ("s", DURATIONS_S)
    assert point.sum == pytest.approx(0.3)
    assert point.bucket_counts[DURATIONS_S.index(0.5)] == 1
    measured.close()


def test_a_failed_write_says_by_what(measured):
    """It has the name of the error, because writes have no failure classes."""
    with pytest.raises(WriteError), measured.instruments.write():
        raise WriteError("full")
    assert measured.numbers()["write.duration", "WriteError"] == 1


def test_documents_are_counted_by_outcome_and_pages_by_size(measured):
    """Documents read are the sum over the outcomes; an outcome that never occurred has no data point."""
    measured.instruments.committed(Counts(read=7, written=4, unchanged=3))
    measured.instruments.committed(Counts(read=2, written=1, dead_lettered=1))
    measured.instruments.page(9, 1000, 0.1)
    numbers = measured.numbers()
    outcomes = [numbers["documents", outcome] for outcome in ("written", "unchanged", "dead_lettered")]
    assert outcomes == [5, 3, 1]
    assert [numbers[f"page.{name}", None] for name in ("duration", "documents", "text.size")] == [1, 9, 1000]


def test_ranges_at_work_are_summed_and_shared_slots_are_counted_once(measured):
    """Two ranges share their slots, one has its own."""
    shared, own = slots(3, 10), slots(1, 4)
    ranges = [At(1, 2, 5, slots=shared), At(10, 20, 50, slots=shared), At(100, 200, 500, slots=own)]
    recorded = measured.instruments
    with (
        recorded.observing(shared, ranges[0].depths),
        recorded.observing(shared, ranges[1].depths),
        recorded.observing(own, ranges[2].depths),
    ):
        numbers = measured.numbers()
    assert (numbers["request.active", None], numbers["request.limit", None]) == (4, 14)
    assert (numbers["batch.queued", "to_extract"], numbers["batch.queued", "to_write"]) == (111, 222)
    assert numbers["batch.ahead", None] == 555


def test_a_range_that_has_ended_is_neither_observed_nor_kept(measured):
    """However it ended, the gauges are at zero again, and its memory is freed."""
    ended = At(1, 2, 5, slots=slots(3, 10))
    gone = weakref.ref(ended)
    with pytest.raises(OSError, match="lost"), measured.instruments.observing(ended.slots, ended.depths):
        raise OSError("lost")
    numbers = measured.numbers()
    assert {numbers[name, None] for name in ("request.active", "request.limit", "batch.ahead")} == {0}
    assert {numbers["batch.queued", queue] for queue in ("to_extract", "to_write")} == {0}
    del ended
    gc.collect()
    assert gone() is None


def test_the_metrics_of_a_process_are_created_once():
    """Instruments are created once, not for each range."""
    metrics.current.cache_clear()
    assert metrics.current() is metrics.current()
