"""Glue between Airflow and the engine: Connections become clients, params Settings, errors Airflow's.

Only tasks import this, so that parsing the DAG imports neither the engine nor a driver. It lies beside the
DAG in the root of the bundle, and `.airflowignore` lists it.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import signal
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from airflow.providers.mongo.hooks.mongo import MongoHook
from airflow.sdk import Connection, get_current_context
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowNotFoundException
from airflow.sdk.log import mask_secret
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.errors import ConfigurationError, InvalidName

import engine
from engine import ConfigError, HttpExtractor, KeyRange, PlanError, Report, Settings, Status, Window
from engine.loops import loop_runner
from engine.report import COLUMNS, rows

T = TypeVar("T")

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
)
"""The params that are settings of the engine under the same name."""

SERVICE_EXTRAS = {"path", "headers", "offsets", "parameters"}


# --- the tasks ---


def plan() -> list[dict[str, Any]]:
    """Plans the run, or finds its plan; the ranges as JSON, each with its label."""
    with _job() as job:
        work = engine.plan_ranges(job.source, window_of(job.params), job.settings, target=job.target)
        made = run_to_end(work)
    log.info("%s documents in %s ranges; %s", made.documents, len(made.ranges), made.guarantee)
    for kind, count in made.outside.items():
        log.warning("%s documents are in no window: their %s is %s", count, made.order[0], kind)
    return [{**key_range.to_json(), "label": key_range.label} for key_range in made.ranges]


def run_range(key_range: Mapping[str, Any], deadline_s: float) -> dict[str, Any]:
    """Runs one range; its report as JSON.

    Raises:
        AirflowException: it was interrupted; a retry goes on from the checkpoint.
    """
    with _job(deadline_s=deadline_s) as job:
        work = engine.run_range(
            KeyRange.from_json(dict(key_range)),
            source=job.source,
            extractor=extractor_of(job.params, job.settings),
            target=job.target,
            settings=job.settings,
        )
        report = run_to_end(work)
    if report.status is not Status.SUCCEEDED:
        raise AirflowException(
            f"range {report.range_id} is {report.status} after {report.read} documents "
            f"({'; '.join(report.problems)}): the next try goes on from there"
        )
    return report.to_json()


def summarize(
    planned: Sequence[Mapping[str, Any]] | None, reports: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Reconciles the run; its numbers as JSON.

    What the checkpoints in MongoDB say counts: a task can be lost after its range was finished, and a report
    that reached Airflow proves less than the checkpoint behind it.

    Args:
        planned: the ranges; None if the plan failed, whatever plan of an earlier try may be kept.
        reports: those that reached Airflow.

    Raises:
        AirflowFailException: the run lost or failed something; the message says what.
    """
    if planned is None:
        raise AirflowFailException("the plan failed: nothing was run")
    with _job() as job:
        report = run_to_end(_conclude(job))
    log.info("%s of %s ranges reported to Airflow", len(reports[:]), report.planned_ranges)
    for line in table(report):
        log.info(line)
    if report.status is not Status.SUCCEEDED:
        raise AirflowFailException(f"run {report.run_id} {report.status}: {'; '.join(report.problems)}")
    return _summary(report)


async def _conclude(job: Job) -> Report:
    made = await engine.load_plan(job.settings.run_id or "", job.target, job.settings)
    begun = await engine.range_reports(made, job.target, job.settings)
    return await engine.conclude(made, begun, job.target, job.settings)


def _summary(report: Report) -> dict[str, Any]:
    whole = report.to_json()
    del whole["ranges"], whole["range_id"]
    return whole


def table(report: Report) -> list[str]:
    """A report in aligned lines: the columns' names, a line a range, the run."""
    cells = [COLUMNS, *rows(report)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(COLUMNS))]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]


# --- params ---


@dataclass(frozen=True)
class Job:
    """What a task of one DAG run works on.

    Attributes:
        source: Motor collection of the documents.
        target: Motor database of the results.
    """

    params: Mapping[str, Any]
    settings: Settings
    source: Any
    target: Any


@contextmanager
def _job(**settings: Any) -> Iterator[Job]:
    """The current task's job. What is wrong with it fails the task at once: a retry would not change that."""
    context = get_current_context()
    params = context["params"]
    clients = []
    try:
        run_id = f"{context['dag'].dag_id}/{context['dag_run'].run_id}"
        chosen = settings_of(params, run_id=run_id, **settings)
        clients = [mongo_client(name) for name in _mongo_conn_ids(params)]
        source, target = (
            clients[0][params["database"]],
            clients[-1][params["target_database"] or params["database"]],
        )
        yield Job(params, chosen, source[params["collection"]], target)
    except (ConfigError, PlanError, AirflowNotFoundException, InvalidName) as error:
        raise AirflowFailException(str(error)) from error
    finally:
        for client in clients:
            client.close()


