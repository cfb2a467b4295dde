"""Reports merge, reconcile and survive JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from engine import Report, Status
from engine.report import merge, rows

AT = datetime(2026, 1, 1, tzinfo=UTC)


def of_range(range_id, read=10, written=8, unchanged=1, dead_lettered=1, status=Status.SUCCEEDED, **more):
    """The report of one range."""
    return Report(
        "run",
        status,
        range_id,
        10,
        read,
        written,
        unchanged,
        dead_lettered,
        started_at=AT,
        finished_at=AT,
        **more,
    )


def merged(*reports, planned=("a", "b"), max_dead_letters=9):
    """The report of a run of two ranges."""
    return merge("run", planned, reports, expected=20, max_dead_letters=max_dead_letters)


def test_a_run_is_the_sum_of_its_ranges():
    """And reconciles when all of them do."""
    report = merged(of_range("a"), of_range("b"))
    assert (report.read, report.written, report.unchanged, report.dead_lettered) == (20, 16, 2, 2)
    assert report.reconciled
    assert report.status is Status.SUCCEEDED


def test_a_range_that_did_not_report_fails_the_run():
    """An orchestrator may lose a task and still summarize."""
    report = merged(of_range("a"))
    assert (report.status, report.reconciled) == (Status.FAILED, False)
    assert "1 of 2 ranges did not report: b" in report.problems[0]


def test_a_mismatch_fails_the_run():
    """Read, and neither written, unchanged nor dead-lettered: lost."""
    report = merged(of_range("a"), of_range("b", written=7))
    assert (report.status, report.reconciled) == (Status.FAILED, False)
    assert "does not add up" in report.problems[0]


@pytest.mark.parametrize(
    ("status", "whole"),
    [
        (Status.FAILED, Status.FAILED),
        (Status.INTERRUPTED, Status.INTERRUPTED),
        (Status.RUNNING, Status.RUNNING),
    ],
)
def test_a_run_is_not_better_than_its_ranges(status, whole):
    """One unfinished range, and the run does not reconcile."""
    report = merged(of_range("a"), of_range("b", status=status))
    assert (report.status, report.reconciled) == (whole, False)


def test_trap_33_dead_letters_are_limited_in_all():
    """Two ranges with one each exceed a limit of one; the run still reconciles, and says so."""
    report = merged(of_range("a"), of_range("b"), max_dead_letters=1)
    assert (report.status, report.reconciled) == (Status.FAILED, True)
    assert "2 documents were dead-lettered, and max_dead_letters allows 1" in report.problems[0]
    assert merged(of_range("a"), of_range("b"), max_dead_letters=2).status is Status.SUCCEEDED


def test_an_empty_run_reconciles():
    """Nothing planned, nothing lost."""
    report = merged(planned=())
    assert (report.status, report.reconciled) == (Status.SUCCEEDED, True)


def test_a_report_survives_json():
    """XCom and the plan store keep it."""
    report = merged(of_range("a"), of_range("b", problems=("x",)))
    assert Report.from_json(json.loads(json.dumps(report.to_json()))) == report


def test_rows_have_a_line_a_range_and_one_for_the_run():
    """For tables."""
    assert [row[0] for row in rows(merged(of_range("a"), of_range("b")))] == ["a", "b", "run"]
