"""The glue by itself: params and Connections into the engine's terms, errors and signals into Airflow's."""

# ruff: noqa: PLC0415  (Airflow reads its environment when it is imported: only once a fixture has set it)
from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import threading
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from engine import ConfigError, Report, Settings, Status, Window

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
def settings(glue):
    """The module that makes Settings, windows and shares."""
    import ner_settings

    return ner_settings


@pytest.fixture
def connections(glue):
    """The module that makes clients of Connections."""
    import ner_connections

    return ner_connections


@pytest.fixture
def reports(glue):
    """The module that shows reports."""
    import ner_reports

    return ner_reports


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


def test_windows_of_numbers_come_as_text(settings):
    """The form gives text; where the order is by numbers they are numbers again."""
    window = settings.window_of({"order_type": "number", "start": "10", "end": "2.5"}, None)
    assert (window.start, window.end) == (10, 2.5)
    window = settings.window_of({"order_type": "string", "start": "10", "end": None}, None)
    assert (window.start, window.end) == ("10", None)


LOOKING_BACK = {"order_type": "date", "lookback_hours": 6, "start": None, "end": None}
INTERVAL = SimpleNamespace(data_interval_start=datetime(2025, 1, 2), data_interval_end=datetime(2025, 1, 3))


def test_a_window_is_the_data_interval_and_what_came_late(settings):
    """The lookback reaches before the interval's start; the end stays."""
    window = settings.window_of(LOOKING_BACK, INTERVAL)
    assert window == Window(datetime(2025, 1, 1, 18), datetime(2025, 1, 3))


def test_a_window_of_one_s_own_comes_before_the_interval(settings):
    """For a run that is triggered by hand; a DAG without lookback knows no interval."""
    assert settings.window_of({**LOOKING_BACK, "end": "2025-01-02"}, INTERVAL) == Window(None, "2025-01-02")
    plain = {"order_type": "date", "start": None, "end": None}
    assert settings.window_of(plain, INTERVAL) == Window(None, None)


@pytest.mark.parametrize("moment", [None, datetime(2025, 1, 2)])
def test_a_run_without_an_interval_is_refused(settings, moment):
    """It would take nothing, and succeed (a plain cron string as schedule gives empty intervals)."""
    with pytest.raises(ConfigError, match="this run has no data interval: give start and end"):
        settings.window_of(
            LOOKING_BACK, SimpleNamespace(data_interval_start=moment, data_interval_end=moment)
        )


def test_a_plan_is_never_longer_than_airflow_maps(settings, dag, monkeypatch):
    """Airflow refuses a longer list after all is planned: ranges grow instead."""
    params = {**dict(dag.params), "max_ranges": 1000}
    assert settings.settings_of(params).max_ranges == 1000
    monkeypatch.setenv("AIRFLOW__CORE__MAX_MAP_LENGTH", "50")
    assert settings.settings_of(params).max_ranges == 50
    assert settings.settings_of({**params, "max_ranges": 20}).max_ranges == 20


def test_a_plan_at_the_limit_runs_and_reconciles(glue, in_task, source):
    """Two hundred ranges, as many as a plan has by default: all report, and what XCom carries stays small."""
    source.delete_many({})
    source.insert_many(
        {"_id": n, "created_at": datetime(2025, 1, 1) + timedelta(minutes=n), "text": f"{n} in Paris"}
        for n in range(200)
    )
    in_task(range_documents=1, max_ranges=250)

    planned = glue.plan()
    reports = [glue.run_range(key_range, deadline_s=60) for key_range in planned]
    summary = glue.summarize(planned, reports)

    assert (len(planned), summary["planned_ranges"]) == (200, 200)
    assert (summary["read"], summary["written"], summary["reconciled"]) == (200, 200, True)
    assert max(len(json.dumps(value)) for value in (planned, reports)) < 200_000


# --- the share of the service's capacity ---


@pytest.fixture
def api(connection):
    """An Airflow API that knows a pool of 8 slots, the login `me`, and the token `a-token`."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.answer(None)

        def do_POST(self):
            self.answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def answer(self, body):
            asked.append((self.command, self.path, body, self.headers.get("Authorization")))
            known = self.headers.get("Authorization") == "Bearer a-token"
            status, found = {
                ("GET", "/auth/token"): (201, {"access_token": "a-token"}),
                ("POST", "/auth/token"): (201 if body == LOGIN else 401, {"access_token": "a-token"}),
                ("GET", "/api/v2/pools/extract_pool"): (200 if known else 401, {"slots": 8}),
            }.get((self.command, self.path), (404, {}))
            content = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield SimpleNamespace(host="127.0.0.1", port=server.server_address[1], asked=asked)
        server.shutdown()
        thread.join()


LOGIN = {"username": "me", "password": "pass"}
CAPACITY = {"max_concurrency": 64, "service_capacity": 100, "pool_slots": None, "airflow_conn_id": "given"}


@pytest.mark.parametrize(
    ("login", "requests"),
    [
        ({}, ["GET /auth/token", "GET /api/v2/pools/extract_pool"]),
        ({"login": "me", "password": "pass"}, ["POST /auth/token", "GET /api/v2/pools/extract_pool"]),
        ({"password": "a-token"}, ["GET /api/v2/pools/extract_pool"]),
    ],
    ids=["everybody", "login", "token"],
)
def test_a_task_s_share_follows_from_the_pool_s_real_size(settings, connection, api, login, requests):
    """Asked of Airflow's public API, by whatever login the Connection has."""
    connection(conn_type="http", host=api.host, port=api.port, **login)
    assert settings.share_of(CAPACITY, "extract_pool") == 12
    assert [f"{method} {path}" for method, path, *_ in api.asked] == requests


