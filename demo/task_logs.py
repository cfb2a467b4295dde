"""Finds and shortens the logs of Airflow's tasks."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from demo.following import DagRun


def first_failure(home: Path, run: DagRun, instances: Sequence[dict[str, Any]]) -> Path | None:
    """Find the latest log of the first task instance that failed itself; None if none failed."""
    failed = [instance for instance in instances if instance["state"] == "failed"]
    if not failed:
        return None
    earliest = min(failed, key=lambda instance: instance["end_date"] or "")
    folder = home / "logs" / f"dag_id={run.dag_id}" / f"run_id={run.dag_run_id}"
    task = folder / f"task_id={earliest['task_id']}"
    index = earliest["map_index"]
    place = task if index < 0 else task / f"map_index={index}"
    logs = sorted(place.glob("attempt=*.log"), key=lambda log: log.stat().st_mtime)
    return logs[-1] if logs else None


def render_line(line: str) -> str:
    """Shorten a line of a task's log to its time, level, event and exceptions."""
    try:
        entry = json.loads(line)
    except ValueError:
        return line
    if not isinstance(entry, dict):
        return line
    words = [str(entry.get(name, "")) for name in ("timestamp", "level", "event")]
    errors = [f"{error['exc_type']}: {error['exc_value']}" for error in entry.get("error_detail") or ()]
    return " ".join([*words, *errors]).strip()
