"""The DAGs of this project, for any collection: call a function of this module in a file of your DAGs folder.

    from airflow_factory import backfill_dag

    backfill_dag("reviews_backfill", database="shop", collection="reviews", service_format="presidio")

Each takes the DAG's id and, by name, other defaults of the DAG's params (`ner_params`), connections among
them. Parsing imports neither the engine nor a driver: tasks do. `docs/dags.md` explains the rest.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, TriggerRule, task
from ner_params import CONNECTIONS, DOCUMENTS, LIMITS, PLACES, PLANNING, SERVICE, WINDOW, params_of

POOL = "extract_pool"
"""Bounds how many tasks call the service at once; it must exist."""

RETRY_DELAY_S = float(os.environ.get("NER_RETRY_DELAY_S", "30"))
TASK_TIMEOUT_S = float(os.environ.get("NER_TASK_TIMEOUT_S", "7200"))
DEADLINE_S = TASK_TIMEOUT_S - min(60.0, TASK_TIMEOUT_S / 10)
"""A range stops by itself, its checkpoint saved, before Airflow would stop it."""


def backfill_dag(
    dag_id: str,
    *,
    pool: str = POOL,
    doc_md: str | None = None,
    tags: Sequence[str] = (),
    dag_args: Mapping[str, Any] | None = None,
    **defaults: Any,
) -> DAG:
    """A DAG that takes a window, or everything, when it is triggered.

    Args:
        pool: whose slots bound the ranges that run at once.
        doc_md: what people read in the UI.
        tags: besides `ner` and `mongodb`.
        dag_args: more arguments of the DAG: `owner_links`, `default_args`, callbacks and the like.
        defaults: of the DAG's params.
    """
    groups = [WINDOW, PLACES, DOCUMENTS, SERVICE, PLANNING, LIMITS, CONNECTIONS]
    description = "Named entities of a MongoDB collection, range by range, with proof that nothing was lost"
    with _dag(dag_id, description, params_of(groups, defaults), doc_md, tags, dag_args) as dag:
        _extraction(pool)
    return dag


def _dag(
    dag_id: str,
    description: str,
    params: Mapping[str, Any],
    doc_md: str | None,
    tags: Sequence[str],
    dag_args: Mapping[str, Any] | None,
) -> DAG:
    """One run at a time: the next one finds what it has done. The caller's arguments win."""
    more = dict(dag_args or {})
    retries = {"retries": 3, "retry_delay": timedelta(seconds=RETRY_DELAY_S)}
    arguments: dict[str, Any] = {
        "description": description,
        "catchup": False,
        "max_active_runs": 1,
        "params": params,
        "tags": ["ner", "mongodb", *tags],
        "doc_md": doc_md,
        "default_args": {**retries, **more.pop("default_args", {})},
    }
    return DAG(dag_id, schedule=more.pop("schedule", None), **{**arguments, **more})


def _extraction(pool: str) -> None:
    """Three tasks: plan, one mapped task a range, and the proof."""
    planned = plan()
    reports = run_range.override(pool=pool).partial(deadline_s=DEADLINE_S).expand(key_range=planned)
    summarize(planned, reports)


@task(
    doc_md="Splits the window into ranges of keys. A retry finds the plan that is kept, and changes nothing."
)
def plan() -> list[dict[str, Any]]:
    """The ranges of this run, each with a label for people."""
    import extract_glue

    return extract_glue.plan()


@task(
    execution_timeout=timedelta(seconds=TASK_TIMEOUT_S),
    map_index_template="{{ task.op_kwargs['key_range']['label'] }}",
    doc_md="Runs one range from its checkpoint to its end. A retry goes on where it stopped.",
)
def run_range(key_range: dict[str, Any], deadline_s: float) -> dict[str, Any]:
    """One range; its report."""
    import extract_glue

    return extract_glue.run_range(key_range, deadline_s)


@task(
    trigger_rule=TriggerRule.ALL_DONE,
    doc_md="Proves that nothing was lost, or fails with the reasons: see the table in its log.",
)
def summarize(planned: list[dict[str, Any]] | None, reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The run's numbers."""
    import extract_glue

    return extract_glue.summarize(planned, reports)