@pytest.mark.parametrize(
    ("changed", "share"),
    [
        ({"service_capacity": None}, 64),
        ({"pool_slots": 5}, 20),
        ({"pool_slots": 1}, 64),
        ({"pool_slots": 100}, 1),
    ],
    ids=["no capacity", "slots given", "most of a task", "one each"],
)
def test_a_task_s_share_without_asking(settings, glue, changed, share):
    """Where no capacity is given, or the slots are: Airflow's API is not needed (no such Connection here)."""
    assert settings.share_of({**CAPACITY, **changed}, "extract_pool") == share


@pytest.mark.parametrize(
    ("changed", "login", "pool", "message"),
    [
        ({"pool_slots": 101}, {}, "extract_pool", "leaves no request for each of the 101 slots"),
        ({}, {"login": "me", "password": "wrong"}, "extract_pool", r"gives no token \(status 401\)"),
        ({}, {"password": "wrong"}, "extract_pool", r"slots of pool 'extract_pool' \(status 401\)"),
        ({}, {}, "another", r"slots of pool 'another' \(status 404\)"),
    ],
    ids=["too little", "login", "token", "pool"],
)
def test_a_share_that_cannot_be_told_is_a_configuration_error(
    settings, connection, api, changed, login, pool, message
):
    """It names what is wrong: the capacity, the Connection or the pool; never the password."""
    connection(conn_type="http", host=api.host, port=api.port, **login)
    with pytest.raises(ConfigError, match=message) as raised:
        settings.share_of({**CAPACITY, **changed}, pool)
    assert "wrong" not in str(raised.value)


def test_a_task_keeps_to_its_share(glue, in_task, service):
    """The cap reaches the engine: never more requests at the service than that, and the report says so."""
    in_task(service_capacity=8, pool_slots=4, batch_texts=1)
    service.delay_s = 0.01
    (key_range,) = glue.plan()

    report = glue.run_range(key_range, deadline_s=60)

    assert (report["read"], report["max_concurrency"]) == (50, 2)
    assert service.most_in_flight == 2


def test_a_failed_plan_is_no_success_of_an_earlier_one(glue, in_task, service):
    """A run that is cleared as a whole and whose plan fails now has done nothing, whatever is kept of it."""
    from airflow.sdk.exceptions import AirflowFailException

    in_task()
    (key_range,) = planned = glue.plan()
    reports = [glue.run_range(key_range, deadline_s=60)]
    assert glue.summarize(planned, reports)["reconciled"]

    with pytest.raises(AirflowFailException, match="the plan failed: nothing was run"):
        glue.summarize(None, reports)


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
def test_the_address_of_the_service(connections, connection, fields, url):
    """Schema, host, port and extra path make the address, as for the provider's own hook."""
    from airflow.sdk import Connection

    connection(conn_type="http", **fields)
    given = Connection.get("given")
    assert connections.service_url(given, given.extra_dejson.get("path", "")) == url


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


def test_an_unknown_extra_of_the_service_is_refused(connections, connection):
    """A misplaced option is not passed over in silence."""
    connection(conn_type="http", host="ner", extra={"Authorization": "Bearer x"})
    with pytest.raises(
        ConfigError, match="Authorization is unknown; known are headers, offsets, parameters, path"
    ):
        connections.extractor_of({"service_conn_id": "given", "service_format": "native"}, Settings())


def test_options_of_the_mongodb_connection_reach_the_driver(connections, connection):
    """Several hosts, login, TLS and replica set go through the provider's hook to Motor."""
    extra = {"tls": True, "authSource": "admin", "replicaSet": "rs0", "allow_insecure": "true"}
    connection(conn_type="mongo", host="one:27017,two:27018", login="me", password="p@ss", extra=extra)

    client = connections.mongo_client("given").delegate
    options = client.options

    assert options.replica_set_name == "rs0"
    assert options.pool_options._credentials.username == "me"
    assert options.pool_options._credentials.password == "p@ss"
    assert options.pool_options._credentials.source == "admin"
    assert options.pool_options._ssl_context is not None
    client.close()


def test_an_option_the_driver_refuses_is_a_configuration_error(connections, connection):
    """The message names the Connection and the option."""
    connection(conn_type="mongo", host="one", extra={"replicaSat": "rs0"})
    with pytest.raises(ConfigError, match=r"connection 'given': .*replicaSat"):
        connections.mongo_client("given")


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


def test_the_table_shows_each_range_and_the_run(reports):
    """People read the log: a line of names, one a range, one for all."""
    ranges = tuple(
        Report("r", Status.SUCCEEDED, f"000{n}", expected=1_000, read=1_000, written=1_000) for n in (0, 1)
    )
    report = Report(
        "r", Status.SUCCEEDED, expected=2_000, read=2_000, written=2_000, ranges=ranges, planned_ranges=2
    )

    lines = reports.table(report)

    assert len({len(line) for line in lines}) == 1
    assert lines[0].split()[:4] == ["range", "status", "expected", "read"]
    assert [line.split()[0] for line in lines[1:]] == ["0000", "0001", "run"]
    assert lines[3].split()[2] == "2,000"
