"""The backfill DAG, run in place on a real mongod and a service that fails as scripted."""

# ruff: noqa: PLC0415  (Airflow reads its environment at import, so a fixture has to set it first)
from __future__ import annotations

import json

import pytest
from bson import json_util

import engine
from engine import KeyRange, RangeReport, Status
from tests.support.misbehaviour import entities_of, status

DOCUMENTS = 50
RANGES = [("run_range", 0), ("run_range", 1), ("run_range", 2)]


def stored(source):
    """The stored entities, by `_id`."""
    return {found["_id"]: found["entities"] for found in source.database["messages_entities"].find()}


def test_a_run_succeeds_and_reconciles(plain, text_of):
    """Plan, three mapped ranges, summary: every document is written once, with the right entities."""
    ended, source = plain

    assert ended.state == "success"
    assert set(ended.states.values()) == {"success"}
    assert stored(source) == {number: entities_of(text_of(number)) for number in range(DOCUMENTS)}
    summary = ended.xcoms["summarize"]
    assert (summary["status"], summary["reconciled"], summary["run_id"]) == ("succeeded", True, ended.run_id)
    assert (summary["expected"], summary["read"], summary["written"]) == (DOCUMENTS,) * 3
    # A boundary never separates the three messages of one second.
    assert [ended.xcoms[name]["read"] for name in RANGES] == [18, 18, 14]


def test_map_indexes_show_the_ranges(plain):
    """Each mapped task is named by the time span and number of documents of its range."""
    ended, _ = plain

    assert ended.labels["run_range", 0] == "2025-01-01 00:00 .. 00:00:06 · 18 docs"
    assert [ended.labels[name] for name in RANGES] == [
        key_range["label"] for key_range in ended.xcoms["plan"]
    ]


def test_what_goes_through_airflow_is_json_and_never_a_text(plain):
    """Ranges come back from XCom unchanged; no value contains a document's text."""
    ended, _ = plain

    ranges = [KeyRange.from_json(data) for data in ended.xcoms["plan"]]

    assert [r.range_id for r in ranges] == ["0000", "0001", "0002"]
    assert ranges[0].stop == ranges[1].start
    assert "message " not in json.dumps(list(ended.xcoms.values()))


def test_each_task_stores_one_xcom(plain):
    """Airflow would otherwise store each field of a report as an XCom of its own: 107 for three ranges."""
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    ended, _ = plain
    with create_session() as session:
        stored = session.query(XComModel).filter_by(dag_id=ended.dag_id, run_id=ended.dag_run_id)
        keys = sorted((row.task_id, row.map_index, row.key) for row in stored)

    assert keys == [
        ("plan", -1, "return_value"),
        *(("run_range", at, "return_value") for at in range(3)),
        ("summarize", -1, "return_value"),
    ]


def test_another_run_of_the_window_sends_nothing_again(plain, run_dag, service):
    """A new DAG run is a new run of the engine: it makes a new plan and finds every document unchanged."""
    _, source = plain

    ended = run_dag(over=source, range_documents=50)

    assert ended.state == "success"
    assert ended.xcoms["summarize"]["unchanged"] == DOCUMENTS
    assert service.calls == []


def test_no_secret_leaves_the_connections(run_dag, source, service, secrets, capfd):
    """Logs, XComs, rendered fields, plans and checkpoints contain no password, although both were used."""
    from airflow.models.renderedtifields import RenderedTaskInstanceFields
    from airflow.utils.session import create_session

    ended = run_dag()

    assert {call.headers["Authorization"] for call in service.calls} == {f"Bearer {secrets['service']}"}
    with create_session() as session:
        rendered = [str(row.rendered_fields) for row in session.query(RenderedTaskInstanceFields)]
    assert rendered
    kept = [source.database[name].find().to_list() for name in ("engine_plans", "engine_checkpoints")]
    output = "".join(capfd.readouterr())
    assert ended.run_id in output
    everything = output + json.dumps(list(ended.xcoms.values())) + json_util.dumps(kept) + "".join(rendered)
    assert not [name for name, secret in secrets.items() if secret in everything]


def test_an_empty_window_succeeds_with_zero_documents(run_dag):
    """The run succeeds and says that there was nothing to do: one skipped row, and a summary of zeros."""
    ended = run_dag(start="2030-01-01")

    assert ended.state == "success"
    assert ended.states == {"plan": "success", "run_range": "skipped", "summarize": "success"}
    summary = ended.xcoms["summarize"]
    assert (summary["read"], summary["planned_ranges"], summary["reconciled"]) == (0, 0, True)


@pytest.mark.parametrize(("allowed", "state"), [(0, "failed"), (2, "success")])
def test_dead_letters_fail_the_run_after_everything_else_is_done(
    run_dag, source, service, text_of, capfd, allowed, state
):
    """With two poison texts all ranges succeed; the summary fails the run because of `max_dead_letters`."""
    service.poison = {text_of(5): status(400), text_of(45): status(400)}

    ended = run_dag(max_dead_letters=allowed)

    assert ended.state == ended.states["summarize"] == state
    assert {ended.states[name] for name in RANGES} == {"success"}
    assert len(stored(source)) == DOCUMENTS - 2
    assert {letter["_id"] for letter in source.database["messages_dead_letters"].find()} == {5, 45}
    said = "2 documents were dead-lettered, and max_dead_letters allows 0" in capfd.readouterr().out
    assert said == (allowed == 0)


