"""The incremental DAG over simulated days.

Documents come late and the scheduler is away for a day, but nothing is lost.
"""

# ruff: noqa: PLC0415  (Airflow reads its environment at import, so a fixture has to set it first)
from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.support.misbehaviour import status

DAY_0 = datetime(2026, 11, 1, tzinfo=UTC)
"""The start date of the DAG."""


def day(number, hour=0):
    """A moment of a simulated day."""
    return DAY_0 + timedelta(days=number, hours=hour)


@pytest.fixture
def arrive(source):
    """Inserts documents: `arrive(on_day, created_at, ...)`; each has a text of its own."""
    source.delete_many({})

    def insert(on_day, *moments):
        source.insert_many(
            {"_id": f"{on_day}-{at:%dT%H}", "created_at": at, "text": f"of day {on_day}, {at:%d %H} in Paris"}
            for at in moments
        )

    return insert


@pytest.fixture
def due(dags):
    """The intervals that the DAG's own timetable makes due by a given moment, after the last one that ran."""
    from airflow.serialization.encoders import coerce_to_core_timetable
    from airflow.timetables.base import DataInterval, TimeRestriction

    dag = dags["ner_incremental"]
    timetable = coerce_to_core_timetable(dag.timetable)
    restriction = TimeRestriction(dag.start_date, None, catchup=dag.catchup)

    def intervals(last, now):
        while True:
            info = timetable.next_dagrun_info(
                last_automated_data_interval=last and DataInterval(*last), restriction=restriction
            )
            if info.run_after > now:
                return
            last = (info.data_interval.start, info.data_interval.end)
            yield last

    return intervals


def result_ids(source):
    """The `_id`s of the documents that have a result."""
    return set(source.database["messages_entities"].distinct("_id"))


def test_five_days_with_late_documents_and_a_missed_run_leave_nothing_missing(
    arrive, due, run_other, source, sent
):
    """Documents that are late within the lookback are processed by the next run, later ones by verification.

    The scheduler is away at the end of the third day, and catches up a day later. No text is sent twice.
    """
    last, done = None, []
    for today in range(5):
        late = [day(today - 1, 23)] if today else []
        too_late = [day(today - 3, 22)] if today == 4 else []
        arrive(today, *(day(today, hour) for hour in (0, 8, 16)), *late, *too_late)
        if today == 2:
            continue
        for interval in due(last, now=day(today + 1)):
            ended = run_other("ner_incremental", interval[1])
            assert ended.state == "success"
            last = interval
            done.append(interval[0])

    assert done == [day(number) for number in range(5)]
    assert source.count_documents({}) - len(result_ids(source)) == 1
    window = {"start": day(0).isoformat(), "end": day(5).isoformat()}

    ended = run_other("ner_verify", **window)
    assert ended.states == {"find": "success", "repair": "skipped", "conclude": "failed"}
    found = ended.xcoms["find"]
    assert (found["missing"], found["present"]) == (1, 19)
    assert "4-02T22" in found["first_missing"][0]

    ended = run_other("ner_verify", **window, repair=True)
    assert (ended.state, set(ended.states.values())) == ("success", {"success"})
    assert ended.xcoms["conclude"]["missing"] == 0
    assert len(result_ids(source)) == source.count_documents({}) == 20
    assert set(sent().values()) == {1}


def test_a_run_takes_its_interval_and_the_lookback(arrive, run_other, source):
    """Older documents and those after the interval are left out; followers of the Asset are notified."""
    arrive(0, day(1, 5), day(1, 20), day(2, 3), day(3, 1))

    ended = run_other("ner_incremental", day(3), lookback_hours=12)

    assert ended.state == "success"
    assert result_ids(source) == {"0-02T20", "0-03T03"}
    summary = ended.xcoms["summarize"]
    assert ended.assets == {
        "chat.messages_entities": {
            "run_id": summary["run_id"],
            "written": 2,
            "unchanged": 0,
            "dead_lettered": 0,
        }
    }


def test_a_run_that_failed_updates_no_asset(arrive, run_other, source, service):
    """Followers of the Asset must not take half of the results for all of them."""
    arrive(0, day(1, 5))
    service.poison = {"of day 0, 02 05 in Paris": status(400)}
    ended = run_other("ner_incremental", day(2))
    assert (ended.state, ended.assets) == ("failed", {})


def test_a_window_of_its_own_may_be_given(arrive, run_other, source):
    """A run that is triggered by hand uses the given window instead of its interval."""
    arrive(0, day(1, 5), day(4, 5))
    ended = run_other("ner_incremental", day(2), start=day(4).isoformat())
    assert ended.state == "success"
    assert result_ids(source) == {"0-05T05"}
