"""Glue between Airflow and the engine: params become Settings, Connections clients, errors Airflow's.

Only tasks import this, so that parsing a DAG imports neither the engine nor a driver. It lies beside the
DAGs in the root of the bundle, and `.airflowignore` lists it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowFailException, AirflowNotFoundException, AirflowSkipException
from keyset_batch_airflow.connections import extractor_of, mongo_client
from keyset_batch_airflow.errors import ServiceOutage, Unfinished
from keyset_batch_airflow.reports import html_of, numbers_of, save, show, summary_of
from keyset_batch_airflow.job import settings_of, share_of, window_of
from keyset_batch_airflow.stops import run_to_end
from pymongo.errors import InvalidName

import engine
from engine import (
    ConfigError,
    EngineError,
    KeyRange,
    Plan,
    PlanError,
    Report,
    Settings,
    Status,
    Verification,
    Window,
)
from engine.errors import ServiceDown
from engine.mongo import privileges

log = logging.getLogger(__name__)


# --- a run of ranges ---


def plan() -> list[dict[str, Any]]:
    """Plans the run, or finds its plan; the ranges as JSON, each with its label."""
    with _job() as job:
        made = run_to_end(_plan(job))
    log.info("%s documents in %s ranges; %s", made.documents, len(made.ranges), made.guarantee)
    for kind, count in made.outside.items():
        log.warning("%s documents are in no window: their %s is %s", count, made.order[0], kind)
    return [{**key_range.to_json(), "label": key_range.label} for key_range in made.ranges]


async def _plan(job: Job) -> Plan:
    """The plan, once it is sure that the ranges may write what they find."""
    results = privileges.needs_of_results(job.source.name, job.settings)
    await privileges.check_target(job.target, results)
    return await engine.plan_ranges(job.source, job.window, job.settings, target=job.target)


def run_range(key_range: Mapping[str, Any], deadline_s: float) -> dict[str, Any]:
    """Runs one range; its report as JSON, with the cap of its requests in flight.

    Raises:
        Unfinished: it was interrupted; a retry goes on from the checkpoint.
    """
    with _job(calls=True, deadline_s=deadline_s) as job:
        work = engine.run_range(
            KeyRange.from_json(dict(key_range)),
            source=job.source,
            extractor=extractor_of(job.params, job.settings),
            target=job.target,
            settings=job.settings,
        )
        report = run_to_end(work)
    _refuse_unfinished(report, f"range {report.range_id}")
    return {**report.to_json(), "max_concurrency": job.settings.max_concurrency}


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
    context = get_current_context()
    with _job() as job:
        report, html = run_to_end(_conclude(job))
    save(html, context["dag"].dag_id, context["dag_run"].run_id)
    reached = reports[:]
    log.info("%s of %s ranges reported to Airflow", len(reached), report.planned_ranges)
    cap = max((reported["max_concurrency"] for reported in reached), default=None)
    log.info("requests in flight: at most %s in each task", cap)
    return _concluded(report, max_concurrency=cap)


async def _conclude(job: Job) -> tuple[Report, str | None]:
    """The run's report, and its HTML if that is to be saved."""
    made = await engine.load_plan(job.settings.run_id or "", job.target, job.settings)
    begun = await engine.range_reports(made, job.target, job.settings)
    report = await engine.conclude(made, begun, job.target, job.settings)
    return report, await html_of(made, report, job.target, job.settings)


# --- dead letters, and what is missing ---


def replay(deadline_s: float) -> dict[str, Any]:
    """Runs the documents of dead letters again; the numbers as JSON.

    Raises:
        Unfinished: it was interrupted; a retry takes the letters that are left.
        AirflowFailException: more than are allowed failed again.
    """
    with _job(calls=True, deadline_s=deadline_s) as job:
        work = engine.replay(
            job.window,
            source=job.source,
            extractor=extractor_of(job.params, job.settings),
            target=job.target,
            settings=job.settings,
            kinds=job.params["kinds"],
            limit=job.params["limit"],
        )
        report = run_to_end(work)
    _refuse_unfinished(report, "the replay")
    return _concluded(report, max_concurrency=job.settings.max_concurrency)


def find() -> dict[str, Any]:
    """Looks for documents without a result; what was found as JSON."""
    with _job() as job:
        return numbers_of(run_to_end(_verify(job)))


