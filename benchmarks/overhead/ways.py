"""Runs the two ways that are compared: `python -m engine run`, and the DAG under a real scheduler."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from pymongo.database import Database

from benchmarks.overhead.work import SLOTS, Work
from demo.following import PLANS
from demo.processes.supervisor import Supervisor
from demo.processes.waiting import wait_for
from demo.servers.airflow import POOL, Airflow, AirflowSettings
from demo.servers.airflow_api import FINAL_STATES, AirflowApi
from demo.servers.connections import http_connection, mongo_connection

COLLECTION = "messages"
DAG_ID = "ner_backfill"
RUN_ID = "overhead"
MOST_S = 1800.0
"""Seconds after which a run is given up."""

# The texts of the documents repeat, and each of them must be sent.
ENVIRONMENT = {"ENGINE_TUNING__REPEAT_CACHE_TEXTS": "0"}

_DAGS = Path(__file__).resolve().parents[2] / "airflow_dags"

Json = dict[str, Any]


def engine_alone(uri: str, source: Database[Json], target: Database[Json], work: Work, url: str) -> float:
    """Runs `python -m engine run`, and returns the seconds from the start of its process to its end.

    Raises:
        RuntimeError: the command failed.
    """
    settings = {
        "range_documents": work.range_documents,
        "range_concurrency": SLOTS,
        "batch_texts": work.batch_texts,
        "max_concurrency": min(SLOTS * work.in_flight, 1024),
    }
    options = ["--database", source.name, "--collection", COLLECTION, "--target-database", target.name]
    command = [sys.executable, "-m", "engine", "run", *options, "--service-url", url, "--run-id", RUN_ID]
    command += [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    # The address is passed by the environment, because it may contain a password.
    environment = {**os.environ, **ENVIRONMENT, "ENGINE_SOURCE_URI": uri}
    started = time.monotonic()
    ended = subprocess.run(command, check=False, env=environment, capture_output=True, text=True)
    seconds = time.monotonic() - started
    if ended.returncode:
        raise RuntimeError(f"the engine alone ended with status {ended.returncode}: {ended.stderr[-500:]}")
    return seconds


def report_of(target: Database[Json], run_id: str = RUN_ID) -> Json:
    """Reads the report of a run."""
    found = target[PLANS].find_one({"run_id": run_id}, {"report": 1}) or {}
    report: Json = found["report"]
    return report


@contextmanager
def scheduler(uri: str, services: Mapping[str, str]) -> Iterator[AirflowApi]:
    """Starts an Airflow with the DAG, a pool of two slots, and a Connection per service; yields a client."""
    connections = {"mongo_default": mongo_connection(uri)}
    for name, url in services.items():
        place = urlsplit(url)
        connections[name] = http_connection(str(place.hostname), place.port or 80)
    with TemporaryDirectory(prefix="bench-airflow-") as place, Supervisor(Path(place)) as supervisor:
        settings = AirflowSettings(
            Path(place) / "airflow", _DAGS, connections, ENVIRONMENT, parallelism=SLOTS
        )
        airflow = Airflow(settings, supervisor)
        airflow.migrate()
        airflow.start()
        airflow.await_dag(DAG_ID)
        airflow.api.set_pool(POOL, SLOTS)
        yield airflow.api


def dag_run(
    api: AirflowApi,
    name: str,
    source: Database[Json],
    target: Database[Json],
    work: Work,
    conn_id: str,
    collection: str = COLLECTION,
) -> tuple[Json, list[Json]]:
    """Runs the DAG, and returns the run and its task instances as Airflow's API describes them at the end.

    Raises:
        DemoError: the run did not end in time.
        RuntimeError: the run failed.
    """
    conf = {
        "database": source.name,
        "collection": collection,
        "target_database": target.name,
        "service_conn_id": conn_id,
        "range_documents": work.range_documents,
        "batch_texts": work.batch_texts,
        "max_concurrency": work.in_flight,
    }
    api.trigger(DAG_ID, name, conf)
    run = wait_for(lambda: _ended(api, name), f"the run {name}", timeout_s=MOST_S, interval_s=1.0)
    if run["state"] != "success":
        raise RuntimeError(f"the run {name} ended as {run['state']}")
    return run, api.task_instances(DAG_ID, name)


def _ended(api: AirflowApi, name: str) -> Json | None:
    run = api.run(DAG_ID, name)
    return run if run["state"] in FINAL_STATES else None


def wall_s(run: Json) -> float:
    """Returns the seconds from the request of a DAG run to its recorded end."""
    asked, ended = (datetime.fromisoformat(run[name]) for name in ("queued_at", "end_date"))
    return (ended - asked).total_seconds()
