"""What a task of a DAG run works on: its settings, its window, its share of the service, its collections."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from airflow.sdk import get_current_context
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import AirflowFailException, AirflowNotFoundException

from engine.errors import ConfigError, EngineError, PlanError, TooManyDeadLetters
from engine.keys.window import Window
from engine.settings import Settings
from engine.settings.tuning import Tuning
from keyset_batch_airflow.params import SETTINGS
from keyset_batch_airflow.params.window import window_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """What one task of a DAG run works on.

    Attributes:
        params: the params of the DAG run.
        source: Motor collection of the documents.
        target: Motor database of the results.
    """

    params: Mapping[str, Any]
    window: Window
    settings: Settings
    source: Any
    target: Any

    @property
    def places(self) -> dict[str, Any]:
        """Source, target and settings, as the engine's functions take them by name."""
        return {"source": self.source, "target": self.target, "settings": self.settings}

    def extractor(self) -> Any:
        """The NER service that the params name."""
        from keyset_batch_airflow.connections import extractor_of

        return extractor_of(self.params, self.settings)


@contextmanager
def current_job(*, calls_service: bool = False, **settings: Any) -> Iterator[Job]:
    """The job of the task that runs now; its MongoDB clients are closed at the end.

    Args:
        calls_service: True for a task that sends texts: its requests in flight are then limited to its share
            of the service's capacity.
        settings: settings of the engine that no param gives, such as `deadline_s`.

    Raises:
        AirflowFailException: a param, a Connection or a permission is wrong. The task fails at once, since a
            retry would not change that.
    """
    from engine.mongo.calls import named
    from engine.mongo.clients import close
    from engine.mongo.privileges import explained
    from keyset_batch_airflow.connections import mongo_client

    context = get_current_context()
    params = context["params"]
    clients = []
    try:
        if calls_service:
            settings["max_concurrency"] = share_of(params, context["task"].pool)
        run_id = f"{context['dag'].dag_id}/{context['dag_run'].run_id}"
        chosen = settings_of(params, run_id=run_id, **settings)
        clients = [mongo_client(name) for name in _mongo_conn_ids(params)]
        source = named(named(clients[0], params["database"]), params["collection"])
        target = named(clients[-1], params["target_database"] or params["database"])
        yield Job(params, window_of(params, context["dag_run"]), chosen, source, target)
    except (ConfigError, PlanError, TooManyDeadLetters, AirflowNotFoundException) as error:
        raise AirflowFailException(str(error)) from error
    except EngineError as error:
        if (refusal := explained(error)) is not None:
            raise AirflowFailException(refusal) from error
        raise
    finally:
        close(*clients)


def _mongo_conn_ids(params: Mapping[str, Any]) -> list[str]:
    """The Connection of the documents and that of the results; one item if they are the same."""
    return list(dict.fromkeys([params["mongo_conn_id"], params["target_conn_id"] or params["mongo_conn_id"]]))


def settings_of(params: Mapping[str, Any], **more: Any) -> Settings:
    """The engine's settings: from the params, from `more`, and the rest from the worker's `ENGINE_...`.

    `max_ranges` is lowered to Airflow's `max_map_length`: Airflow refuses to map a longer list, and would do
    so only after everything is planned.
    """
    chosen = {name: params[name] for name in SETTINGS if name in params}
    if "max_ranges" in chosen:
        chosen["max_ranges"] = min(chosen["max_ranges"], conf.getint("core", "max_map_length"))
    chosen["tuning"] = {name: params[name] for name in Tuning.model_fields if name in params}
    return Settings.from_environment(**{**chosen, **more})


def share_of(params: Mapping[str, Any], pool: str) -> int:
    """The most requests in flight of one task: its share of the service's capacity, if that is given.

    At most as many tasks call the service at once as the pool has slots, whatever runs or DAGs they belong
    to. So `service_capacity / slots` for each task keeps all of them together within the capacity.

    Raises:
        ConfigError: the capacity is less than one request a slot, or Airflow does not tell the pool's slots.
    """
    most, capacity = int(params["max_concurrency"]), params["service_capacity"]
    if capacity is None:
        log.info("at most %s requests in flight in each task of pool %s", most, pool)
        return most
    slots = params["pool_slots"] or _slots_of(pool, params["airflow_conn_id"])
    if slots < 1 or capacity < slots:
        raise ConfigError(
            f"service_capacity {capacity} leaves no request for each of the {slots} slots of pool {pool!r}: "
            "give the pool fewer slots (at least 1, for -1 is without bound), or the service more capacity"
        )
    share: int = min(most, capacity // slots)
    log.info(
        "at most %s requests in flight: service_capacity %s over %s slots of pool %s, max_concurrency %s",
        share,
        capacity,
        slots,
        pool,
        most,
    )
    return share


def _slots_of(pool: str, conn_id: str) -> int:
    from keyset_batch_airflow.connections import pool_slots

    return pool_slots(conn_id, pool)
