"""One real Airflow for many tests: its DAGs, its Connections and its runs."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psutil

from demo.processes.process_tree import SessionLeader, is_alive, living_members
from demo.processes.supervisor import Supervisor
from demo.servers.airflow import Airflow
from demo.servers.airflow_api import FINAL_STATES
from tests.support.places import DAGS
from tests.support.slow_ranges import AHEAD_BATCHES, PAGE_DOCUMENTS

T = TypeVar("T")

RETRY_DELAY_S, OUTAGE_DELAY_S = 1, 3
ENVIRONMENT = {
    "NER_RETRY_DELAY_S": str(RETRY_DELAY_S),
    "NER_OUTAGE_DELAY_S": str(OUTAGE_DELAY_S),
    "ENGINE_CHECKPOINT_S": "0.1",
    "ENGINE_TUNING__PAGE_DOCUMENTS": str(PAGE_DOCUMENTS),
    "ENGINE_TUNING__MAX_AHEAD_BATCHES": str(AHEAD_BATCHES),
    "ENGINE_MAX_OUTAGE_S": "1",
}
WAIT_S = 120.0

TIMED_DAG = """
from datetime import timedelta
from keyset_batch_airflow import backfill_dag

timed = backfill_dag("timed_backfill", dag_args={"default_args": {"retries": 30}})
timed.task_dict["run_range"].partial_kwargs["execution_timeout"] = timedelta(seconds=4)
"""
"""A DAG file: Airflow stops its tasks at a timeout that is much shorter than their work."""

DAILY = "daily"
"""The database that the incremental DAG reads."""

INCREMENTAL = {
    "start_date=datetime(2026, 11, 1, tzinfo=UTC)": "start_date=datetime(2025, 1, 1, tzinfo=UTC)",
    "dag_args={": f'database="{DAILY}", dag_args={{"end_date": datetime(2025, 1, 1, tzinfo=UTC), ',
}
"""What is changed in the file of the incremental DAG, as its words ask for: a past day, and a place."""


def dags_folder(parent: Path) -> Path:
    """The project's DAGs, the incremental one for a day of the past; and one more for the tests."""
    folder = parent / "dags"
    shutil.copytree(DAGS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "timed_backfill.py").write_text(TIMED_DAG, encoding="utf-8")
    incremental = folder / "ner_incremental.py"
    text = incremental.read_text(encoding="utf-8")
    for before, after in INCREMENTAL.items():
        assert before in text
        text = text.replace(before, after)
    incremental.write_text(text, encoding="utf-8")
    return folder