def repair(found: Mapping[str, Any], deadline_s: float) -> dict[str, Any]:
    """Runs exactly what is missing; the report as JSON.

    Raises:
        AirflowSkipException: nothing is, or no repair is asked for.
        Unfinished: it was interrupted; a retry takes what is still missing.
    """
    if not found["missing"]:
        raise AirflowSkipException("nothing is missing")
    if not get_current_context()["params"]["repair"]:
        raise AirflowSkipException("no repair is asked for")
    with _job(calls=True, deadline_s=deadline_s) as job:
        work = engine.repair(
            job.window,
            source=job.source,
            extractor=extractor_of(job.params, job.settings),
            target=job.target,
            settings=job.settings,
        )
        report = run_to_end(work)
    _refuse_unfinished(report, "the repair")
    show(report)
    return {**summary_of(report), "max_concurrency": job.settings.max_concurrency}


def conclude(found: Mapping[str, Any] | None, repaired: Mapping[str, Any] | None) -> dict[str, Any]:
    """Tells whether the window is complete; after a repair was tried, looks again.

    Raises:
        AirflowFailException: documents are missing, or the repair had more dead letters than allowed.
    """
    if found is None:
        raise AirflowFailException("the search failed: nothing is known of the window")
    with _job() as job:
        if found["missing"] and job.params["repair"]:
            found = numbers_of(run_to_end(_verify(job)))
    problems = list((repaired or {}).get("problems", []))
    if found["missing"]:
        problems.append(
            f"{found['missing']} of {found['read']} documents have neither a result nor a dead letter"
        )
    if problems:
        raise AirflowFailException("; ".join(problems))
    return dict(found)


async def _verify(job: Job) -> Verification:
    where = {"source": job.source, "target": job.target, "settings": job.settings}
    return await engine.verify(job.window, limit=job.params["limit"], **where)


# --- reports ---


def _refuse_unfinished(report: Report, what: str) -> None:
    if report.status is not Status.INTERRUPTED:
        return
    reasons = "; ".join(report.problems)
    kind = ServiceOutage if report.reason == ServiceDown.__name__ else Unfinished
    raise kind(f"{what} is {report.status} after {report.read} documents ({reasons}): the next try goes on")


def _concluded(report: Report, **more: Any) -> dict[str, Any]:
    """A run's numbers, also into the log and to those who follow its Assets."""
    show(report)
    if report.status is not Status.SUCCEEDED:
        raise AirflowFailException(f"run {report.run_id} {report.status}: {'; '.join(report.problems)}")
    context = get_current_context()
    for asset in context["task"].outlets:
        told = {name: getattr(report, name) for name in ("run_id", "written", "unchanged", "dead_lettered")}
        context["outlet_events"][asset].extra = told
    return {**summary_of(report), **more}


# --- the job of a task ---


@dataclass(frozen=True)
class Job:
    """What a task of one DAG run works on.

    Attributes:
        source: Motor collection of the documents.
        target: Motor database of the results.
    """

    params: Mapping[str, Any]
    window: Window
    settings: Settings
    source: Any
    target: Any


@contextmanager
def _job(*, calls: bool = False, **settings: Any) -> Iterator[Job]:
    """The current task's job. What is wrong with it fails the task at once: a retry would not change that.

    Args:
        calls: whether the task calls the service, so that it keeps to its share of the capacity.
    """
    context = get_current_context()
    params = context["params"]
    clients = []
    try:
        if calls:
            settings["max_concurrency"] = share_of(params, context["task"].pool)
        run_id = f"{context['dag'].dag_id}/{context['dag_run'].run_id}"
        chosen = settings_of(params, run_id=run_id, **settings)
        clients = [mongo_client(name) for name in _mongo_conn_ids(params)]
        source = clients[0][params["database"]][params["collection"]]
        target = clients[-1][params["target_database"] or params["database"]]
        yield Job(params, window_of(params, context["dag_run"]), chosen, source, target)
    except (ConfigError, PlanError, AirflowNotFoundException, InvalidName) as error:
        raise AirflowFailException(str(error)) from error
    except EngineError as error:
        if (refusal := privileges.explained(error)) is not None:
            raise AirflowFailException(refusal) from error
        raise
    finally:
        for client in clients:
            client.close()


def _mongo_conn_ids(params: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys([params["mongo_conn_id"], params["target_conn_id"] or params["mongo_conn_id"]]))
