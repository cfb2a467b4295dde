"""The glue by itself: params and Connections into the engine's terms, errors and signals into Airflow's."""

# ruff: noqa: PLC0415  (Airflow reads its environment when it is imported: only once a fixture has set it)
from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
from types import SimpleNamespace

import pytest

from engine import ConfigError, Report, Status

WRONG = {
    "order": ({"start": "2025-02-01", "end": "2025-01-01"}, "window start='2025-02-01' is after end="),
    "time": ({"start": "yesterday"}, "window start='yesterday' is no ISO-8601 time"),
    "number": ({"order_type": "number", "start": "many"}, "start='many': the window's ends must be numbers"),
    "type": ({"order_type": "string"}, "set order_type='date'"),
    "index": ({"order_field": "sent_at"}, 'createIndex({"sent_at": 1, "_id": 1})'),
    "setting": ({"text_field": "$text"}, "setting text_field = '$text'"),
    "name": ({"collection": "a$b"}, "collection names must not contain '$'"),
    "connection": ({"mongo_conn_id": "nowhere"}, "The conn_id `nowhere` isn't defined"),
    "connection type": (
        {"mongo_conn_id": "ner_default"},
        "is of type 'http': MongoDB needs one of type 'mongo'",
    ),
}


@pytest.fixture
def in_task(glue, dag, source, monkeypatch):
    """Stands in for the task that calls the glue: a context with these params."""

    def context(**params):
        given = {**dict(dag.params), "database": source.database.name, **params}
        named = {"params": given, "dag": dag, "dag_run": SimpleNamespace(run_id="by-hand")}
        monkeypatch.setattr(glue, "get_current_context", lambda: named)

    context()
    return context


@pytest.fixture
def connection(monkeypatch):
    """Defines a Connection `given` in the environment."""

    def define(**fields):
        monkeypatch.setenv("AIRFLOW_CONN_GIVEN", json.dumps(fields))

    return define


@pytest.mark.parametrize(("params", "message"), WRONG.values(), ids=WRONG)
def test_a_configuration_error_fails_at_once_with_its_message(glue, in_task, params, message):
    """Whatever is wrong with params or Connections ends the first try, in words that name it."""
    from airflow.sdk.exceptions import AirflowFailException

    in_task(**params)
    with pytest.raises(AirflowFailException) as raised:
        glue.plan()
    assert message in str(raised.value)


def test_a_retried_plan_is_the_kept_plan(glue, in_task, source):
    """Planned again for the same DAG run, the ranges stay as they were, whatever came in meanwhile."""
    in_task(range_documents=20)
    planned = glue.plan()
    source.insert_one(
        {"_id": "late", "created_at": source.find_one({"_id": 30})["created_at"], "text": "Late"}
    )

    assert glue.plan() == planned
    assert planned[0]["run_id"] == "ner_backfill/by-hand"


def test_windows_of_numbers_come_as_text(glue):
    """The form gives text; where the order is by numbers they are numbers again."""
    window = glue.window_of({"order_type": "number", "start": "10", "end": "2.5"})
    assert (window.start, window.end) == (10, 2.5)
    window = glue.window_of({"order_type": "string", "start": "10", "end": None})
    assert (window.start, window.end) == ("10", None)


def test_results_may_go_to_another_database(glue, in_task, source):
    """With `target_database`, plans and results are kept there."""
    other = source.database.client[f"{source.database.name}_results"]
    in_task(target_database=other.name)
    try:
        (key_range,) = glue.plan()
        glue.run_range(key_range, deadline_s=60)
        assert other["engine_plans"].count_documents({}) == 1
        assert other["messages_entities"].count_documents({}) == 50
        assert "messages_entities" not in source.database.list_collection_names()
    finally:
        other.client.drop_database(other.name)


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ({"host": "ner", "port": 8900}, "http://ner:8900/"),
        ({"host": "ner", "schema": "https"}, "https://ner/"),
        ({"host": "https://ner.example"}, "https://ner.example/"),
        ({"host": "ner", "port": 80, "extra": {"path": "/v2/extract"}}, "http://ner:80/v2/extract"),
    ],
)
def test_the_address_of_the_service(glue, airflow, connection, fields, url):
    """Schema, host, port and extra path make the address, as for the provider's own hook."""
    from airflow.sdk import Connection

    connection(conn_type="http", **fields)
    given = Connection.get("given")
    assert glue.service_url(given, given.extra_dejson.get("path", "")) == url