def awaited(probe: Callable[[], T | None], what: str) -> T:
    """Calls the probe until it returns something else than None, and returns that."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        if (found := probe()) is not None:
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited {WAIT_S} s in vain for {what}")


@dataclass(frozen=True)
class Run:
    """One DAG run of the Airflow."""

    cluster: Cluster
    dag_id: str
    name: str

    @property
    def path(self) -> str:
        """The path of the run in the API."""
        return f"dags/{self.dag_id}/dagRuns/{self.name}"

    def await_end(self, state: str) -> None:
        """Waits until the run has that state."""
        api = self.cluster.api
        what = f"the state {state} of run {self.name} of {self.dag_id}"
        awaited(lambda: api.run_state(self.dag_id, self.name) == state or None, what)

    def instances(self, task_id: str = "run_range") -> list[dict[str, Any]]:
        """The instances of a task, by map index."""
        found = [ti for ti in self._all() if ti["task_id"] == task_id]
        return sorted(found, key=lambda ti: ti["map_index"])

    def states(self) -> dict[str, str]:
        """The state of each task, by id; of a mapped task, that of the last map index."""
        return {ti["task_id"]: ti["state"] for ti in self._all()}

    def _all(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.cluster.api.task_instances(self.dag_id, self.name)
        return found

    def retry_delays_s(self) -> list[float]:
        """The delays that the retry policy gave to tries that have ended."""
        query = "SELECT retry_delay_override FROM {} WHERE run_id = ? AND retry_delay_override IS NOT NULL"
        with self.cluster.database() as database:
            found = [
                database.execute(query.format(table), [self.name]).fetchall()
                for table in ("task_instance_history", "task_instance")
            ]
        return [delay_s for rows in found for (delay_s,) in rows][:1]

    def tries(self) -> list[int]:
        """The number of tries of each mapped task."""
        return [ti["try_number"] for ti in self.instances()]

    def returned(self, task_id: str = "run_range") -> list[Any]:
        """The return values of the instances of a task."""
        path = f"{self.path}/taskInstances/{task_id}/xcomEntries/return_value?map_index="
        indexes = [ti["map_index"] for ti in self.instances(task_id)]
        return [self.cluster.asked("GET", f"{path}{at}")["value"] for at in indexes]

    def logs(self, task_id: str = "run_range") -> list[str]:
        """The logs of all tries of a task."""
        folder = self.cluster.home / "logs" / f"dag_id={self.dag_id}" / f"run_id={self.name}"
        paths = (folder / f"task_id={task_id}").rglob("*.log")
        return [path.read_text(encoding="utf-8") for path in paths]

    def mark(self, map_index: int, state: str) -> None:
        """Marks a mapped task, as people do in the user interface."""
        path = f"{self.path}/taskInstances/run_range/{map_index}"
        self.cluster.asked("PATCH", path, {"new_state": state})

    def clear(self, task_ids: list[Any]) -> None:
        """Clears failed tasks, so that the run is taken up again."""
        body = {"dag_run_id": self.name, "task_ids": task_ids, "dry_run": False, "only_failed": True}
        self.cluster.asked("POST", f"dags/{self.dag_id}/clearTaskInstances", body)

    def kill(self, map_index: int) -> None:
        """Kills the process of a running mapped task, as the kernel does when memory is short."""
        instance = self.instances()[map_index]
        assert instance["state"] == "running"
        process = psutil.Process(instance["pid"])
        process.kill()
        awaited(lambda: None if is_alive(process) else True, "its end")


@dataclass(frozen=True)
class Cluster:
    """A running Airflow."""

    airflow: Airflow
    supervisor: Supervisor

    @property
    def api(self) -> Any:
        """A client of its API."""
        return self.airflow.api

    @property
    def home(self) -> Path:
        """The folder of its database and of the logs of its tasks."""
        return self.airflow.settings.home

    def trigger(self, dag_id: str, conf: Mapping[str, Any]) -> Run:
        """Starts a run."""
        name = f"{dag_id}-{uuid.uuid4().hex[:8]}"
        self.api.trigger(dag_id, name, conf)
        return Run(self, dag_id, name)

    def ended(self, dag_id: str) -> list[str]:
        """The states of a DAG's runs that have ended."""
        runs = self.asked("GET", f"dags/{dag_id}/dagRuns")["dag_runs"]
        return [run["state"] for run in runs if run["state"] in FINAL_STATES]

    def asked(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Sends a request to the API; checks that it succeeds, and returns the answer."""
        status, answer = self.api._request(method, path, body)
        assert 200 <= status < 300, answer
        return answer

    @contextlib.contextmanager
    def database(self) -> Iterator[sqlite3.Connection]:
        """A transaction in its database, for what the API does not offer."""
        connection = sqlite3.connect(self.home / "airflow.db", timeout=60)
        with contextlib.closing(connection), connection:
            yield connection

    def lose_scheduler(self) -> None:
        """Kills the scheduler, its executor's workers and their tasks, as if their machine had failed."""
        leader = SessionLeader.of(self._scheduler.popen.pid)
        while members := living_members(leader):
            for member in members:
                with contextlib.suppress(psutil.NoSuchProcess):
                    member.kill()
            psutil.wait_procs(members, timeout=5)
        self._scheduler.popen.wait()

    def start_scheduler(self) -> None:
        """Starts another scheduler, and makes Airflow take the lost one for dead at once."""
        with self.database() as database:
            database.execute("UPDATE job SET latest_heartbeat = '2000-01-01' WHERE job_type = 'SchedulerJob'")
        command = [sys.executable, "-m", "airflow", "scheduler", "--skip-serve-logs"]
        name = f"airflow-scheduler-{len(self.supervisor._children)}"
        self.supervisor.start(name, command, env=self.airflow.environment())

    @property
    def _scheduler(self) -> Any:
        started = [c for c in self.supervisor._children if c.name.startswith("airflow-scheduler")]
        return started[-1]
