"""The DAGs of this project, for any collection: call one of these functions in a file of your DAGs folder.

    from keyset_batch_airflow import backfill_dag

    backfill_dag("reviews_backfill", database="shop", collection="reviews", service_format="presidio")

Each function takes the DAG's id and, by name, other defaults for the params of the DAG (see `params/`), the
Connections among them. For a DAG with tasks of your own, use `extraction_dag` and the tasks of `tasks.py`.
`docs/dags.md` explains the rest.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import DAG, Asset, CronDataIntervalTimetable

from keyset_batch_airflow import params, tasks
from keyset_batch_airflow.tasks import DEADLINE_S, POOL

RETRY_DELAY_S = float(os.environ.get("NER_RETRY_DELAY_S", "30"))

OWNER = os.environ.get("NER_OWNER", "airflow")
"""Who is responsible for the DAGs."""

OWNER_LINK = os.environ.get("NER_OWNER_LINK")
"""A `https:` or `mailto:` address; in the list of DAGs the owner's name links to it."""


def extraction_dag(
    dag_id: str,
    *,
    groups: Sequence[params.Group] = params.BACKFILL,
    dag_args: Mapping[str, Any] | None = None,
    **defaults: Any,
) -> DAG:
    """An empty DAG with the params that the tasks of this package read; add the tasks in a `with` block.

        with extraction_dag("reviews", database="shop", collection="reviews"):
            planned = plan()
            reports = run_range.partial().expand(key_range=planned)
            summarize(planned, reports)

    By default one run is active at a time: the next run then finds what this one has done.

    Args:
        groups: the params of the DAG: `params.BACKFILL` or another list of `params`, or your own.
        dag_args: more arguments of the DAG, such as `schedule`, `doc_md`, `tags`, `owner_links` or
            `default_args`. They win over the arguments that are set here.
        defaults: other defaults for the params.

    Raises:
        ValueError: a default is given for a name that is not a param.
        ParamValidationError: a param does not allow its default.
    """
    more = dict(dag_args or {})
    usual = {"owner": OWNER, "retries": 3, "retry_delay": timedelta(seconds=RETRY_DELAY_S)}
    arguments: dict[str, Any] = {
        "description": "Named entities of a MongoDB collection, range by range; fails if anything is lost",
        "catchup": False,
        "max_active_runs": 1,
        "params": params.params_of(groups, defaults),
        "tags": ["ner", "mongodb"],
        "owner_links": {OWNER: OWNER_LINK} if OWNER_LINK else {},
        "default_args": {**usual, **more.pop("default_args", {})},
    }
    return DAG(dag_id, schedule=more.pop("schedule", None), **{**arguments, **more})


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
        pool: the pool of the tasks that call the service; its slots limit how many do so at once.
        outlets: Assets that a run updates when it succeeds.
        dag_args: more arguments of the DAG: `doc_md`, `tags`, `owner_links`, `default_args` and the like.
        defaults: other defaults for the params of the DAG.
    """
    with extraction_dag(dag_id, dag_args=dag_args, **defaults) as dag:
        _extract(pool, outlets)
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
    """A DAG for new documents: each run processes one data interval, and missed intervals are caught up.

    It is paused at first, because once unpaused it catches up from `start_date`.

    Args:
        start_date: the start of the first interval: the end of your backfill.
        cron: when intervals begin and end, in `timezone`.
        lookback: how much of the time before its interval a run takes too, for documents that came late.
        outlets: Assets that a run updates when it succeeds; by default `<database>.<collection>_entities`.

    The other arguments are those of `backfill_dag`.
    """
    usual = {
        "description": "Named entities of what is new in a MongoDB collection, one data interval a run",
        "schedule": CronDataIntervalTimetable(cron, timezone=timezone),
        "start_date": start_date,
        "catchup": True,
        "is_paused_upon_creation": True,
    }
    defaults = {"lookback_hours": lookback / timedelta(hours=1), **defaults}
    arguments = {**usual, **(dag_args or {})}
    with extraction_dag(dag_id, groups=params.INCREMENTAL, dag_args=arguments, **defaults) as dag:
        _extract(pool, [entities_asset(dag)] if outlets is None else outlets)
    return dag


def entities_asset(dag: DAG) -> Asset:
    """The Asset for the results of a DAG with its default params: `<database>.<collection>_entities`."""
    chosen = dag.params
    return Asset(
        f"{chosen['target_database'] or chosen['database']}.{chosen['collection']}_entities", group="ner"
    )


def _extract(pool: str, outlets: Sequence[Asset]) -> None:
    """Three tasks: the plan, one mapped task for each range, and the check of the whole run."""
    planned = tasks.plan()
    reports = tasks.run_range.override(pool=pool).partial(deadline_s=DEADLINE_S).expand(key_range=planned)
    tasks.summarize.override(outlets=list(outlets))(planned, reports)


def replay_dag(
    dag_id: str,
    *,
    pool: str = POOL,
    outlets: Sequence[Asset] = (),
    dag_args: Mapping[str, Any] | None = None,
    **defaults: Any,
) -> DAG:
    """A DAG that sends the documents of dead letters again, all or some, when it is triggered.

    The arguments are those of `backfill_dag`.
    """
    usual = {"description": "Sends the dead letters of a MongoDB collection again; what succeeds is resolved"}
    arguments = {**usual, **(dag_args or {})}
    with extraction_dag(dag_id, groups=params.REPLAY, dag_args=arguments, **defaults) as dag:
        tasks.replay.override(pool=pool, outlets=list(outlets))(DEADLINE_S)
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
        cron: when the DAG runs by itself; by default it only runs when it is triggered. A run without *Start*
            and *End* then takes its data interval and the `lookback` before it.

    The other arguments are those of `incremental_dag`.
    """
    usual: dict[str, Any] = {
        "description": "Looks for documents of a MongoDB collection without a result, and repairs"
    }
    groups: Sequence[params.Group] = params.VERIFY
    if cron:
        groups = params.SCHEDULED_VERIFY
        defaults = {"lookback_hours": lookback / timedelta(hours=1), **defaults}
        usual["schedule"] = CronDataIntervalTimetable(cron, timezone=timezone)
        usual["start_date"] = start_date
    with extraction_dag(dag_id, groups=groups, dag_args={**usual, **(dag_args or {})}, **defaults) as dag:
        found = tasks.find()
        tasks.conclude(found, tasks.repair.override(pool=pool)(found, DEADLINE_S))
    return dag