@pytest.mark.parametrize(
    ("fields", "authorization"),
    [
        ({}, None),
        ({"password": "a-token"}, "Bearer a-token"),
        (
            {"login": "me", "password": "päss:word"},
            "Basic " + base64.b64encode("me:päss:word".encode()).decode(),
        ),
        ({"password": "unused", "extra": {"headers": {"Authorization": "Own"}}}, "Own"),
    ],
    ids=["none", "token", "basic", "header"],
)
def test_the_service_is_told_who_asks(glue, in_task, service, connection, fields, authorization):
    """A password alone is a bearer token, with a login basic authentication; extra headers win."""
    host, _, port = service.url.removeprefix("http://").partition(":")
    connection(conn_type="http", host=host, port=int(port), **fields)
    in_task(service_conn_id="given")
    (key_range,) = glue.plan()

    glue.run_range(key_range, deadline_s=60)

    assert {call.headers.get("Authorization") for call in service.calls} == {authorization}


def test_an_unknown_extra_of_the_service_is_refused(glue, airflow, connection):
    """A misplaced option is not passed over in silence."""
    connection(conn_type="http", host="ner", extra={"Authorization": "Bearer x"})
    with pytest.raises(
        ConfigError, match="Authorization is unknown; known are headers, offsets, parameters, path"
    ):
        glue.extractor_of({"service_conn_id": "given", "service_format": "native"}, glue.Settings())


def test_options_of_the_mongodb_connection_reach_the_driver(glue, airflow, connection):
    """Several hosts, login, TLS and replica set go through the provider's hook to Motor."""
    extra = {"tls": True, "authSource": "admin", "replicaSet": "rs0", "allow_insecure": "true"}
    connection(conn_type="mongo", host="one:27017,two:27018", login="me", password="p@ss", extra=extra)

    client = glue.mongo_client("given").delegate
    options = client.options

    assert options.replica_set_name == "rs0"
    assert options.pool_options._credentials.username == "me"
    assert options.pool_options._credentials.password == "p@ss"
    assert options.pool_options._credentials.source == "admin"
    assert options.pool_options._ssl_context is not None
    client.close()


def test_an_option_the_driver_refuses_is_a_configuration_error(glue, airflow, connection):
    """The message names the Connection and the option."""
    connection(conn_type="mongo", host="one", extra={"replicaSat": "rs0"})
    with pytest.raises(ConfigError, match=r"connection 'given': .*replicaSat"):
        glue.mongo_client("given")


def test_trap_31_sigterm_cancels_cleans_up_and_is_retried(glue):
    """Airflow's SIGTERM ends the coroutine with its clean-up; the error is one that Airflow retries."""
    from airflow.sdk.exceptions import AirflowException, AirflowFailException

    before = signal.getsignal(signal.SIGTERM)
    saved = []

    async def work():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(30)
        finally:
            await asyncio.sleep(0)
            saved.append("checkpoint")

    with pytest.raises(AirflowException, match="goes on from the checkpoint") as raised:
        glue.run_to_end(work())

    assert not isinstance(raised.value, AirflowFailException)
    assert saved == ["checkpoint"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_interrupted_range_is_an_error_that_airflow_retries(glue, in_task, service):
    """A range that met its deadline does not count as done; the next try goes on from its checkpoint."""
    from airflow.sdk.exceptions import AirflowException, AirflowFailException

    service.delay_s = 30
    (key_range,) = glue.plan()

    with pytest.raises(AirflowException, match="range 0000 is interrupted after 0 documents") as raised:
        glue.run_range(key_range, deadline_s=0.1)

    assert not isinstance(raised.value, AirflowFailException)
    service.delay_s = 0
    assert glue.run_range(key_range, deadline_s=60)["attempts"] == 2


def test_the_table_shows_each_range_and_the_run(glue):
    """People read the log: a line of names, one a range, one for all."""
    ranges = tuple(
        Report("r", Status.SUCCEEDED, f"000{n}", expected=1_000, read=1_000, written=1_000) for n in (0, 1)
    )
    report = Report(
        "r", Status.SUCCEEDED, expected=2_000, read=2_000, written=2_000, ranges=ranges, planned_ranges=2
    )

    lines = glue.table(report)

    assert len({len(line) for line in lines}) == 1
    assert lines[0].split()[:4] == ["range", "status", "expected", "read"]
    assert [line.split()[0] for line in lines[1:]] == ["0000", "0001", "run"]
    assert lines[3].split()[2] == "2,000"
