"""An Airflow for tests: a database in a temporary home, Connections in the environment, DAGs run in place."""

# ruff: noqa: PLC0415  (Airflow reads its environment at import, so a fixture has to set it first)
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
from engine.extractors.offsets import CANARY_TEXTS
from tests.support.in_place import parsed, run_in_place
from tests.support.ner_service import serve_in_thread
from tests.support.places import DAGS

HERE = Path(__file__).parent

# Raised by Airflow itself: its parser of .airflowignore calls pathspec by a deprecated name.
THIRD_PARTY = ("ignore:GitWildMatchPattern:DeprecationWarning",)

MONGO_PASSWORD = "mongo-pass-7f3a"
SERVICE_TOKEN = "service-token-91bc"
WRONG_PASSWORD = "wrong-pass-55d1"


def pytest_collection_modifyitems(items):
    """Turns warnings into errors here as everywhere, except those that Airflow raises about its own code."""
    for item in items:
        if item.path.is_relative_to(HERE):
            for warning in THIRD_PARTY:
                item.add_marker(pytest.mark.filterwarnings(warning))


@pytest.fixture(scope="session")
def secret_uri(mongod_uri):
    """The mongod's address with a login, which also works without access control."""
    with MongoClient(mongod_uri) as client:
        client.admin.command("createUser", "ner", pwd=MONGO_PASSWORD, roles=["root"])
    address = mongod_uri.removeprefix("mongodb://")
    return f"mongodb://ner:{MONGO_PASSWORD}@{address}&authSource=admin"


@pytest.fixture(scope="session")
def secrets():
    """The strings that must not appear anywhere."""
    return {"mongo": MONGO_PASSWORD, "service": SERVICE_TOKEN, "wrong": WRONG_PASSWORD}


@pytest.fixture(scope="session")
def service():
    """One service for all DAG runs; `script` gives each test a fresh one."""
    with serve_in_thread() as service:
        yield service


@pytest.fixture
def sent(service):
    """How often the text of each document was sent, without the canary, which each task sends once."""

    def counted():
        return Counter({text: times for text, times in service.received.items() if text not in CANARY_TEXTS})

    return counted


@pytest.fixture(scope="session")
def environment(tmp_path_factory, secret_uri, service):
    """The environment variables that Airflow, the DAG and the engine read."""
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
        "ENGINE_TUNING__RETRY_BASE_S": "0.001",
        "ENGINE_TUNING__RETRY_MAX_S": "0.01",
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
    """An initialized Airflow: the environment is set first, then Airflow is imported and set up."""
    with _set(environment), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _initialize()


@pytest.fixture(scope="module")
def airflow(initialized, environment):
    """Airflow, for the tests of one module.

    Its environment is removed afterwards, because other tests must not see it.
    """
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
    """The text of a document of the source, given its number."""
    return _text_of


TASKS = ("plan", "run_range", "summarize", "replay", "find", "repair", "conclude")


@pytest.fixture
def tasks(airflow):
    """The functions of the tasks without Airflow's decorator: `tasks.plan()` runs immediately."""
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
    """A collection of 50 documents, with a service that has no faults."""
    service.reset()
    return make_source()


@pytest.fixture
def dags(airflow):
    """The DAGs by id, parsed again for each test, because a run stores its params in the DAG."""
    return parsed()


@pytest.fixture
def dag(dags):
    """The backfill DAG."""
    return dags["ner_backfill"]


@pytest.fixture(scope="module")
def plain(airflow, make_source, service):
    """One run without faults and its source, for tests that only look at the results."""
    service.reset()
    source = make_source()
    return run_in_place(parsed()["ner_backfill"], source), source


@pytest.fixture
def in_task(tasks, dag, source, monkeypatch):
    """Gives the task functions a context with these params, as Airflow gives one to a running task."""
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
    """Runs the backfill in place with these params, over `source` or over the collection `over`."""
    return lambda over=None, **conf: run_in_place(dag, source if over is None else over, **conf)


@pytest.fixture
def run_other(dags, source):
    """Runs another DAG in place: `run_other("ner_verify", end=...)`, with a logical date if it needs one."""
    return lambda dag_id, logical_date=None, **conf: run_in_place(
        dags[dag_id], source, logical_date=logical_date, **conf
    )


@pytest.fixture
def connection(monkeypatch):
    """Defines a Connection named `given` in the environment."""

    def define(**fields):
        monkeypatch.setenv("AIRFLOW_CONN_GIVEN", json.dumps(fields))

    return define
