"""The numbers that the plugin shows: pure functions of documents as MongoDB stores them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
GOOD = {"status": "succeeded", "reconciled": True, "problems": []}


@pytest.fixture(scope="module")
def numbers(airflow):
    """The module that computes the numbers."""
    from keyset_batch_airflow.plugin import progress  # noqa: PLC0415  (it imports Airflow)

    return progress


def planned(*sizes, about=None):
    """A stored plan with ranges of these sizes; with None, their estimated size is `about`."""
    labels = [f"{hour:02}:00 .. {hour + 1:02}:00 · {size} docs" for hour, size in enumerate(sizes)]
    ranges = [
        {"range_id": f"{at:04}", "label": label, "expected": size, "about": about}
        for at, (size, label) in enumerate(zip(sizes, labels, strict=True))
    ]
    return {"_id": "dag/run", "run_id": "dag/run", "ranges": ranges}


def checkpoint(at, status, read, *, active_s=10.0, age_s=1.0, **more):
    """A stored checkpoint of a range, with dates without a zone, as a driver returns them."""
    updated_at = (NOW - timedelta(seconds=age_s)).replace(tzinfo=None)
    return {
        "range_id": f"{at:04}",
        "status": status,
        "read": read,
        "active_s": active_s,
        "attempts": 1,
        "started_at": (NOW - timedelta(seconds=60)).replace(tzinfo=None),
        "updated_at": updated_at,
        **more,
    }


def test_a_range_without_a_checkpoint_is_pending(numbers):
    """Nothing is done, the rate is unknown, and the whole range is left."""
    (pending,) = numbers.progress_of(planned(100), [], "running", NOW).ranges
    assert (pending.status, pending.read, pending.left, pending.rate) == ("pending", 0, 100, None)
    assert (pending.label, pending.attempts, pending.silent) == ("00:00 .. 01:00", 0, False)


def test_a_run_under_way(numbers):
    """The rates of running ranges add up; the time left is the documents left over that rate."""
    begun = [checkpoint(0, "succeeded", 100), checkpoint(1, "running", 50), checkpoint(2, "running", 30)]
    run = numbers.progress_of(planned(100, 100, 100, 100), begun, "running", NOW)
    assert (run.totals["read"], run.size, run.left) == (180, 400, 220)
    assert run.by_status == {"running": 2, "succeeded": 1, "pending": 1}
    assert run.rate == pytest.approx(5 + 3)
    assert run.left_s == pytest.approx(220 / 8)
    assert run.elapsed_s == 60
    assert run.verdict[0] == "open"


def test_nothing_is_left_of_a_range_that_succeeded(numbers):
    """It may have read fewer documents than planned, because others were deleted since."""
    run = numbers.progress_of(planned(100), [checkpoint(0, "succeeded", 90)], "running", NOW)
    assert run.left == 0


def test_what_needs_attention_comes_first(numbers):
    """Failed and interrupted ranges come first, then running ones, then the others, in the plan's order."""
    statuses = ["succeeded", "running", "failed", "running", "interrupted"]
    begun = [checkpoint(at, status, 1) for at, status in enumerate(statuses)]
    run = numbers.progress_of(planned(*[9] * 6), begun, "running", NOW)
    assert [r.range_id for r in run.by_attention] == ["0002", "0004", "0001", "0003", "0000", "0005"]


def test_a_silent_range_adds_nothing_to_the_rate(numbers):
    """If its worker is lost or its service is down, its earlier rate says nothing about the time left."""
    begun = [checkpoint(0, "running", 50, age_s=31), checkpoint(1, "running", 20)]
    run = numbers.progress_of(planned(100, 100), begun, "running", NOW)
    assert [r.silent for r in run.ranges] == [True, False]
    assert run.rate == pytest.approx(2)


def test_only_running_ranges_are_silent(numbers):
    """A range that ended long ago is not called silent."""
    run = numbers.progress_of(planned(10), [checkpoint(0, "failed", 5, age_s=999)], "failed", NOW)
    assert not run.ranges[0].silent


def test_without_a_rate_no_time_is_promised(numbers):
    """Without running ranges, documents read or sizes there is no time left; estimated sizes are enough."""
    waiting = numbers.progress_of(planned(10), [], "running", NOW)
    reading = numbers.progress_of(planned(10), [checkpoint(0, "running", 0)], "running", NOW)
    sampled = numbers.progress_of(planned(None, about=10), [checkpoint(0, "running", 5)], "running", NOW)
    unsized = numbers.progress_of(planned(None), [checkpoint(0, "running", 5)], "running", NOW)
    assert [run.left_s for run in (waiting, reading, sampled, unsized)] == [None, None, 10, None]
    assert (sampled.size, sampled.counted, sampled.rate) == (10, False, 0.5)


def test_the_rate_of_a_run_that_ended_is_that_of_the_whole(numbers):
    """It is the rate from the first start to the last checkpoint, whenever the page is opened."""
    begun = [checkpoint(0, "succeeded", 60, age_s=40), checkpoint(1, "succeeded", 60, age_s=30)]
    run = numbers.progress_of({**planned(60, 60), "report": GOOD}, begun, "success", NOW)
    assert (run.elapsed_s, run.rate, run.left_s) == (30, pytest.approx(4), None)
    assert run.verdict[0] == "good"


@pytest.mark.parametrize(
    ("state", "report", "said"),
    [
        ("failed", None, "the run has left none"),
        (
            "failed",
            {"status": "failed", "reconciled": False, "problems": ["range 0001 failed: x", "y"]},
            "range 0001 failed: x; y",
        ),
        (
            "success",
            {"status": "failed", "reconciled": False, "problems": ["1 of 2 ranges did not report"]},
            "did not report",
        ),
    ],
)
def test_a_report_that_does_not_reconcile_is_bad_with_the_reason(numbers, state, report, said):
    """A run that has ended without a report is bad too."""
    kind, _, text = numbers.progress_of({**planned(1), "report": report}, [], state, NOW).verdict
    assert kind == "bad"
    assert said in text


def test_a_good_report_of_a_dag_run_that_failed_says_so(numbers):
    """Nothing was lost, but another task of the DAG failed."""
    shown = numbers.progress_of({**planned(1), "report": GOOD}, [], "failed", NOW).verdict
    assert (shown.kind, shown.title) == ("good", "Reconciled: nothing was lost")
    assert "see the log of the task that failed" in shown.text


def test_the_report_of_an_earlier_time_is_no_verdict_of_a_run_under_way(numbers):
    """A cleared run runs again, although its plan still has the earlier report."""
    run = numbers.progress_of({**planned(1), "report": GOOD}, [], "running", NOW)
    assert run.verdict[0] == "open"


def test_an_empty_plan_is_all_zeros(numbers):
    """An empty window has no ranges, so no number is divided by their count."""
    run = numbers.progress_of({**planned(), "report": GOOD}, [], "success", NOW)
    assert (run.size, run.rate, run.elapsed_s, run.by_status) == (0, None, None, {})
    assert run.verdict[0] == "good"


def test_the_json_is_plain_and_flat(numbers):
    """Times are in ISO 8601 with their zone; the counts of a range are among its fields."""
    run = numbers.progress_of(planned(100), [checkpoint(0, "running", 50, retries=3)], "running", NOW)
    (r,) = run.to_json()["ranges"]
    assert (r["read"], r["retries"], r["written"]) == (50, 3, 0)
    assert r["updated_at"] == "2026-11-01T11:59:59+00:00"
    assert run.to_json()["verdict"]["kind"] == "open"
