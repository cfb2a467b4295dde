"""Following one run of the DAG until it ends."""

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
        dag_id: The DAG.
        dag_run_id: Airflow's name of the run.
    """

    dag_id: str
    dag_run_id: str

    @property
    def run_id(self) -> str:
        """The engine's name of the run."""
        return f"{self.dag_id}/{self.dag_run_id}"


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a run is, in documents."""

    planned: int = 0
    committed: int = 0
    retries: int = 0
    dead_lettered: int = 0

    def note(self, elapsed_s: float) -> str:
        """A line about it."""
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
        standing = read_standing(database, run.run_id)
        step.update(standing.note(clock() - started), done=standing.committed, total=standing.planned)
        if state in FINAL_STATES:
            return state
        sleep(_INTERVAL_S)


def read_standing(database: Database[Document], run_id: str) -> Standing:
    """How far the run is, from its plan and its checkpoints."""
    plan = database[PLANS].find_one({"run_id": run_id}, {"documents": 1})
    if plan is None:
        return Standing()
    names = ("written", "unchanged", "dead_lettered", "retries")
    sums = {name: {"$sum": f"${name}"} for name in names}
    pipeline: list[Document] = [{"$match": {"run_id": run_id}}, {"$group": {"_id": None, **sums}}]
    found = next(iter(database[CHECKPOINTS].aggregate(pipeline)), dict.fromkeys(names, 0))
    committed = found["written"] + found["unchanged"] + found["dead_lettered"]
    return Standing(int(plan["documents"] or 0), committed, found["retries"], found["dead_lettered"])
