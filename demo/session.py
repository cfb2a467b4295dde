"""One run of the demo from the first server to the last line of output."""

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
from demo.processes.records import read_roster
from demo.processes.supervisor import ROSTER_NAME, Supervisor, end_recorded
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
    """What the user asks for.

    Attributes:
        state_dir: Where data, logs and the record of processes are.
        dags_folder: Where the DAG is.
        window: Which messages.
        range_documents: Documents a mapped task.
        keep: Whether all servers stay up afterwards.
        platform: What runs the DAG.
    """

    state_dir: Path
    dags_folder: Path
    window: DemoWindow
    range_documents: int
    keep: bool = False
    platform: Platform = LOCAL

    @property
    def all_sent(self) -> bool:
        """Whether this run sends every message, so that none may keep an earlier run's extraction."""
        return bool(self.conf().get("force"))

    def conf(self) -> dict[str, Any]:
        """The DAG run's parameters."""
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
        Whether everything is as it should be.

    Raises:
        DemoError: A server did not come up, or the demo is running already.
    """
    started = time.monotonic()
    options.platform.require()
    _make_room(options.state_dir, console)
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
    """Remove what no later demo uses, unless servers were left running."""
    if not read_roster(state_dir / ROSTER_NAME).running:
        remove_cluster(state_dir)


def _make_room(state_dir: Path, console: Console) -> None:
    """End what an earlier run has left running, but not one that somebody is watching."""
    roster = read_roster(state_dir / ROSTER_NAME)
    if roster.owner is not None and roster.owned:
        raise DemoError(
            f"the demo is running already (process {roster.owner.pid}): "
            "wait for it, or end it by `make demo-down`"
        )
    if roster.running:
        console.print("Ending the demo that an earlier run has left running; its data stay.")
        end_recorded(state_dir / ROSTER_NAME)


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
        watcher.look()

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
        findings=watcher.findings(instances),
        command=options.platform.command,
    )
