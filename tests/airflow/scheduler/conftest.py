"""One Airflow and one service for all tests of this folder, and databases for each test."""

from __future__ import annotations

import pytest
from pymongo import MongoClient

from demo.processes.process_tree import living_members
from demo.processes.records import read_records
from demo.processes.supervisor import Supervisor
from demo.servers.airflow import Airflow, AirflowSettings
from demo.servers.connections import http_connection, mongo_connection
from demo.servers.ports import LOOPBACK, free_port
from tests.support.cluster import ENVIRONMENT, Cluster, dags_folder
from tests.support.mongod import replica_set_uri
from tests.support.ner_service import serve_in_thread
from tests.support.slow_ranges import filled

DAG_IDS = ("ner_backfill", "ner_incremental", "ner_replay", "ner_verify", "timed_backfill")


@pytest.fixture(scope="package")
def own_port():
    """A port on which a test may start a mongod of its own."""
    return free_port()


@pytest.fixture(scope="package")
def own_uri(own_port):
    """The address of that mongod, which Connection `mongo_own` also has."""
    return replica_set_uri(own_port)


@pytest.fixture(scope="package")
def slow_service():
    """The one service that the Airflow of these tests knows."""
    with serve_in_thread() as service:
        yield service


@pytest.fixture
def service(slow_service):
    """The service, set to 0.15 s a request: a range takes some six seconds."""
    slow_service.reset()
    slow_service.delay_s = 0.15
    return slow_service


@pytest.fixture
def databases(secret_uri):
    """A source of 600 documents, and an empty target."""
    with MongoClient(secret_uri, tz_aware=True) as client:
        databases = filled(client)
        yield databases
        for database in (databases.source, databases.target):
            client.drop_database(database)


@pytest.fixture(scope="package")
def cluster(tmp_path_factory, secret_uri, slow_service, own_uri, secrets):
    """An Airflow with all DAGs and with Connections that contain secrets; some of them are wrong."""
    home = tmp_path_factory.mktemp("scheduler")
    host, _, port = slow_service.url.removeprefix("http://").partition(":")
    api_port = free_port()
    known = mongo_connection(secret_uri)
    connections = {
        "mongo_default": known,
        "mongo_own": mongo_connection(own_uri),
        "mongo_refused": {**known, "password": secrets["wrong"]},
        "ner_default": {**http_connection(host, int(port)), "password": secrets["service"]},
        "airflow_api": http_connection(LOOPBACK, api_port),
    }
    folder = dags_folder(home)
    settings = AirflowSettings(home / "airflow", folder, connections, ENVIRONMENT, port=api_port)
    with Supervisor(home) as supervisor:
        airflow = Airflow(settings, supervisor)
        airflow.migrate()
        airflow.start()
        for dag_id in DAG_IDS:
            airflow.await_dag(dag_id)
        yield Cluster(airflow, supervisor)
        leaders = read_records(supervisor.records_path).leaders
    assert [living_members(leader) for leader in leaders] == [set()] * len(leaders)