def _mongo_conn_ids(params: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys([params["mongo_conn_id"], params["target_conn_id"] or params["mongo_conn_id"]]))


def settings_of(params: Mapping[str, Any], **more: Any) -> Settings:
    """The engine's settings from the params; those not among them come from the worker's `ENGINE_...`."""
    return Settings(**{name: params[name] for name in SETTINGS}, **more)


def window_of(params: Mapping[str, Any]) -> Window:
    """The window; its ends come as text, also where the order is by numbers."""
    ends = (params["start"], params["end"])
    return Window(*(_number(end) for end in ends) if params["order_type"] == "number" else ends)


def _number(end: str | None) -> Any:
    try:
        return json.loads(end) if end else None
    except ValueError:
        return end  # the engine says what is wrong with it


# --- Connections ---


def mongo_client(conn_id: str) -> Any:
    """A Motor client for a Connection of type mongo: address, login and options as the provider reads them.

    Raises:
        ConfigError: the provider or the driver refuses the Connection.
    """
    kind = Connection.get(conn_id).conn_type
    if kind != "mongo":
        raise ConfigError(f"connection {conn_id!r} is of type {kind!r}: MongoDB needs one of type 'mongo'")
    hook = MongoHook(conn_id)  # builds the address; connects to nothing
    options = dict(hook.extras)
    if hook.allow_insecure:
        options["tlsAllowInvalidCertificates"] = True
    try:
        return AsyncIOMotorClient(hook.uri, **options)
    except (ConfigurationError, TypeError, ValueError) as error:
        raise ConfigError(f"connection {conn_id!r}: {error}") from error


def extractor_of(params: Mapping[str, Any], settings: Settings) -> HttpExtractor:
    """The service of a Connection of type http, spoken to in the format of the params."""
    conn_id = params["service_conn_id"]
    connection = Connection.get(conn_id)
    extra = connection.extra_dejson
    if unknown := sorted(set(extra) - SERVICE_EXTRAS):
        raise ConfigError(
            f"connection {conn_id!r}: extra {', '.join(unknown)} is unknown; known are "
            f"{', '.join(sorted(SERVICE_EXTRAS))}"
        )
    return HttpExtractor(
        service_url(connection, str(extra.get("path", ""))),
        format=params["service_format"],
        headers={**_authorization(connection), **extra.get("headers", {})},
        timeout_s=settings.request_timeout_s,
        text_timeout_s=settings.text_timeout_s,
        offsets=extra.get("offsets"),
        parameters=extra.get("parameters"),
    )


def service_url(connection: Any, path: str = "") -> str:
    """`schema://host:port/path`; as for the provider's hook, the host may be a whole URL."""
    host = connection.host or ""
    base = host if "://" in host else f"{connection.schema or 'http'}://{host}"
    port = f":{connection.port}" if connection.port else ""
    return f"{base.rstrip('/')}{port}/{path.lstrip('/')}"


def _authorization(connection: Any) -> dict[str, str]:
    """A password alone is a token; a login with a password is basic authentication."""
    login, password = connection.login or "", connection.password or ""
    if not (login or password):
        return {}
    if not login:
        return {"Authorization": f"Bearer {password}"}
    encoded = base64.b64encode(f"{login}:{password}".encode()).decode()
    mask_secret(encoded)
    return {"Authorization": f"Basic {encoded}"}


# --- a coroutine in a task ---


def run_to_end(work: Awaitable[T]) -> T:
    """Runs a coroutine in this process, which Airflow may stop with SIGTERM and kills five seconds later.

    The signal cancels the coroutine, which then saves its checkpoint.

    Raises:
        AirflowException: it was stopped so.
    """
    previous = signal.getsignal(signal.SIGTERM)
    try:
        with loop_runner() as runner:
            return runner.run(_cancelled_by_sigterm(work))
    except asyncio.CancelledError as error:
        raise AirflowException("stopped by SIGTERM; the next try goes on from the checkpoint") from error
    finally:
        signal.signal(signal.SIGTERM, previous)  # the loop's handler has replaced Airflow's


async def _cancelled_by_sigterm(work: Awaitable[T]) -> T:
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await work
