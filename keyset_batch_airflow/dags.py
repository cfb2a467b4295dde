"""The DAGs of this project, for any collection: call a function of this module in a file of your DAGs folder.

    from airflow_factory import backfill_dag

    backfill_dag("reviews_backfill", database="shop", collection="reviews", service_format="presidio")

Each takes the DAG's id and, by name, other defaults of the DAG's params (`ner_params`), connections among
them. Parsing imports neither the engine nor a driver: tasks do. `docs/dags.md` explains the rest.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from keyset_batch_airflow import params
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import (
    DAG,
    Asset,
    CronDataIntervalTimetable,
    ExceptionRetryPolicy,
    RetryAction,
    RetryRule,
    TriggerRule,
)
from airflow.sdk.bases.decorator import DecoratedOperator, task_decorator_factory
from keyset_batch_airflow.errors import ServiceOutage

POOL = "extract_pool"
"""Bounds how many tasks call the service at once; it must exist."""

RETRY_DELAY_S = float(os.environ.get("NER_RETRY_DELAY_S", "30"))
OUTAGE_DELAY_S = float(os.environ.get("NER_OUTAGE_DELAY_S", "900"))
TASK_TIMEOUT_S = float(os.environ.get("NER_TASK_TIMEOUT_S", "7200"))
DEADLINE_S = TASK_TIMEOUT_S - min(60.0, TASK_TIMEOUT_S / 10)
"""A task stops by itself, its checkpoint saved, before Airflow would stop it."""

OWNER = os.environ.get("NER_OWNER", "airflow")
OWNER_LINK = os.environ.get("NER_OWNER_LINK")
"""Who answers for the DAGs, and where: a `https:` or `mailto:` address that the owner's name leads to."""

CALLS_SERVICE = {
    "execution_timeout": timedelta(seconds=TASK_TIMEOUT_S),
    "retry_policy": ExceptionRetryPolicy(
        [
            RetryRule(
                ServiceOutage,
                RetryAction.RETRY,
                timedelta(seconds=OUTAGE_DELAY_S),
                "the service is down: it gets some time",
            )
        ]
    ),
}
"""Of tasks that call the service. What a retry cannot change fails at once, by `AirflowFailException`."""


def backfill_dag(
    dag_id: str,
    *,
    pool: str = POOL,
    outlets: Sequence[Asset] = (),
    dag_args: Mapping[str, Any] | None = None,
    **defaults: Any,
) -> DAG:
    """A DAG that takes a window, or everything, when it is triggered.

    Args:
        pool: whose slots bound the tasks that call the service at once.
        outlets: Assets that a run which succeeded updates.
        dag_args: more arguments of the DAG: `doc_md`, `tags`, `owner_links`, `default_args` and the like.
        defaults: of the DAG's params.
    """
    groups = [params.WINDOW, *params.EXTRACTION, params.PLANNING, *params.COMMON]
    description = "Named entities of a MongoDB collection, range by range, with proof that nothing was lost"
    with _dag(dag_id, description, groups, defaults, dag_args) as dag:
        _extraction(pool, outlets)
    return dag


def incremental_dag(
    dag_id: str,
    *,
    start_date: datetime,
    cron: str = "@daily",
    timezone: str = "UTC",
    lookback: timedelta = timedelta(days=1),
    pool: str = POOL,
    outlets: Sequence[Asset] | None = None,
    dag_args: Mapping[str, Any] | None = None,
    **defaults: Any,
) -> DAG:
    """A DAG that takes what is new, a data interval a run; intervals that were missed are caught up.

    It is paused until somebody unpauses it, for then it catches up from `start_date`.

    Args:
        start_date: of the first interval: where a backfill ended.
        cron: when intervals begin and end, in `timezone`.
        lookback: how much of the time before its interval a run takes too, for documents that came late.
        outlets: Assets that a run which succeeded updates; by default `<database>.<collection>_entities`.

    Others are those of `backfill_dag`.
    """
    groups = [params.WINDOW, params.LOOKBACK, *params.EXTRACTION, params.PLANNING, *params.COMMON]
    defaults = {"lookback_hours": lookback / timedelta(hours=1), **defaults}
    schedule = {
        "schedule": CronDataIntervalTimetable(cron, timezone=timezone),
        "start_date": start_date,
        "catchup": True,
        "is_paused_upon_creation": True,
    }
    description = "Named entities of what is new in a MongoDB collection, an interval a run"
    with _dag(dag_id, description, groups, defaults, {**schedule, **(dag_args or {})}) as dag:
        _extraction(pool, [entities_asset(dag)] if outlets is None else outlets)
    return dag


def entities_asset(dag: DAG) -> Asset:
    """The Asset of what a DAG writes by default: `<database>.<collection>_entities`."""
    chosen = dag.params
    return Asset(
        f"{chosen['target_database'] or chosen['database']}.{chosen['collection']}_entities", group="ner"
    )


def replay_dag(
    dag_id: str,
    *,
    pool: str = POOL,
    outlets: Sequence[Asset] = (),
    dag_args: Mapping[str, Any] | None = None,
    **defaults: Any,
) -> DAG:
    """A DAG that runs dead letters again, all or some, when it is triggered. Args as of `backfill_dag`."""
    groups = [params.WINDOW, params.LETTERS, *params.EXTRACTION, *params.COMMON]
    description = "Dead letters of a MongoDB collection, run again; what succeeds is resolved"
    with _dag(dag_id, description, groups, defaults, dag_args) as dag:
        replay.override(pool=pool, outlets=list(outlets))(DEADLINE_S)
    return dag


