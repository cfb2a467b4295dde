"""Reports merge, reconcile and survive JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from engine import RangeReport, Report, RunReport, Status
from engine.report import merge, rows

AT = datetime(2026, 1, 1, tzinfo=UTC)


def of_range(range_id, read=10, written=8, unchanged=1, dead_lettered=1, status=Status.SUCCEEDED, **more):
    """The report of one range."""
    return RangeReport(
        run_id="run",
        status=status,
        range_id=range_id,
        expected=10,
        read=read,
        written=written,
        unchanged=unchanged,
        dead_lettered=dead_lettered,
        started_at=AT,
        finished_at=AT,
        **more,
    )


def merged(*reports, planned=("a", "b"), max_dead_letters=9):
    """The report of a run of two ranges."""
    return merge("run", planned, reports, expected=20, max_dead_letters=max_dead_letters)


def test_a_run_is_the_sum_of_its_ranges():
    """It reconciles if all of its ranges do."""
    report = merged(of_range("a"), of_range("b"))
    assert (report.read, report.written, report.unchanged, report.dead_lettered) == (20, 16, 2, 2)
    assert report.reconciled
    assert report.status is Status.SUCCEEDED


def test_a_range_that_did_not_report_fails_the_run():
    """An orchestrator may lose a task and still run the summary."""
    report = merged(of_range("a"))
    assert (report.status, report.reconciled) == (Status.FAILED, False)
    assert "1 of 2 ranges did not report: b" in report.problems[0]


def test_a_mismatch_fails_the_run():
    """A document that was read but has no outcome is lost."""
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
    """With one unfinished range, the run does not reconcile."""
    report = merged(of_range("a"), of_range("b", status=status))
    assert (report.status, report.reconciled) == (whole, False)


def test_trap_33_dead_letters_are_limited_in_all():
    """Two ranges with one dead letter each exceed a limit of one; the run reconciles, but fails."""
    report = merged(of_range("a"), of_range("b"), max_dead_letters=1)
    assert (report.status, report.reconciled) == (Status.FAILED, True)
    assert "2 documents were dead-lettered, and max_dead_letters allows 1" in report.problems[0]
    assert merged(of_range("a"), of_range("b"), max_dead_letters=2).status is Status.SUCCEEDED


def test_an_empty_run_reconciles():
    """If nothing was planned, nothing is lost."""
    report = merged(planned=())
    assert (report.status, report.reconciled) == (Status.SUCCEEDED, True)


def test_a_report_survives_json():
    """XComs and the plan store keep it as JSON."""
    report = merged(of_range("a"), of_range("b", problems=("x",)))
    assert Report.from_json(json.loads(json.dumps(report.to_json()))) == report
    assert (type(report), type(report.ranges[0])) == (RunReport, RangeReport)
    assert report.to_json().keys() == report.ranges[0].to_json().keys()
    assert RangeReport.from_json(report.ranges[0].to_json()) == report.ranges[0]


def test_a_report_of_an_earlier_version_is_read():
    """Stored plans keep old reports; fields that were added later have their defaults."""
    stored = merged(of_range("a", reason="SourceError", refused=2), of_range("b")).to_json()
    for report in (stored, *stored["ranges"]):
        del report["refused"], report["reason"]
    read = Report.from_json(stored)
    assert (read.read, read.refused, read.reason, read.ranges[0].reason) == (20, 0, None, None)


def test_a_run_says_why_its_first_unfinished_range_ended():
    """It also sums the requests of its ranges by class."""
    report = merged(
        of_range("a", requests=9, retries=5, throttled=2, refused=1),
        of_range("b", status=Status.INTERRUPTED, reason="ServiceDown", requests=4, retries=1, refused=1),
    )
    assert report.reason == "ServiceDown"
    assert (report.requests, report.retries, report.throttled, report.refused) == (13, 6, 2, 2)


def test_rows_have_a_line_a_range_and_one_for_the_run():
    """The tables are made from these rows."""
    assert [row[0] for row in rows(merged(of_range("a"), of_range("b")))] == ["a", "b", "run"]


def test_what_differs_from_the_plan_is_named_and_is_no_failure():
    """Ranges may have grown or shrunk since planning; counts cannot show which documents changed."""
    report = merged(of_range("a", 13, 13, 0, 0), of_range("b", 8, 8, 0, 0))
    assert (report.drift, report.reconciled) == ((3, 2), True)
    assert report.differences == (
        "range a read 3 more than planned: inserted since",
        "range b read 2 fewer than planned: deleted since",
        "in all 3 more and 2 fewer: moved, or deleted and inserted",
    )
    assert report.to_json()["ranges"][1]["differences"] == [report.differences[1]]


def test_nothing_differs_where_nothing_was_counted_or_finished():
    """A range is not compared with an estimate, or before it has finished."""
    unfinished = of_range("b", 5, 5, 0, 0, status=Status.INTERRUPTED)
    uncounted = replace(of_range("a", 13, 13, 0, 0), expected=None)
    assert merged(of_range("a"), unfinished).differences == ()
    assert merged(uncounted, unfinished).differences == ()


def test_many_differences_are_cut_short():
    """Nobody would read two hundred lines."""
    ranges = [of_range(f"{n}", 11, 11, 0, 0) for n in range(15)]
    report = merge("run", [r.range_id for r in ranges], ranges, expected=150, max_dead_letters=0)
    assert (len(report.differences), report.differences[-1]) == (11, "and 5 ranges more")


def test_a_runs_digest_is_the_sum_of_its_ranges():
    """The order of the ranges does not matter; the sum wraps at 128 bits."""
    report = merged(of_range("a", digest="f" * 32), of_range("b", digest=f"{5:032x}"))
    assert (report.digest, report.reconciled) == (f"{4:032x}", True)
