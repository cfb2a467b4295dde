"""The tasks by themselves: how they handle params and errors, and how they stop."""

# ruff: noqa: PLC0415  (Airflow reads its environment at import, so a fixture has to set it first)
from __future__ import annotations

import asyncio
import os
import signal

import pytest

from engine import RangeReport, RunReport, Status

WRONG = {
    "order": ({"start": "2025-02-01", "end": "2025-01-01"}, "window start='2025-02-01' is after end="),
    "time": ({"start": "yesterday"}, "window start='yesterday' is not an ISO-8601 time"),
    "number": ({"order_type": "number", "start": "many"}, "start='many': the window's ends must be numbers"),
    "beyond": ({"end": "9999-12-31T23:59:59-05:00"}, "leave this end out"),
    "objectId": ({"order_type": "objectId", "end": "2200-01-01"}, "an ObjectId holds times until 2106"),
    "pattern": ({"order_type": "string", "order_unit": "%d.%m.%Y"}, "do not sort by time"),
    "unit": ({"order_type": "number", "start": "2025-01-01"}, "for times, set order_unit to s, ms or us"),
    "type": ({"order_type": "string"}, "set order_type='date'"),
    "index": ({"order_field": "text"}, 'createIndex({"text": 1, "_id": 1})'),
    "setting": ({"text_field": "$text"}, "setting text_field = '$text'"),
    "name": ({"collection": "a$b"}, "collection names must not contain '$'"),
    "connection": ({"mongo_conn_id": "nowhere"}, "The conn_id `nowhere` isn't defined"),
    "connection type": (
        {"mongo_conn_id": "ner_default"},
        "is of type 'http': MongoDB needs one of type 'mongo'",
    ),
}


@pytest.fixture
def reports(tasks):
    """The module that shows reports."""
    from keyset_batch_airflow import reports

    return reports


@pytest.mark.parametrize(("params", "message"), WRONG.values(), ids=WRONG)
def test_a_configuration_error_fails_at_once_with_its_message(tasks, in_task, params, message):
    """A wrong param or Connection fails the first try, with a message that names it."""
    from airflow.sdk.exceptions import AirflowFailException

    in_task(**params)
    with pytest.raises(AirflowFailException) as raised:
        tasks.plan()
    assert message in str(raised.value)


@pytest.mark.parametrize("name", ["messages_entities", "engine_checkpoints"])
def test_trap_48_a_capped_target_fails_each_task_at_once(tasks, in_task, source, name):
    """The plan, a range whose collection was replaced meanwhile, and a replay: nothing is sent or written."""
    from airflow.sdk.exceptions import AirflowFailException

    in_task(kinds=[], limit=None)
    (key_range,) = tasks.plan()
    source.database.drop_collection(name)
    source.database.create_collection(name, capped=True, size=100_000)
    calls = [tasks.plan, lambda: tasks.run_range(key_range, deadline_s=60)]
    calls += [lambda: tasks.replay(deadline_s=60)] if name == "messages_entities" else []
    for call in calls:
        with pytest.raises(AirflowFailException, match=f"{name}: it is a capped collection"):
            call()
    assert source.database[name].count_documents({}) == 0


def test_an_empty_window_says_what_there_is(tasks, in_task, caplog):
    """The plan, and the search for missing documents, name the first and the last key."""
    in_task(start="1999-01-01", end="1999-02-01", limit=5)
    with caplog.at_level("WARNING"):
        assert tasks.plan() == []
        assert tasks.find()["read"] == 0
    told = [line for line in caplog.messages if "none of about" in line and "their keys go from" in line]
    assert len(told) == 2, caplog.messages


def test_a_retried_plan_is_the_kept_plan(tasks, in_task, source):
    """If a DAG run plans again, its ranges stay the same, although documents came in meanwhile."""
    in_task(range_documents=20)
    planned = tasks.plan()
    source.insert_one(
        {"_id": "late", "created_at": source.find_one({"_id": 30})["created_at"], "text": "Late"}
    )

    assert tasks.plan() == planned
    assert planned[0]["run_id"] == "ner_backfill/by-hand"