def verify_dag(
    dag_id: str,
    *,
    start_date: datetime | None = None,
    cron: str | None = None,
    timezone: str = "UTC",
    lookback: timedelta = timedelta(0),
    pool: str = POOL,
    dag_args: Mapping[str, Any] | None = None,
    **defaults: Any,
) -> DAG:
    """A DAG that looks for documents of a window without a result, and fails while there are any.

    Args:
        cron: when it runs by itself; then, without a window of its own, a run takes its data interval and the
            `lookback` before it. By default it is triggered.

    Others are those of `incremental_dag`.
    """
    groups = [params.WINDOW, params.REPAIR, *params.EXTRACTION, *params.COMMON]
    schedule: dict[str, Any] = {}
    if cron:
        groups.insert(1, params.LOOKBACK)
        defaults = {"lookback_hours": lookback / timedelta(hours=1), **defaults}
        timetable = CronDataIntervalTimetable(cron, timezone=timezone)
        schedule = {"schedule": timetable, "start_date": start_date}
    description = "Looks for documents of a MongoDB collection without a result, and repairs"
    with _dag(dag_id, description, groups, defaults, {**schedule, **(dag_args or {})}) as dag:
        found = find()
        conclude(found, repair.override(pool=pool)(found, DEADLINE_S))
    return dag


def _dag(
    dag_id: str,
    description: str,
    groups: Sequence[Mapping[str, Any]],
    defaults: Mapping[str, Any],
    dag_args: Mapping[str, Any] | None,
) -> DAG:
    """One run at a time: the next one finds what it has done. The caller's arguments win."""
    more = dict(dag_args or {})
    usual = {"owner": OWNER, "retries": 3, "retry_delay": timedelta(seconds=RETRY_DELAY_S)}
    arguments: dict[str, Any] = {
        "description": description,
        "catchup": False,
        "max_active_runs": 1,
        "params": params.params_of(groups, defaults),
        "tags": ["ner", "mongodb"],
        "owner_links": {OWNER: OWNER_LINK} if OWNER_LINK else {},
        "default_args": {**usual, **more.pop("default_args", {})},
    }
    return DAG(dag_id, schedule=more.pop("schedule", None), **{**arguments, **more})


def _extraction(pool: str, outlets: Sequence[Asset]) -> None:
    """Three tasks: plan, one mapped task a range, and the proof."""
    planned = plan()
    reports = run_range.override(pool=pool).partial(deadline_s=DEADLINE_S).expand(key_range=planned)
    summarize.override(outlets=list(outlets))(planned, reports)


# --- tasks: what they do is in `extract_glue`, which the DAG processor never imports ---


class ExtractionOperator(DecoratedOperator, PythonOperator):
    """What `@task` makes, under a name of its own, by which the plugin knows what to link to its views."""

    custom_operator_name = "@task"

    def __init__(self, *, python_callable: Any, op_args: Any, op_kwargs: Any, **kwargs: Any) -> None:
        called = {"python_callable": python_callable, "op_args": op_args, "op_kwargs": op_kwargs}
        super().__init__(kwargs_to_upstream=called, **called, **kwargs)


task = partial(task_decorator_factory, decorated_operator_class=ExtractionOperator)


@task(
    doc_md="Splits the window into ranges of keys. A retry finds the plan that is kept, and changes nothing."
)
def plan() -> list[dict[str, Any]]:
    """The ranges of this run, each with a label for people."""
    from keyset_batch_airflow import tasks

    return tasks.plan()


@task(
    **CALLS_SERVICE,
    map_index_template="{{ task.op_kwargs['key_range']['label'] }}",
    doc_md="Runs one range from its checkpoint to its end. A retry goes on where it stopped.",
)
def run_range(key_range: dict[str, Any], deadline_s: float) -> dict[str, Any]:
    """One range; its report."""
    from keyset_batch_airflow import tasks

    return tasks.run_range(key_range, deadline_s)


@task(
    trigger_rule=TriggerRule.ALL_DONE,
    doc_md="Proves that nothing was lost, or fails with the reasons: see the table in its log.",
)
def summarize(planned: list[dict[str, Any]] | None, reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The run's numbers."""
    from keyset_batch_airflow import tasks

    return tasks.summarize(planned, reports)


@task(
    **CALLS_SERVICE,
    doc_md="Sends the documents of unresolved dead letters again. A retry takes those that are left.",
)
def replay(deadline_s: float) -> dict[str, Any]:
    """The replay's numbers."""
    from keyset_batch_airflow import tasks

    return tasks.replay(deadline_s)


@task(doc_md="Looks for documents of the window that have neither a result nor an unresolved dead letter.")
def find() -> dict[str, Any]:
    """What was found."""
    from keyset_batch_airflow import tasks

    return tasks.find()


@task(**CALLS_SERVICE, doc_md="Sends exactly the missing documents, if the param *Repair* says so.")
def repair(found: dict[str, Any], deadline_s: float) -> dict[str, Any]:
    """The repair's numbers."""
    from keyset_batch_airflow import tasks

    return tasks.repair(found, deadline_s)


@task(
    trigger_rule=TriggerRule.ALL_DONE,
    doc_md="Fails while a document is missing; after a repair it looks again. See the numbers in its log.",
)
def conclude(found: dict[str, Any] | None, repaired: dict[str, Any] | None) -> dict[str, Any]:
    """What is known of the window in the end."""
    from keyset_batch_airflow import tasks

    return tasks.conclude(found, repaired)
