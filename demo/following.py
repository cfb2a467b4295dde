"""Shows the progress of one run of the DAG until it ends."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pymongo.database import Database

from demo.display import Step
from demo.servers.airflow_api import FINAL_STATES, AirflowApi

PLANS = "engine_plans"
CHECKPOINTS = "engine_checkpoints"
_INTERVAL_S = 1.0

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class DagRun:
    """One run of a DAG.

    Attributes:
        dag_id: The id of the DAG.
        dag_run_id: Airflow's id of the run.
    """

    dag_id: str
    dag_run_id: str

    @property
    def run_id(self) -> str:
        """The engine's id of the run."""
        return f"{self.dag_id}/{self.dag_run_id}"


@dataclass(frozen=True, slots=True)
class RunProgress:
    """How far a run has come, in documents."""

    planned: int = 0
    committed: int = 0
    retries: int = 0
    dead_lettered: int = 0

    def note(self, elapsed_s: float) -> str:
        """The progress in one line."""
        if not self.planned:
            return "planning"
        rate = self.committed / elapsed_s if elapsed_s > 0 else 0.0
        return (
            f"{self.committed:,} of {self.planned:,} messages, {rate:,.0f}/s, "
            f"{self.retries} retries, {self.dead_lettered} dead letters"
        )


def follow(
    run: DagRun,
    api: AirflowApi,
    database: Database[Document],
    step: Step,
    *,
    check: Callable[[], object],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> str:
    """Show a run's progress until it ends.

    Returns:
        Its final state, `success` or `failed`.
    """
    started = clock()
    while True:
        check()
        state = api.run_state(run.dag_id, run.dag_run_id)
        progress = read_progress(database, run.run_id)
        step.update(progress.note(clock() - started), done=progress.committed, total=progress.planned)
        if state in FINAL_STATES:
            return state
        sleep(_INTERVAL_S)


def read_progress(database: Database[Document], run_id: str) -> RunProgress:
    """Read the progress of a run from its plan and its checkpoints."""
    plan = database[PLANS].find_one({"run_id": run_id}, {"documents": 1})
    if plan is None:
        return RunProgress()
    names = ("written", "unchanged", "dead_lettered", "retries")
    sums = {name: {"$sum": f"${name}"} for name in names}
    pipeline: list[Document] = [{"$match": {"run_id": run_id}}, {"$group": {"_id": None, **sums}}]
    found = next(iter(database[CHECKPOINTS].aggregate(pipeline)), dict.fromkeys(names, 0))
    committed = found["written"] + found["unchanged"] + found["dead_lettered"]
    return RunProgress(int(plan["documents"] or 0), committed, found["retries"], found["dead_lettered"])
