"""An Airflow for tests: database in a temporary home, Connections in the environment, DAGs run in place."""

# ruff: noqa: PLC0415  (Airflow reads its environment when it is imported: only once a fixture has set it)
from __future__ import annotations

import json
import os
import uuid
import warnings
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from pymongo import MongoClient

from demo.servers.connections import mongo_connection
from engine.extractors.offsets import CANARY_TEXT
from tests.support.in_place import parsed, run_in_place
from tests.support.ner_service import serve_in_thread
from tests.support.places import DAGS

HERE = Path(__file__).parent

# Airflow's own: its parser of .airflowignore calls pathspec by a deprecated name.
THIRD_PARTY = ("ignore:GitWildMatchPattern:DeprecationWarning",)

MONGO_PASSWORD = "mongo-pass-7f3a"
SERVICE_TOKEN = "service-token-91bc"
WRONG_PASSWORD = "wrong-pass-55d1"


def pytest_collection_modifyitems(items):
    """Warnings are errors here as everywhere, but for those that Airflow raises about itself."""
    for item in items:
        if item.path.is_relative_to(HERE):
            for warning in THIRD_PARTY:
                item.add_marker(pytest.mark.filterwarnings(warning))


@pytest.fixture(scope="session")
def secret_uri(mongod_uri):
    """The mongod's address with a login: users can be made, and log in, without access control too."""
    with MongoClient(mongod_uri) as client:
        client.admin.command("createUser", "ner", pwd=MONGO_PASSWORD, roles=["root"])
    address = mongod_uri.removeprefix("mongodb://")
    return f"mongodb://ner:{MONGO_PASSWORD}@{address}&authSource=admin"


@pytest.fixture(scope="session")
def secrets():
    """What must be seen nowhere."""
    return {"mongo": MONGO_PASSWORD, "service": SERVICE_TOKEN, "wrong": WRONG_PASSWORD}


@pytest.fixture(scope="session")
def service():
    """One service for all DAG runs; `script` gives each test a fresh one."""
    with serve_in_thread() as service:
        yield service


@pytest.fixture
def sent(service):
    """How often each document's text was sent: without the canary, which each task asks once."""

    def counted():
        return Counter({text: times for text, times in service.received.items() if text != CANARY_TEXT})

    return counted


@pytest.fixture(scope="session")
def environment(tmp_path_factory, secret_uri, service):
    """What Airflow, the DAG and the engine read from the environment."""
    host, _, port = service.url.removeprefix("http://").partition(":")
    ner = {"conn_type": "http", "host": host, "port": int(port), "password": SERVICE_TOKEN}
    return {
        "AIRFLOW_HOME": str(tmp_path_factory.mktemp("airflow")),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__API_AUTH__JWT_SECRET": "for tests only, and long enough for each algorithm to sign with it",
        "AIRFLOW_CONN_MONGO_DEFAULT": json.dumps(mongo_connection(secret_uri)),
        "AIRFLOW_CONN_NER_DEFAULT": json.dumps(ner),
        "NER_RETRY_DELAY_S": "0",
        "NER_OUTAGE_DELAY_S": "0",
        "ENGINE_RETRY_BASE_S": "0.001",
        "ENGINE_RETRY_MAX_S": "0.01",
        "ENGINE_MAX_OUTAGE_S": "0",
    }


@contextmanager
def _set(environment):
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AIRFLOW")]:
            patch.delenv(name)
        for name, value in environment.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="session")
def initialized(environment):
    """An initialized Airflow: environment first, then its import, its database and the pool."""
    with _set(environment), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _initialize()


@pytest.fixture(scope="module")
def airflow(initialized, environment):
    """Airflow, for the tests of one module: other tests must not see its environment."""
    with _set(environment):
        yield


def _initialize():
    from airflow.models.pool import Pool
    from airflow.utils.db import initdb
    from airflow.utils.session import create_session

    initdb()
    with create_session() as session:
        Pool.create_or_update_pool(
            "extract_pool", slots=4, description="", include_deferred=False, session=session
        )


DOCUMENTS = 50
FIRST = datetime(2025, 1, 1, tzinfo=UTC)


def _text_of(number: int) -> str:
    return f"message {number} from Ada{number} in Paris"


@pytest.fixture
def text_of():
    """The text of a document of the source, by number."""
    return _text_of


TASKS = ("plan", "run_range", "summarize", "replay", "find", "repair", "conclude")


@pytest.fixture
def tasks(airflow):
    """The functions of the tasks without Airflow's decorator: `tasks.plan()` does its work here and now."""
    from keyset_batch_airflow import tasks

    return SimpleNamespace(**{name: getattr(tasks, name).function for name in TASKS})


@pytest.fixture(scope="module")
def make_source(secret_uri):
    """Makes collections of 50 documents, three a second, each in a database of its own."""
    made = []

    def make():
        name = f"test_{uuid.uuid4().hex[:12]}"
        made.append(name)
        collection = client[name]["messages"]
        collection.create_index([("created_at", 1), ("_id", 1)])
        collection.insert_many(
            {"_id": n, "created_at": FIRST + timedelta(seconds=n // 3), "text": _text_of(n)}
            for n in range(DOCUMENTS)
        )
        return collection

    with MongoClient(secret_uri, tz_aware=True) as client:
        yield make
        for name in made:
            client.drop_database(name)


@pytest.fixture
def source(make_source, service):
    """Such a collection, and a service without faults."""
    service.reset()
    return make_source()


@pytest.fixture
def dags(airflow):
    """The DAGs by id, freshly parsed: a run keeps its params in them."""
    return parsed()


@pytest.fixture
def dag(dags):
    """The backfill."""
    return dags["ner_backfill"]


@pytest.fixture(scope="module")
def plain(airflow, make_source, service):
    """One run without faults, for the tests that only look at what it left; and its source."""
    service.reset()
    source = make_source()
    return run_in_place(parsed()["ner_backfill"], source), source


@pytest.fixture
def in_task(tasks, dag, source, monkeypatch):
    """Gives the functions of the tasks a context with these params, as Airflow gives a running task one."""
    from keyset_batch_airflow import job
    from keyset_batch_airflow import tasks as module

    def context(**params):
        given = {**dict(dag.params), "database": source.database.name, **params}
        run, task = SimpleNamespace(run_id="by-hand"), SimpleNamespace(pool="extract_pool", outlets=[])
        named = {"params": given, "dag": dag, "dag_run": run, "task": task}
        for reader in (job, module):
            monkeypatch.setattr(reader, "get_current_context", lambda: named)

    context()
    return context


@pytest.fixture
def run_dag(dag, source):
    """Runs the backfill in place, with these params over the source, or over `over`."""
    return lambda over=None, **conf: run_in_place(dag, source if over is None else over, **conf)


@pytest.fixture
def run_other(dags, source):
    """Runs another DAG in place: `run_other("ner_verify", end=...)`, with a logical date if it needs one."""
    return lambda dag_id, logical_date=None, **conf: run_in_place(
        dags[dag_id], source, logical_date=logical_date, **conf
    )


@pytest.fixture
def connection(monkeypatch):
    """Defines a Connection `given` in the environment."""

    def define(**fields):
        monkeypatch.setenv("AIRFLOW_CONN_GIVEN", json.dumps(fields))

    return define
