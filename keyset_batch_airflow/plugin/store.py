"""Reads a run's plan and checkpoints from MongoDB, within three seconds. Only the API server imports it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pymongo
from airflow.exceptions import AirflowConfigException
from airflow.models.connection import Connection
from airflow.providers.mongo.hooks.mongo import MongoHook
from airflow.sdk.exceptions import AirflowNotFoundException

from engine.errors import ConfigError, SourceError
from engine.mongo.calls import named, translating
from engine.mongo.error_classes import answer_of
from keyset_batch_airflow.plugin.progress import COUNTED

TIMEOUT_S = 3.0
"""Time for everything that one request reads. People wait for it, and so does a thread of the API server."""

PLAN_FIELDS = ("run_id", "ranges.range_id", "ranges.label", "ranges.expected", "ranges.about")
REPORT_FIELDS = ("report.status", "report.reconciled", "report.problems", "report.notes")
_OF_ATTEMPTS = ("status", "attempts", "active_s", "started_at", "updated_at", "problem", "notes")
RANGE_FIELDS = ("range_id", "dead_letter_reasons", *_OF_ATTEMPTS, *COUNTED)
"""The fields that are read. A checkpoint has more, such as keys of documents, which must not be shown."""

Document = dict[str, Any]


class NotReadableError(Exception):
    """The plan and checkpoints of a run cannot be read. The message is for people, and names no address."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run keeps its plan and its checkpoints.

    Attributes:
        conn_id: Connection of type mongo.
    """

    conn_id: str
    database: str
    plans: str
    checkpoints: str


def place_of(params: Mapping[str, Any]) -> Place | None:
    """The place that the params of a run name; None if they name none, so that it is no run of the engine.

    As on the workers, `ENGINE_PLANS_COLLECTION` and `ENGINE_CHECKPOINTS_COLLECTION` name other collections.
    """
    conn_id = params.get("target_conn_id") or params.get("mongo_conn_id")
    database = params.get("target_database") or params.get("database")
    if not isinstance(conn_id, str) or not isinstance(database, str):
        return None
    plans = os.environ.get("ENGINE_PLANS_COLLECTION", "engine_plans")
    checkpoints = os.environ.get("ENGINE_CHECKPOINTS_COLLECTION", "engine_checkpoints")
    return Place(conn_id, database, plans, checkpoints)


def read_run(place: Place, run_id: str) -> tuple[Document | None, list[Document]]:
    """The plan of a run and the checkpoints of its ranges. The plan is None until it is made.

    Raises:
        NotReadableError: there is no such Connection, or MongoDB refuses or does not answer in time.
    """
    try:
        with translating("the run"):
            return _read(place, run_id)
    except (AirflowNotFoundException, AirflowConfigException, ConfigError) as error:
        raise NotReadableError(str(error)) from error
    except (SourceError, TypeError, ValueError) as error:
        raise NotReadableError(f"MongoDB of Connection {place.conn_id!r} {_problem(error)}") from error


def _read(place: Place, run_id: str) -> tuple[Document | None, list[Document]]:
    # Address, login and options are those that the tasks use; the time limit is shorter.
    with _ServerHook(place.conn_id).get_conn() as client, pymongo.timeout(TIMEOUT_S):
        database = named(client, place.database)
        plan = named(database, place.plans).find_one({"_id": run_id}, [*PLAN_FIELDS, *REPORT_FIELDS])
        mine = {"_id": {"$regex": f"^{re.escape(run_id)}/"}, "run_id": run_id}
        return plan, list(named(database, place.checkpoints).find(mine, RANGE_FIELDS))


def _problem(error: Exception) -> str:
    """What is wrong, in words without the address, which the driver's message may hold."""
    cause = error.__cause__ or error
    if (code := getattr(error, "code", None)) is not None:
        return f"refuses: {answer_of(cause).get('codeName', f'code {code}')}"
    within = f"cannot be reached from the API server within {TIMEOUT_S:.0f} s"
    return f"{within} ({type(cause).__name__})"


class _ServerHook(MongoHook):
    """The provider's hook; the Connection is looked up as in the API server, not as in a task."""

    @classmethod
    def get_connection(cls, conn_id: str) -> Any:
        return Connection.get_connection_from_secrets(conn_id)