def test_a_flaky_service_is_no_concern_of_airflow(run_dag, source, service):
    """The engine's own retries use up no task retry."""
    service.script.extend([None, status(503), status(429, Retry_After="0"), None, status(500)])

    ended = run_dag()

    assert ended.state == "success"
    assert ended.xcoms["summarize"]["retries"] == 3
    assert set(ended.tries.values()) == {1}


def test_a_range_whose_task_fails_is_retried_and_then_fails_the_run(run_dag, source, service, capfd):
    """A service that is down uses up all tries; the summary still runs, and says why the run failed."""
    service.down = status(503)

    ended = run_dag(end="2025-01-01T00:00:05Z", max_dead_letters=100)

    assert (ended.state, ended.states["summarize"]) == ("failed", "failed")
    assert ended.states["run_range", 0] == "failed"
    assert (ended.tries["run_range", 0], ended.tries["summarize"]) == (4, 1)
    output = capfd.readouterr().out
    assert "range 0000 interrupted: the service does not work" in output
    assert "the service is down: it gets some time" in output
    assert list(source.database["messages_dead_letters"].find()) == []


def test_a_lost_range_fails_the_summary(run_dag, source, monkeypatch, capfd):
    """A task that reports success without processing its range: the run fails and names the range."""
    real = engine.run_range

    async def losing(key_range, **options):
        if key_range.range_id == "0001":
            return RangeReport(run_id=key_range.run_id, status=Status.SUCCEEDED, range_id="0001", read=20)
        return await real(key_range, **options)

    monkeypatch.setattr(engine, "run_range", losing)

    ended = run_dag()

    assert {ended.states[name] for name in RANGES} == {"success"}
    assert (ended.state, ended.states["summarize"]) == ("failed", "failed")
    assert "1 of 3 ranges did not report: 0001" in capfd.readouterr().out
    assert ended.tries["summarize"] == 1


def test_a_skipped_range_fails_the_summary(run_dag, source, monkeypatch, capfd):
    """A skipped task has not processed its range: the run fails and names the range."""
    from airflow.sdk.exceptions import AirflowSkipException

    real = engine.run_range

    async def skipping(key_range, **options):
        if key_range.range_id == "0002":
            raise AirflowSkipException
        return await real(key_range, **options)

    monkeypatch.setattr(engine, "run_range", skipping)

    ended = run_dag()

    assert [ended.states[name] for name in RANGES] == ["success", "success", "skipped"]
    assert (ended.state, ended.states["summarize"]) == ("failed", "failed")
    assert "1 of 3 ranges did not report: 0002" in capfd.readouterr().out


def test_a_worker_lost_after_its_range_was_done_loses_nothing(run_dag, source, monkeypatch):
    """Airflow did not get the report, but the checkpoint says that the range succeeded, which is enough."""
    real = engine.run_range

    async def dying(key_range, **options):
        report = await real(key_range, **options)
        if key_range.range_id == "0001":
            raise RuntimeError("the worker is gone")
        return report

    monkeypatch.setattr(engine, "run_range", dying)

    ended = run_dag()

    assert ended.states["run_range", 1] == "failed"
    assert (ended.state, ended.states["summarize"]) == ("success", "success")
    assert ended.xcoms["summarize"]["read"] == DOCUMENTS


def test_a_range_over_its_deadline_is_retried_from_its_checkpoint(run_dag, dag, source, service):
    """The retry of an interrupted range sends again only what was in flight."""
    dag.task_dict["run_range"].partial_kwargs["op_kwargs"]["deadline_s"] = 0.7
    service.delay_s = 0.2

    ended = run_dag(end="2025-01-01T00:00:06Z", max_concurrency=1, batch_texts=3, range_documents=100)

    assert ended.state == "success"
    assert ended.tries["run_range", 0] > 1
    report = ended.xcoms["run_range", 0]
    assert (report["read"], report["written"], report["attempts"]) == (18, 18, ended.tries["run_range", 0])
    interruptions = report["attempts"] - 1
    assert sum(service.received.values()) <= 18 + 3 * interruptions


def test_a_missing_index_fails_at_once_with_what_to_do(run_dag, source, capfd):
    """A retry cannot help: the plan fails at its first try, and says which index to create."""
    ended = run_dag(order_field="text")

    assert ended.state == "failed"
    assert ended.states == {"plan": "failed", "run_range": "upstream_failed", "summarize": "failed"}
    assert ended.tries["plan"] == 1
    output = capfd.readouterr().out
    assert 'createIndex({"text": 1, "_id": 1})' in output
    assert "the plan failed: nothing was run" in output
