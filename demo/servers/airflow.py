"""Starts an Airflow on this machine: SQLite, LocalExecutor, three processes, loopback only."""

import json
import secrets
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from demo.errors import DemoError
from demo.processes.supervisor import Supervisor
from demo.processes.waiting import wait_for
from demo.servers.airflow_api import AirflowApi
from demo.servers.connections import Connection
from demo.servers.environment import server_environment
from demo.servers.ports import LOOPBACK, free_port

POOL = "extract_pool"
POOL_SLOTS = 4
PROGRESS_TAB = "ner-progress"
"""The name of the plugin's tab in the addresses of the user interface."""
_START_S = 180.0
_PARSE_S = 60.0


@dataclass(frozen=True, slots=True)
class AirflowSettings:
    """The configuration of one Airflow.

    Attributes:
        home: Its AIRFLOW_HOME, with its secrets, its database and its logs.
        dags_folder: Where its DAGs are.
        connections: Its Connections, by id.
        extra_env: More environment variables, for example `AIRFLOW__SECTION__KEY`; they override all others.
        parallelism: Tasks that run at once; the executor forks that many workers in advance.
        port: The port of the API server and of the user interface.
    """

    home: Path
    dags_folder: Path
    connections: Mapping[str, Connection] = field(default_factory=dict)
    extra_env: Mapping[str, str] = field(default_factory=dict)
    parallelism: int = POOL_SLOTS
    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        """The address of the API server."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def reports(self) -> Path:
        """The folder in which the DAGs save the reports of their runs."""
        return self.home.resolve() / "reports"

    def report_of(self, dag_id: str, dag_run_id: str) -> Path:
        """The file with the report of a run."""
        return self.reports / dag_id / f"{dag_run_id}.html"


class Airflow:
    """Starts one Airflow under a supervisor, which ends it.

    Attributes:
        settings: Its configuration.
        api: A client of its REST API.
    """

    def __init__(self, settings: AirflowSettings, supervisor: Supervisor) -> None:
        self.settings = settings
        self.api = AirflowApi(settings.url)
        self._supervisor = supervisor

    def migrate(self) -> None:
        """Create a fresh metadata database.

        With an old one, Airflow would continue runs that an interrupted demo left unfinished. The migrated,
        empty database is kept as a template, so only the first migration takes seconds.

        Raises:
            DemoError: Airflow is not installed, it has no DAGs, or the migration failed.
        """
        if not any(self.settings.dags_folder.glob("*.py")):
            raise DemoError(f"{self.settings.dags_folder} has no DAG: run the demo from a checkout")
        home = self.settings.home
        database = home / "airflow.db"
        template = home / f"empty-{_version()}.db"
        home.mkdir(parents=True, exist_ok=True)
        for stale in home.glob("airflow.db*"):
            stale.unlink()
        if not template.exists():
            self._supervisor.call("airflow-migrate", _command("db", "migrate"), env=self.environment())
            draft = template.with_suffix(".draft")
            shutil.copyfile(database, draft)
            draft.replace(template)
        shutil.copyfile(template, database)

    def start(self) -> None:
        """Start the three processes, without waiting until they are ready."""
        environment = self.environment()
        commands = {
            "airflow-api-server": ("api-server", "--host", LOOPBACK, "--port", str(self.settings.port)),
            # Without a log server, which would listen on all interfaces; the API server reads the files.
            "airflow-scheduler": ("scheduler", "--skip-serve-logs"),
            "airflow-dag-processor": ("dag-processor",),
        }
        for name, arguments in commands.items():
            self._supervisor.start(name, _command(*arguments), env=environment)

    def await_dag(self, dag_id: str, *, timeout_s: float = _START_S) -> None:
        """Wait until everything is healthy and the DAG is known, and make its pool.

        Raises:
            DemoError: A process died, the DAG's file does not import, or the time is over.
        """
        check = self._supervisor.check
        wait_for(lambda: self.api.healthy() or None, "Airflow", timeout_s=timeout_s, check=check)
        self.api.set_pool(POOL, POOL_SLOTS)
        wait_for(
            lambda: self.api.dag_parsed(dag_id) or None, f"DAG {dag_id}", timeout_s=_PARSE_S, check=check
        )

    def environment(self) -> dict[str, str]:
        """The environment of its processes."""
        connections = {
            f"AIRFLOW_CONN_{name.upper()}": json.dumps(connection)
            for name, connection in self.settings.connections.items()
        }
        return {
            **server_environment(),
            **_options(self.settings),
            **_secrets(self.settings.home),
            **connections,
            **self.settings.extra_env,
        }


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "airflow", *arguments]


def _version() -> str:
    try:
        return metadata.version("apache-airflow")
    except metadata.PackageNotFoundError as error:
        raise DemoError("Airflow is missing: pip install 'keyset-batch-engine[demo]'") from error


def _options(settings: AirflowSettings) -> dict[str, str]:
    sections = {
        "CORE": {
            "DAGS_FOLDER": str(settings.dags_folder.resolve()),
            "LOAD_EXAMPLES": "False",
            "EXECUTOR": "LocalExecutor",
            "PARALLELISM": str(settings.parallelism),
            "DAGS_ARE_PAUSED_AT_CREATION": "False",
            "SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "EXECUTION_API_SERVER_URL": f"{settings.url}/execution/",
        },
        "API": {"PORT": str(settings.port), "BASE_URL": settings.url, "WORKERS": "1"},
        # The files do not change while it runs; parsing them again every 30 s would take half a core.
        "DAG_PROCESSOR": {"PARSING_PROCESSES": "1", "MIN_FILE_PROCESS_INTERVAL": "3600"},
        # Seconds between two searches for work. The default of 1 delays each step of a short run.
        "SCHEDULER": {"SCHEDULER_IDLE_SLEEP_TIME": "0.3"},
        "USAGE_DATA_COLLECTION": {"ENABLED": "False"},
    }
    options = {
        f"AIRFLOW__{section}__{key}": value
        for section, keys in sections.items()
        for key, value in keys.items()
    }
    places = {"AIRFLOW_HOME": str(settings.home.resolve()), "NER_REPORTS_PATH": str(settings.reports)}
    return {**places, **options}


def _secrets(home: Path) -> dict[str, str]:
    """Random secrets, which all processes and all later starts share."""
    path = home / "secrets.json"
    if not path.exists():
        home.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        names = ("AIRFLOW__API_AUTH__JWT_SECRET", "AIRFLOW__API__SECRET_KEY")
        path.write_text(json.dumps({name: secrets.token_urlsafe(32) for name in names}), encoding="utf-8")
    stored: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return stored