def test_a_task_keeps_to_its_share(tasks, in_task, service):
    """A task never has more requests in flight than its share, and the report shows the limit."""
    in_task(service_capacity=8, pool_slots=4, batch_texts=1)
    service.delay_s = 0.01
    (key_range,) = tasks.plan()

    report = tasks.run_range(key_range, deadline_s=60)

    assert (report["read"], report["max_concurrency"]) == (50, 2)
    assert service.most_in_flight == 2


def test_a_failed_plan_is_no_success_of_an_earlier_one(tasks, in_task, service):
    """A cleared run whose plan fails now has done nothing, although its earlier plan is still stored."""
    from airflow.sdk.exceptions import AirflowFailException

    in_task()
    (key_range,) = planned = tasks.plan()
    reports = [tasks.run_range(key_range, deadline_s=60)]
    assert tasks.summarize(planned, reports)["reconciled"]

    with pytest.raises(AirflowFailException, match="the plan failed: nothing was run"):
        tasks.summarize(None, reports)


def test_results_may_go_to_another_database(tasks, in_task, source):
    """With `target_database`, plans and results are stored there."""
    other = source.database.client[f"{source.database.name}_results"]
    in_task(target_database=other.name)
    try:
        (key_range,) = tasks.plan()
        tasks.run_range(key_range, deadline_s=60)
        assert other["engine_plans"].count_documents({}) == 1
        assert other["messages_entities"].count_documents({}) == 50
        assert "messages_entities" not in source.database.list_collection_names()
    finally:
        other.client.drop_database(other.name)


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGALRM], ids=["stopped", "over its time limit"])
def test_trap_31_a_signal_cancels_cleans_up_and_is_retried(tasks, monkeypatch, number, loop):
    """Airflow's signals cancel the coroutine, which cleans up; its error is one that Airflow retries."""
    from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowTaskTimeout

    from keyset_batch_airflow.stops import run_to_end

    if loop == "asyncio":
        monkeypatch.setattr("keyset_batch_airflow.stops.loop_runner", asyncio.Runner)
    kind = {signal.SIGTERM: AirflowException, signal.SIGALRM: AirflowTaskTimeout}[number]
    before = signal.getsignal(number)
    saved = []

    async def work():
        try:
            os.kill(os.getpid(), number)
            await asyncio.sleep(30)
        finally:
            await asyncio.sleep(0)
            saved.append("checkpoint")

    with pytest.raises(kind, match=f"stopped by {number.name}; the next try goes on") as raised:
        run_to_end(work())

    assert not isinstance(raised.value, AirflowFailException)
    assert saved == ["checkpoint"]
    assert signal.getsignal(number) is before


def test_an_interrupted_range_is_an_error_that_airflow_retries(tasks, in_task, service):
    """A range that reached its deadline does not count as done; the next try resumes from its checkpoint."""
    from airflow.sdk.exceptions import AirflowException, AirflowFailException

    service.delay_s = 30
    (key_range,) = tasks.plan()

    with pytest.raises(AirflowException, match="range 0000 is interrupted after 0 documents") as raised:
        tasks.run_range(key_range, deadline_s=0.1)

    assert not isinstance(raised.value, AirflowFailException)
    service.delay_s = 0
    assert tasks.run_range(key_range, deadline_s=60)["attempts"] == 2


def test_the_table_shows_each_range_and_the_run(reports):
    """The log has a table: column names, one line for each range, one for the run."""
    ranges = tuple(
        RangeReport(
            run_id="r", status=Status.SUCCEEDED, range_id=f"000{n}", expected=1_000, read=1_000, written=1_000
        )
        for n in (0, 1)
    )
    report = RunReport(
        run_id="r",
        status=Status.SUCCEEDED,
        expected=2_000,
        read=2_000,
        written=2_000,
        ranges=ranges,
        planned_ranges=2,
    )

    lines = reports.table(report)

    assert len({len(line) for line in lines}) == 1
    assert lines[0].split()[:4] == ["range", "status", "expected", "read"]
    assert [line.split()[0] for line in lines[1:]] == ["0000", "0001", "run"]
    assert lines[3].split()[2] == "2,000"
