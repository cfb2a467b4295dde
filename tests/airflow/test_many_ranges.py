"""Plans with as many ranges as Airflow can map, and never more."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest

RANGES = 200
"""As many as a plan has by default."""


@pytest.fixture
def long_source(source):
    """A source with one document for each of this many ranges."""
    source.delete_many({})
    source.insert_many(
        {"_id": n, "created_at": datetime(2025, 1, 1) + timedelta(minutes=n), "text": f"{n} in Paris"}
        for n in range(RANGES)
    )
    return source


def test_a_plan_at_the_limit_runs_and_reconciles(dag, run_dag, long_source, tasks, monkeypatch):
    """Airflow maps two hundred tasks, all ranges report, the summary reads them, and XComs stay small.

    A task run in place costs Airflow half a second. To save this time, the task before the mapped ones
    processes the ranges, and the mapped tasks are only marked as successful. Run in full (two minutes), the
    test succeeds as well.
    """
    reports = []

    def plan_and_run():
        planned = tasks.plan()
        reports.extend(tasks.run_range(key_range, deadline_s=60) for key_range in planned)
        return planned

    monkeypatch.setattr(dag.task_dict["plan"], "python_callable", plan_and_run)

    ended = run_dag(range_documents=1, max_ranges=250, unrun="run_range", service_capacity=8, pool_slots=4)

    assert ended.state == "success"
    assert [ended.states["run_range", at] for at in range(RANGES)] == ["success"] * RANGES
    summary = ended.xcoms["summarize"]
    assert (summary["planned_ranges"], summary["read"], summary["written"]) == (RANGES,) * 3
    assert summary["reconciled"]
    assert max(len(json.dumps(value)) for value in (ended.xcoms["plan"], reports)) < 200_000


def test_tasks_that_airflow_takes_for_done_are_not_done(run_dag, source, capfd):
    """People may mark a task as successful although it never ran: the summary trusts the checkpoints."""
    ended = run_dag(unrun="run_range")

    assert [ended.states["run_range", at] for at in range(3)] == ["success"] * 3
    assert (ended.state, ended.states["summarize"]) == ("failed", "failed")
    assert "3 of 3 ranges did not report: 0000, 0001, 0002" in capfd.readouterr().out


def test_a_plan_never_has_more_ranges_than_airflow_maps(run_dag, source, monkeypatch):
    """Airflow would refuse a longer list after planning.

    Ranges become larger instead, and the run succeeds.
    """
    monkeypatch.setenv("AIRFLOW__CORE__MAX_MAP_LENGTH", "2")

    ended = run_dag(range_documents=1, max_ranges=1000)

    assert ended.state == "success"
    assert len(ended.xcoms["plan"]) <= 2
    assert ended.xcoms["summarize"]["written"] == 50
