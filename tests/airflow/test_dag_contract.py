"""The DAGs, their tasks and their params are those listed in `dag_contract.json`."""

from __future__ import annotations

from pathlib import Path

from tests.support.listing import check

LISTED = Path(__file__).with_name("dag_contract.json")

WORDS = {"description", "title", "section", "values_display"}
"""The parts of a param's schema that are words for people."""


def test_the_dags_are_as_listed(dags, tmp_path):
    """The list holds each DAG, each task, and each param with its default and schema, and nothing else."""
    check(LISTED, {dag_id: described(dag) for dag_id, dag in dags.items()}, tmp_path)


def described(dag):
    """The properties of a DAG on which those who trigger, schedule, monitor or follow it rely."""
    return {
        "schedule": schedule_described(dag.timetable),
        "first interval": str(dag.start_date),
        "catchup": dag.catchup,
        "paused at first": dag.is_paused_upon_creation,
        "runs at once": dag.max_active_runs,
        "tags": sorted(dag.tags),
        "tasks": {task.task_id: task_described(task) for task in dag.tasks},
        "params in the order of the form": list(dag.params),
        "params": {name: param_described(dag.params.get_param(name)) for name in dag.params},
    }


def schedule_described(timetable):
    """The class of the timetable, and for a cron timetable its expression and time zone."""
    expression, timezone = (getattr(timetable, name, None) for name in ("expression", "timezone"))
    return [type(timetable).__name__, *([expression, str(timezone)] if expression else [])]


def task_described(task):
    """How a task runs, and which tasks follow it."""
    return {
        "pool": task.pool,
        "trigger rule": task.trigger_rule.value,
        "mapped": task.is_mapped,
        "retries": task.retries,
        "downstream": sorted(task.downstream_task_ids),
        "assets": sorted(asset.name for asset in task.outlets),
    }


def param_described(param):
    """The default of a param, and its schema."""
    schema = {name: value for name, value in param.schema.items() if name not in WORDS}
    return {"default": param.value, "schema": schema}
