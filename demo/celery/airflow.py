"""The demo's Airflow with CeleryExecutor: PostgreSQL, Redis, and two workers that act as two machines."""

import sys
from collections.abc import Mapping
from dataclasses import replace

from demo.celery import worker_name
from demo.celery.postgres import Postgres
from demo.celery.programs import find_programs, require_provider
from demo.celery.redis import Redis
from demo.processes.supervisor import Supervisor
from demo.processes.waiting import wait_for
from demo.servers.airflow import Airflow, AirflowSettings

WORKERS = ("worker-1", "worker-2")
WORKER_SLOTS = 2
"""Tasks that each worker runs at once; the pool has as many slots as both workers together."""

HEARTBEAT_TIMEOUT_S = 15
"""A task without a heartbeat for this time counts as lost and is retried; Airflow's default is 300."""

_START_S = 120.0
_PING_S = 1.0
_WAIT = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": str(HEARTBEAT_TIMEOUT_S),
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "2",
    # If a killed worker had received a task but not begun it, the task is sent again after this time.
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "60",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "5",
    "NER_RETRY_DELAY_S": "1",
}
"""How soon the tasks of a lost worker are retried; `docs/deploy.md` says what to set in production."""


class CeleryAirflow(Airflow):
    """Starts an Airflow with Celery under a supervisor, which ends it."""

    def __init__(self, settings: AirflowSettings, supervisor: Supervisor) -> None:
        programs = find_programs()
        state_dir = settings.home.parent
        self._postgres = Postgres(state_dir, programs.postgres, supervisor)
        self._redis = Redis(state_dir, programs.redis, supervisor)
        extra = {**celery_environment(self._postgres, self._redis), **settings.extra_env}
        super().__init__(replace(settings, extra_env=extra), supervisor)

    def migrate(self) -> None:
        """Start PostgreSQL and Redis, and create a fresh metadata database.

        Raises:
            DemoError: One of them did not start, or the migration failed.
        """
        self._postgres.start()
        self._redis.start()
        self._supervisor.call("airflow-migrate", _command("db", "migrate"), env=self.environment())

    def start(self) -> None:
        """Start Airflow's three processes and the workers."""
        super().start()
        for name in WORKERS:
            environment = {**self.environment(), **worker_environment(name)}
            self._supervisor.start(process_name(name), worker_command(name), env=environment)

    def await_dag(self, dag_id: str, *, timeout_s: float = _START_S) -> None:
        """Wait as `Airflow.await_dag` does, and until the workers answer."""
        super().await_dag(dag_id, timeout_s=timeout_s)
        wait_for(
            lambda: set(WORKERS) <= self.answering() or None,
            "the Celery workers",
            timeout_s=timeout_s,
            check=self._supervisor.check,
        )

    def answering(self) -> set[str]:
        """Ping the workers through the broker, and return the names of those that answer."""
        import celery  # noqa: PLC0415 - slow, and part of an extra that the plain demo does not need

        with celery.Celery(broker=self._redis.url) as app:
            answers = app.control.ping(timeout=_PING_S)
        return {name.partition("@")[2] for answer in answers for name in answer}


def require_all() -> None:
    """Make sure that everything is installed before anything is started.

    Raises:
        DemoError: Something is missing; the message says what to install.
    """
    require_provider()
    find_programs()


def process_name(worker: str) -> str:
    """The name of a worker's process for the supervisor."""
    return f"celery-{worker}"


def celery_environment(postgres: Postgres, redis: Redis) -> dict[str, str]:
    """The environment that makes Airflow use these servers."""
    return {
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": postgres.url("psycopg2"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": postgres.url("asyncpg"),
        "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{postgres.url('psycopg2')}",
        "AIRFLOW__CELERY__BROKER_URL": redis.url,
        # DAG bundles have no versions here. Without this, each worker would run a process to clean them up.
        "AIRFLOW__DAG_PROCESSOR__STALE_BUNDLE_CLEANUP_INTERVAL": "0",
        **_WAIT,
    }


def worker_environment(name: str) -> Mapping[str, str]:
    """The environment that makes Airflow take a worker for a machine of its own."""
    return {worker_name.VARIABLE: name, "AIRFLOW__CORE__HOSTNAME_CALLABLE": worker_name.CALLABLE}


def worker_command(name: str) -> list[str]:
    """The command of a worker, without a log server: that would listen on all interfaces.

    The API server reads the logs from the folder that all processes share.
    """
    options = ["--celery-hostname", name, "--concurrency", str(WORKER_SLOTS), "--skip-serve-logs"]
    return _command("celery", "worker", *options, "--without-mingle", "--without-gossip")


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "airflow", *arguments]
