"""Params become Settings, a Window, and a task's share of the service. Only tasks import this."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow.sdk.configuration import conf
from keyset_batch_airflow.connections import pool_slots

from engine import ConfigError, Settings, Window

log = logging.getLogger(__name__)

SETTINGS = (
    "order_field",
    "order_type",
    "text_field",
    "filter",
    "strategy",
    "range_documents",
    "max_ranges",
    "max_concurrency",
    "batch_texts",
    "max_dead_letters",
    "extractor_name",
    "extractor_version",
    "force",
    "report_entities",
)
"""The params that are settings of the engine under the same name."""


def settings_of(params: Mapping[str, Any], **more: Any) -> Settings:
    """The engine's settings from the params; those not among them come from the worker's `ENGINE_...`.

    A plan has no more ranges than Airflow maps tasks: it refuses a longer list, once all is planned.
    """
    chosen = {name: params[name] for name in SETTINGS if name in params}
    if "max_ranges" in chosen:
        chosen["max_ranges"] = min(chosen["max_ranges"], conf.getint("core", "max_map_length"))
    return Settings(**{**chosen, **more})


def window_of(params: Mapping[str, Any], dag_run: Any) -> Window:
    """The window of the params; without one, where a DAG has a lookback, that of the run's data interval.

    The ends come as text, also where the order is by numbers.

    Raises:
        ConfigError: the run has no data interval, or an empty one.
    """
    ends = (params["start"], params["end"])
    if "lookback_hours" in params and not any(ends):
        return _interval(dag_run, timedelta(hours=params["lookback_hours"]))
    return Window(*(_number(end) for end in ends) if params["order_type"] == "number" else ends)


def _interval(dag_run: Any, lookback: timedelta) -> Window:
    start, end = dag_run.data_interval_start, dag_run.data_interval_end
    if start is None or start == end:
        raise ConfigError(
            "this run has no data interval: give start and end, or trigger it with a logical date; the DAG's "
            "schedule must be a data interval timetable"
        )
    return Window(start - lookback, end)


def _number(end: str | None) -> Any:
    try:
        return json.loads(end) if end else None
    except ValueError:
        return end  # the engine says what is wrong with it


def share_of(params: Mapping[str, Any], pool: str) -> int:
    """The most requests in flight of one task: its share of the service's capacity, if that is given.

    As many tasks call the service at once as the pool has slots, whatever runs or DAGs they belong to, so
    `service_capacity / slots` for each keeps all of them together within it.

    Raises:
        ConfigError: the capacity is less than a request a slot, or the pool's slots are not known.
    """
    most, capacity = int(params["max_concurrency"]), params["service_capacity"]
    if capacity is None:
        log.info("at most %s requests in flight in each task of pool %s", most, pool)
        return most
    slots = params["pool_slots"] or pool_slots(params["airflow_conn_id"], pool)
    if slots < 1 or capacity < slots:
        raise ConfigError(
            f"service_capacity {capacity} leaves no request for each of the {slots} slots of pool {pool!r}: "
            "give the pool fewer slots (at least 1, for -1 is without bound), or the service more capacity"
        )
    share = min(most, capacity // slots)
    log.info(
        "at most %s requests in flight: service_capacity %s over %s slots of pool %s, max_concurrency %s",
        share,
        capacity,
        slots,
        pool,
        most,
    )
    return share
