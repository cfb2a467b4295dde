"""How params become the engine's settings and window, and what share of the service a task may use."""

# ruff: noqa: PLC0415  (Airflow reads its environment at import, so a fixture has to set it first)
from __future__ import annotations

import json
import threading
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from engine import ConfigError, Window


@pytest.fixture
def settings(tasks):
    """The module that makes settings, windows and shares."""
    from keyset_batch_airflow import job

    return job


@pytest.mark.parametrize("kind", ["number", "string", "objectId", "timestamp"])
def test_the_ends_of_a_window_stay_as_the_form_sends_them(settings, kind):
    """The engine reads them by the order type, as it reads those of the command line."""
    window = settings.window_of({"order_type": kind, "start": "10", "end": None}, None)
    assert window == Window("10", None)


LOOKING_BACK = {"order_type": "date", "lookback_hours": 6, "start": None, "end": None}
INTERVAL = SimpleNamespace(data_interval_start=datetime(2025, 1, 2), data_interval_end=datetime(2025, 1, 3))


def test_a_window_is_the_data_interval_and_what_came_late(settings):
    """The lookback moves the start before that of the interval; the end stays."""
    window = settings.window_of(LOOKING_BACK, INTERVAL)
    assert window == Window(datetime(2025, 1, 1, 18), datetime(2025, 1, 3))


def test_a_lookback_before_the_first_year_is_an_open_start(settings):
    """The form takes any number of hours."""
    for hours in (10**8, 1e300):
        assert settings.window_of({**LOOKING_BACK, "lookback_hours": hours}, INTERVAL).start is None


@pytest.mark.parametrize(
    ("kind", "unit", "needed"),
    [
        ("number", None, "s, ms or us"),
        ("string", None, "a strftime pattern"),
        ("number", "ms", None),
        ("string", "%Y", None),
        ("objectId", None, None),
        ("timestamp", None, None),
    ],
)
def test_an_interval_of_values_that_are_no_times_needs_a_unit(settings, kind, unit, needed):
    """A run that is triggered with another order type says in one line what to give."""
    params = {**LOOKING_BACK, "order_type": kind, "order_unit": unit}
    if needed is None:
        assert settings.window_of(params, INTERVAL).end == datetime(2025, 1, 3)
        return
    with pytest.raises(ConfigError, match=f"give order_unit, .*{needed}.*, or give start and end"):
        settings.window_of(params, INTERVAL)


def test_a_window_of_one_s_own_comes_before_the_interval(settings):
    """A window given by hand wins over the interval; a DAG without lookback ignores the interval."""
    assert settings.window_of({**LOOKING_BACK, "end": "2025-01-02"}, INTERVAL) == Window(None, "2025-01-02")
    plain = {"order_type": "date", "start": None, "end": None}
    assert settings.window_of(plain, INTERVAL) == Window(None, None)


@pytest.mark.parametrize("moment", [None, datetime(2025, 1, 2)])
def test_a_run_without_an_interval_is_refused(settings, moment):
    """It would find no documents and succeed, for example with a plain cron string as schedule."""
    with pytest.raises(ConfigError, match="this run has no data interval: give start and end"):
        settings.window_of(
            LOOKING_BACK, SimpleNamespace(data_interval_start=moment, data_interval_end=moment)
        )


def test_a_plan_is_never_longer_than_airflow_maps(settings, dag, monkeypatch):
    """Airflow refuses to map a longer list, after all planning is done: the ranges become larger instead."""
    params = {**dict(dag.params), "max_ranges": 1000}
    assert settings.settings_of(params).max_ranges == 1000
    monkeypatch.setenv("AIRFLOW__CORE__MAX_MAP_LENGTH", "50")
    assert settings.settings_of(params).max_ranges == 50
    assert settings.settings_of({**params, "max_ranges": 20}).max_ranges == 20


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
    """The size comes from Airflow's public API, with whatever login the Connection has."""
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
def test_a_task_s_share_without_asking(settings, tasks, changed, share):
    """Airflow's API is not called if there is no capacity, or if the slots are given."""
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
    """The message names what is wrong, the capacity, the Connection or the pool, and never the password."""
    connection(conn_type="http", host=api.host, port=api.port, **login)
    with pytest.raises(ConfigError, match=message) as raised:
        settings.share_of({**CAPACITY, **changed}, pool)
    assert "wrong" not in str(raised.value)
