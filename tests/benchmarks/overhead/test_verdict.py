"""The arithmetic and the verdict of the overhead benchmark."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from benchmarks.overhead.benchmark import work_to_measure
from benchmarks.overhead.phases import TaskTimes, mapped_of, overhead, phases_of, tasks_of
from benchmarks.overhead.tables import MOST_OVERHEAD, acceptance, show
from benchmarks.overhead.work import at_once, in_seconds

ASKED = datetime(2025, 1, 1, tzinfo=UTC)

TASKS = [
    TaskTimes("plan", 1.0, 1.5, 4.0),
    TaskTimes("run_range", 5.0, 5.5, 16.0, worked_from=7.0, worked_to=15.0),
    TaskTimes("run_range", 5.0, 6.0, 15.5, worked_from=7.0, worked_to=15.0),
    TaskTimes("run_range", 16.0, 16.5, 27.5, worked_from=18.0, worked_to=27.0),
    TaskTimes("summarize", 28.0, 28.5, 29.5),
]
"""Two slots, three ranges."""


def after(seconds):
    """A moment this many seconds after the request of the run, as Airflow's API writes it."""
    return (ASKED + timedelta(seconds=seconds)).isoformat()


def test_the_phases_are_the_whole_wall_time_in_order():
    """No time is counted twice or left out."""
    phases = phases_of(TASKS, wall_s=30.0)
    assert list(phases.values()) == [1.0, 0.5, 2.5, 1.5, 22.0, 1.0, 1.0, 0.5]
    assert sum(phases.values()) == 30.0


def test_a_mapped_tasks_time_is_split_where_the_engine_begins_and_ends():
    """The times are means over three tasks; in the rest of both slots' 22 seconds no process ran."""
    mapped = mapped_of(TASKS, slots=2)
    assert mapped.count == 3
    assert mapped.queued_s == pytest.approx((0.5 + 1.0 + 0.5) / 3)
    assert mapped.starting_s == pytest.approx((1.5 + 1.0 + 1.5) / 3)
    assert mapped.working_s == pytest.approx((8.0 + 8.0 + 9.0) / 3)
    assert mapped.ending_s == pytest.approx((1.0 + 0.5 + 0.5) / 3)
    assert mapped.wall_s == pytest.approx(22.0 / 3)
    assert mapped.idle_share == pytest.approx(1 - (10.5 + 9.5 + 11.0) / 44)


def test_times_are_read_from_airflow_and_from_the_report():
    """The report of a range belongs to the task with its map index."""
    run = {"queued_at": after(0)}
    times = {"queued_when": after(1), "start_date": after(2), "end_date": after(9)}
    instances = [
        {"task_id": "plan", "map_index": -1, **times},
        {"task_id": "run_range", "map_index": 1, **times},
    ]
    reports = [{"range_id": "0001", "started_at": after(3), "finished_at": after(8)}]
    assert tasks_of(run, instances, reports) == [
        TaskTimes("plan", 1.0, 2.0, 9.0),
        TaskTimes("run_range", 1.0, 2.0, 9.0, 3.0, 8.0),
    ]


def test_a_range_takes_the_time_that_was_asked_for():
    """Its requests run in rounds, as many at once as are allowed."""
    work = in_seconds(100_000, 4, 60.0)
    rounds = work.range_documents / work.batch_texts / work.in_flight
    assert rounds * work.service.request_s(work.batch_texts) == pytest.approx(60.0)
    assert work.service.slots > 2 * work.in_flight  # so no request waits


def test_the_options_choose_the_work():
    """The full version is the one that the acceptance names; `--ranges` measures only many ranges."""
    instant, minute = work_to_measure(quick=False, ranges=None)
    assert (instant.documents, instant.range_documents, instant.service.slots) == (100_000, 10_000, None)
    assert (minute.documents, minute.ranges, minute.range_s) == (100_000, 4, 60.0)
    (many,) = work_to_measure(quick=False, ranges=200)
    assert (many.documents, many.range_documents) == (100_000, 500)
    assert at_once(1001, 4).range_documents == 251


def row(work, alone_s, wall_s):
    """A row of the result file."""
    phases = phases_of(TASKS, wall_s=30.0)
    mapped = dict.fromkeys(("queued_s", "starting_s", "working_s", "ending_s", "wall_s", "idle_share"), 0.25)
    return {
        "work": work.name,
        "documents": work.documents,
        "range_s": work.range_s,
        "alone_s": alone_s,
        "wall_s": wall_s,
        "overhead": overhead(wall_s, alone_s),
        "phases": phases,
        "mapped": mapped,
    }


@pytest.mark.parametrize(("wall_s", "passed"), [(138.0, True), (138.1, False)])
def test_only_ranges_of_a_minute_are_held_to_the_limit(wall_s, passed):
    """With a service that answers at once there is only overhead, and quick ranges are too short."""
    rows = [
        row(at_once(100, 10), 5.0, 30.0),
        row(in_seconds(100, 4, 5.0), 10.0, 30.0),
        row(in_seconds(100_000, 4, 60.0), 120.0, wall_s),
    ]
    (check,) = acceptance(rows)
    assert check.limit == MOST_OVERHEAD
    assert check.passed is passed
    output = io.StringIO()
    show({"rows": rows}, Console(file=output, width=140))
    assert ("✓ overhead, 60 s a range" in output.getvalue()) is passed
    assert "500.0%" in output.getvalue()
