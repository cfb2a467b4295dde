"""The timeline of a range: bounded in size, exact in its sums, and added up for a run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.observing.timeline import MOST_SAMPLES, Sample, Timeline, course_of

START = datetime(2026, 1, 1, tzinfo=UTC)

# Attempts with their samples: seconds since the sample before, further documents, requests in flight.
ATTEMPTS = st.lists(
    st.lists(st.tuples(st.floats(0.01, 30), st.integers(0, 500), st.floats(0, 64)), min_size=1, max_size=300),
    min_size=1,
    max_size=4,
)


def at(seconds):
    """The moment this many seconds after the start."""
    return START + timedelta(seconds=seconds)


def timeline_of(attempts, pause_s=100.0):
    """The timeline of these attempts, and the request-seconds of all of them."""
    timeline, now, documents, work = Timeline(), 0.0, 0, 0.0
    for samples in attempts:
        timeline = timeline.with_start(at(now), documents)
        for after_s, more, in_flight in samples:
            now, documents, work = now + after_s, documents + more, work + after_s * in_flight
            timeline = timeline.with_sample(Sample(at(now), documents, in_flight, 64.0))
        now += pause_s
    return timeline, work


def request_seconds(timeline):
    """The area under the curve of requests in flight."""
    return sum((b.at - a.at).total_seconds() * b.in_flight for a, b in pairwise(timeline.samples))


@given(ATTEMPTS)
def test_samples_are_few_and_the_last_is_the_newest(attempts):
    """However many were taken and however far apart; the first sample is kept too."""
    timeline, _ = timeline_of(attempts)
    assert 2 <= len(timeline.samples) <= MOST_SAMPLES
    assert timeline.samples[0] == Sample(START, 0)
    assert timeline.samples[-1].documents == sum(more for samples in attempts for _, more, _ in samples)
    times = [sample.at for sample in timeline.samples]
    assert times == sorted(times)


@given(ATTEMPTS)
def test_uniting_samples_changes_no_sum(attempts):
    """The requests in flight, weighted by time, stay the same up to rounding to two decimals."""
    timeline, work = timeline_of(attempts)
    seconds = (timeline.samples[-1].at - START).total_seconds()
    assert request_seconds(timeline) == pytest.approx(work, abs=0.02 * seconds + 0.01)


@given(ATTEMPTS)
def test_a_timeline_survives_its_document(attempts):
    """It is the same after it was stored in a checkpoint."""
    timeline, _ = timeline_of(attempts)
    assert Timeline.from_document(timeline.to_document()) == timeline


def test_a_checkpoint_of_an_earlier_version_has_no_timeline():
    """It is read as an empty timeline."""
    assert Timeline.from_document(None) == Timeline()
    assert Timeline.from_document(Timeline().to_document()) == Timeline()


def test_samples_that_are_too_close_become_one():
    """By default samples are a second apart; the end of the range is kept exactly."""
    timeline = Timeline().with_start(at(0), 0)
    for tenth in range(1, 26):
        timeline = timeline.with_sample(Sample(at(tenth / 10), tenth, 2.0, 4.0))
    assert [sample.at for sample in timeline.samples] == [at(0), at(1), at(2), at(2.5)]


def test_a_run_is_the_sum_of_its_ranges():
    """Two ranges run side by side, one of them for half the time."""
    one = Timeline().with_start(at(0), 0).with_sample(Sample(at(10), 100, 4.0, 8.0))
    other = Timeline().with_start(at(5), 0).with_sample(Sample(at(10), 100, 2.0, 8.0))
    course = course_of([one, other], most_steps=2)
    assert (course.start, course.end, course.step_s) == (at(0), at(10), 5.0)
    assert course.documents_per_s == pytest.approx((10.0, 30.0))
    assert course.in_flight == pytest.approx((4.0, 6.0))
    assert course.limit == pytest.approx((8.0, 16.0))


def test_nothing_is_in_flight_between_two_attempts():
    """The second attempt starts ten seconds after the first, from a checkpoint before that one's end."""
    timeline = Timeline().with_start(at(0), 0).with_sample(Sample(at(10), 100, 4.0, 8.0))
    timeline = timeline.with_start(at(20), 60).with_sample(Sample(at(30), 160, 6.0, 8.0))
    course = course_of([timeline], most_steps=3)
    assert course.in_flight == pytest.approx((4.0, 0.0, 6.0))
    assert course.documents_per_s == pytest.approx((10.0, 0.0, 10.0))


@given(st.lists(ATTEMPTS, min_size=1, max_size=3), st.integers(1, 200))
def test_a_course_loses_no_documents(ranges, most_steps):
    """Whatever the steps, they add up to the documents of the ranges."""
    timelines = [timeline_of(attempts)[0] for attempts in ranges]
    course = course_of(timelines, most_steps)
    documents = sum(timeline.samples[-1].documents for timeline in timelines)
    assert sum(course.documents_per_s) * course.step_s == pytest.approx(documents, rel=1e-3, abs=0.5)
    assert len(course.documents_per_s) <= most_steps


def test_a_run_without_samples_has_no_course():
    """Before its first range starts; a run without duration must not cause a division by zero."""
    assert course_of([]) is None
    assert course_of([Timeline().with_start(at(0), 0)]) is None
    instant = Timeline().with_start(at(0), 0).with_sample(Sample(at(0), 5, 1.0, 1.0))
    assert len(course_of([instant]).limit) == 1
