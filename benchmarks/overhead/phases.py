"""Computes where the time of a DAG run goes, from the times that Airflow and the engine record. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from statistics import fmean
from typing import Any

MAPPED = "run_range"

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TaskTimes:
    """The times of a task instance that has succeeded, in seconds since its DAG run was requested.

    Attributes:
        queued: when the executor received it.
        began, ended: when its process began and ended, as Airflow records it; imports come after `began`.
        worked_from, worked_to: when the engine's work in it began and ended; None if no report says so.
    """

    task_id: str
    queued: float
    began: float
    ended: float
    worked_from: float | None = None
    worked_to: float | None = None


@dataclass(frozen=True, slots=True)
class Mapped:
    """How long a mapped task takes, on average.

    Attributes:
        count: the number of mapped tasks.
        queued_s: from the executor's queue to the start of its process.
        starting_s: from there until the engine begins: imports, the DAG file, Connections.
        working_s: the engine's work on the range.
        ending_s: from there to the end of the process: the report goes to XCom.
        wall_s: the time of the phase with all mapped tasks, divided by their number.
        idle_share: the share of the slots' time in that phase in which they ran no process.
    """

    count: int
    queued_s: float
    starting_s: float
    working_s: float
    ending_s: float
    wall_s: float
    idle_share: float


def tasks_of(run: Json, instances: Sequence[Json], reports: Sequence[Json]) -> list[TaskTimes]:
    """Combines the times that Airflow and the engine have recorded of the tasks of a DAG run.

    Args:
        run: the run as Airflow's API returns it, with `queued_at`.
        instances: its task instances from the API: `task_id, map_index, queued_when, start_date, end_date`.
        reports: the reports of the ranges, from the engine: `range_id, started_at, finished_at`.
    """
    asked = datetime.fromisoformat(run["queued_at"])
    work = {int(report["range_id"]): report for report in reports}

    def seconds(moment: str | None) -> float | None:
        return None if moment is None else (datetime.fromisoformat(moment) - asked).total_seconds()

    def task_of(instance: Json) -> TaskTimes:
        report = work.get(instance["map_index"], {}) if instance["task_id"] == MAPPED else {}
        noted = (instance[name] for name in ("queued_when", "start_date", "end_date"))
        worked = (report.get(name) for name in ("started_at", "finished_at"))
        return TaskTimes(instance["task_id"], *map(seconds, noted), *map(seconds, worked))  # type: ignore[arg-type]

    return [task_of(instance) for instance in instances]


def phases_of(tasks: Sequence[TaskTimes], wall_s: float) -> dict[str, float]:
    """Returns the seconds of each phase, in order; their sum is the wall time."""
    plan, summary = _only(tasks, "plan"), _only(tasks, "summarize")
    ranges = _ranges(tasks)
    moments = {
        "": 0.0,
        "run asked for, plan queued": plan.queued,
        "plan: its process comes up": plan.began,
        "plan: runs": plan.ended,
        "ranges queued, the first process comes up": min(task.began for task in ranges),
        "ranges: all of them": max(task.ended for task in ranges),
        "summarize queued, its process comes up": summary.began,
        "summarize: runs": summary.ended,
        "the run's end is noted": wall_s,
    }
    return {name: after - before for (_, before), (name, after) in pairwise(moments.items())}


def mapped_of(tasks: Sequence[TaskTimes], slots: int) -> Mapped:
    """Averages the times of the mapped tasks, for the engine's work of those that report it."""
    ranges = _ranges(tasks)
    known = [(t, t.worked_from, t.worked_to) for t in ranges if t.worked_from is not None]
    phase_s = max(task.ended for task in ranges) - min(task.began for task in ranges)
    occupied_s = sum(task.ended - task.began for task in ranges)
    return Mapped(
        count=len(ranges),
        queued_s=fmean(task.began - task.queued for task in ranges),
        starting_s=fmean(begin - task.began for task, begin, _ in known),
        working_s=fmean((end or begin) - begin for _, begin, end in known),
        ending_s=fmean(task.ended - (end or begin) for task, begin, end in known),
        wall_s=phase_s / len(ranges),
        idle_share=1 - occupied_s / (slots * phase_s),
    )


def overhead(wall_s: float, alone_s: float) -> float:
    """Returns how much longer the DAG takes than the engine alone, as a share of the engine's time."""
    return (wall_s - alone_s) / alone_s


def _only(tasks: Sequence[TaskTimes], task_id: str) -> TaskTimes:
    (task,) = (task for task in tasks if task.task_id == task_id)
    return task


def _ranges(tasks: Sequence[TaskTimes]) -> list[TaskTimes]:
    return [task for task in tasks if task.task_id == MAPPED]
