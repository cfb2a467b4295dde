"""Runs the demo once, from the first server to the last line of output."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from demo.celery.platforms import LOCAL, Platform, Watcher
from demo.celery.postgres import remove_cluster
from demo.display import Display
from demo.errors import DemoError
from demo.following import PLANS, DagRun, follow
from demo.messages import COLLECTION, DATABASE
from demo.processes.records import read_records
from demo.processes.supervisor import RECORDS_NAME, Supervisor, end_recorded
from demo.servers.airflow import PROGRESS_TAB
from demo.servers.mongod import OWN_SERVER
from demo.servers.startup import DAG_ID, Servers, running_servers
from demo.summary import Outcome, show_durations, show_outcome, show_places
from demo.task_logs import first_failure
from demo.window import DemoWindow

_MAX_CONCURRENCY = 8
UI_NOTE = "ui"


@dataclass(frozen=True, slots=True)
class Options:
    """The options of one demo.

    Attributes:
        state_dir: The folder for data, logs and the record of processes.
        dags_folder: The folder with the DAG files.
        window: The messages to process.
        range_documents: Documents per mapped task.
        keep: Whether all servers stay up after the run.
        platform: The kind of Airflow that runs the DAG.
    """

    state_dir: Path
    dags_folder: Path
    window: DemoWindow
    range_documents: int
    keep: bool = False
    platform: Platform = LOCAL

    @property
    def all_sent(self) -> bool:
        """Whether this run sends every message, also those with an extraction of an earlier run."""
        return bool(self.conf().get("force"))

    def conf(self) -> dict[str, Any]:
        """The params of the DAG run."""
        return {
            "start": self.window.start,
            "end": self.window.end,
            "database": DATABASE,
            "collection": COLLECTION,
            "range_documents": self.range_documents,
            "max_concurrency": _MAX_CONCURRENCY,
            **self.platform.conf,
        }


def run_demo(options: Options, console: Console) -> bool:
    """Run the demo.

    Returns:
        Whether the run succeeded and every check passed.

    Raises:
        DemoError: A server did not start, or the demo is running already.
    """
    started = time.monotonic()
    options.platform.require()
    end_leftovers(options.state_dir, console)
    try:
        with Supervisor(options.state_dir) as supervisor:
            with Display(console) as display:
                outcome = _work(options, supervisor, display)
            show_outcome(console, outcome)
            show_durations(console, display.durations_s, time.monotonic() - started)
            if options.keep:
                supervisor.release({UI_NOTE: outcome.ui})
    finally:
        clean_up(options.state_dir)
    show_places(console, outcome, kept=options.keep)
    return not outcome.problems


def clean_up(state_dir: Path) -> None:
    """Remove the data that no later demo uses, unless servers were left running."""
    if not read_records(state_dir / RECORDS_NAME).running:
        remove_cluster(state_dir)


def end_leftovers(state_dir: Path, console: Console) -> None:
    """End what an earlier demo has left running, on purpose or because it was killed.

    Raises:
        DemoError: The earlier demo still runs.
    """
    records = read_records(state_dir / RECORDS_NAME)
    if records.owner is not None and records.owned:
        raise DemoError(
            f"the demo is running already (process {records.owner.pid}): "
            "wait for it, or end it by `make demo-down`"
        )
    if records.running:
        console.print("Ending the servers that an earlier demo has left running; their data stay.")
        end_recorded(state_dir / RECORDS_NAME)


def _work(options: Options, supervisor: Supervisor, display: Display) -> Outcome:
    run = DagRun(DAG_ID, f"demo-{datetime.now(UTC):%Y%m%dT%H%M%S}")
    servers_running = running_servers(
        options.state_dir, options.dags_folder, supervisor, display, options.platform.airflow
    )
    with servers_running as servers:
        watcher = options.platform.watcher(run, servers.airflow.api, servers.client[DATABASE], supervisor)
        state = _backfill(run, options, servers, supervisor, watcher, display)
        with display.step("checking"):
            return _outcome(run, state, options, servers, watcher)


def _backfill(
    run: DagRun,
    options: Options,
    servers: Servers,
    supervisor: Supervisor,
    watcher: Watcher,
    display: Display,
) -> str:
    def check() -> None:
        supervisor.check()
        watcher.poll()

    api = servers.airflow.api
    with display.step("extraction") as step:
        api.trigger(run.dag_id, run.dag_run_id, options.conf())
        return follow(run, api, servers.client[DATABASE], step, check=check)


def _outcome(run: DagRun, state: str, options: Options, servers: Servers, watcher: Watcher) -> Outcome:
    api, database = servers.airflow.api, servers.client[DATABASE]
    plan = database[PLANS].find_one({"run_id": run.run_id}, {"report": 1}) or {}
    instances = api.task_instances(run.dag_id, run.dag_run_id)
    page = servers.airflow.settings.report_of(run.dag_id, run.dag_run_id)
    return Outcome(
        run_id=run.run_id,
        state=state,
        report=plan.get("report"),
        messages=options.window.count_messages(database),
        extractions=options.window.count_extractions(database, run.run_id if options.all_sent else None),
        entities=options.window.frequent_entities(database),
        ui=api.run_url(run.dag_id, run.dag_run_id),
        progress=f"{api.run_url(run.dag_id, run.dag_run_id)}/plugin/{PROGRESS_TAB}",
        page=page if page.exists() else None,
        server=f"${OWN_SERVER}" if servers.mongod.own else servers.mongod.uri,
        own_server=servers.mongod.own,
        log=first_failure(servers.airflow.settings.home, run, instances),
        checks=watcher.checks(instances),
        command=options.platform.command,
    )
