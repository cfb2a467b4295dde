"""Airflow's whole API application with the plugin in it, a client for it, and DAG runs to ask about."""

# ruff: noqa: PLC0415  (Airflow reads its environment at import, so a fixture has to set it first)
from __future__ import annotations

import uuid
from datetime import UTC, datetime

import pytest
from pymongo import MongoClient


@pytest.fixture(scope="module")
def client(airflow, tmp_path_factory):
    """A client of Airflow's whole application, in which the plugin is mounted as in production."""
    from airflow.api_fastapi.app import create_app
    from fastapi.testclient import TestClient

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NER_REPORTS_PATH", str(tmp_path_factory.mktemp("reports")))
        with TestClient(create_app(apps="core"), raise_server_exceptions=False) as client:
            yield client


@pytest.fixture(scope="module")
def as_user(client):
    """The headers of a user who has signed in with this role; without a role, nothing is allowed."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    def headers(role="VIEWER"):
        token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username="ada", role=role))
        return {"Authorization": f"Bearer {token}"}

    return headers


@pytest.fixture
def ask(client, as_user):
    """Gets a route of a run as a user who may view it."""
    return lambda route, dag_id, run_id: client.get(f"/ner/{route}/{dag_id}/{run_id}", headers=as_user())


@pytest.fixture
def stored(secret_uri):
    """An empty target database, in which a test stores what a run in progress would have left."""
    with MongoClient(secret_uri) as client:
        name = f"test_{uuid.uuid4().hex[:12]}"
        yield client[name]
        client.drop_database(name)


@pytest.fixture
def begun(client, plain):
    """Makes a DAG run that Airflow knows but that does not run: `begun(dag_id, **conf)` returns its id."""
    from airflow.models.dag_version import DagVersion
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState
    from airflow.utils.types import DagRunType

    def make(dag_id="ner_backfill", **conf):
        run_id = f"by-hand-{uuid.uuid4().hex[:8]}"
        how = {"run_type": DagRunType.MANUAL, "state": DagRunState.RUNNING, "run_after": datetime.now(UTC)}
        with create_session() as session:
            run = DagRun(dag_id, run_id, conf=conf, **how)
            run.created_dag_version_id = DagVersion.get_latest_version(dag_id, session=session).id
            session.add(run)
        return run_id

    return make
