"""The tasks of the DAGs. Call them in a DAG of `extraction_dag`, with tasks of your own before and after.

    with extraction_dag("reviews", database="shop", collection="reviews"):
        planned = plan()
        reports = run_range.partial().expand(key_range=planned)
        summarize(planned, reports)

Airflow imports this module each time it parses a DAG file. Drivers and HTTP clients are therefore imported
inside the functions, and the engine loads its parts when they are first used.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule, TriggerRule, get_current_context
from airflow.sdk.bases.decorator import DecoratedOperator, task_decorator_factory
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

import engine
from engine.errors import ServiceDown
from engine.verdict import Verdict, verdict_of, verdict_of_json
from engine.wording import reasons_of
from keyset_batch_airflow import reports as run_reports
from keyset_batch_airflow.errors import ServiceOutage, Unfinished
from keyset_batch_airflow.job import Job, current_job
from keyset_batch_airflow.stops import run_to_end

log = logging.getLogger(__name__)

POOL = "extract_pool"
"""The pool of the tasks that call the service: its slots limit how many do so at once. It must exist."""

OUTAGE_DELAY_S = float(os.environ.get("NER_OUTAGE_DELAY_S", "900"))
TASK_TIMEOUT_S = float(os.environ.get("NER_TASK_TIMEOUT_S", "7200"))
DEADLINE_S = TASK_TIMEOUT_S - min(60.0, TASK_TIMEOUT_S / 10)
"""Seconds after which a task saves its checkpoint and stops by itself, before `TASK_TIMEOUT_S` is over and
Airflow stops it."""

CALLS_SERVICE: dict[str, Any] = {
    "pool": POOL,
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
"""Arguments of the tasks that call the service: a pool, a time limit, and a long delay after an outage."""


class ExtractionOperator(DecoratedOperator, PythonOperator):
    """The operator of these tasks. The plugin knows by its class which tasks get the links."""

    custom_operator_name = "@task"

    def __init__(self, *, python_callable: Any, op_args: Any, op_kwargs: Any, **kwargs: Any) -> None:
        called = {"python_callable": python_callable, "op_args": op_args, "op_kwargs": op_kwargs}
        super().__init__(kwargs_to_upstream=called, **called, **kwargs)


# Otherwise Airflow stores each field of a returned dict once more, as an XCom of its own.
task: Any = partial(
    task_decorator_factory, decorated_operator_class=ExtractionOperator, multiple_outputs=False
)


# --- backfill and incremental: a run of ranges ---


@task(
    doc_md="Splits the window into ranges of keys. A retry finds the plan that is kept, and changes nothing."
)
def plan() -> list[dict[str, Any]]:
    """Plans the run, or finds its kept plan. Returns the ranges as JSON, each with a label for people."""
    with current_job() as job:
        made = run_to_end(_plan_of(job))
    log.info("%s documents in %s ranges; %s", made.documents, len(made.ranges), made.guarantee)
    for kind, count in made.outside.items():
        log.warning("%s documents are in no window: their %s is %s", count, made.order[0], kind)
    if made.empty:
        log.warning("%s", made.empty)
    return [{**key_range.to_json(), "label": key_range.label} for key_range in made.ranges]


async def _plan_of(job: Job) -> engine.Plan:
    """The plan, made only once it is known that the login may write the results."""
    from engine.storing.target import target_of

    await target_of(job.target, job.source, job.settings).check_results()
    return await engine.plan_ranges(job.source, job.window, job.settings, target=job.target)


@task(
    **CALLS_SERVICE,
    map_index_template="{{ task.op_kwargs['key_range']['label'] }}",
    doc_md="Runs one range from its checkpoint to its end. A retry goes on where it stopped.",
)
def run_range(key_range: dict[str, Any], deadline_s: float = DEADLINE_S) -> dict[str, Any]:
    """Runs one range. Returns its report as JSON, with the limit of its requests in flight.

    Raises:
        Unfinished: it was interrupted; a retry goes on from the checkpoint.
    """
    with current_job(calls_service=True, deadline_s=deadline_s) as job:
        wanted = engine.KeyRange.from_json(dict(key_range))
        report = run_to_end(engine.run_range(wanted, extractor=job.extractor(), **job.places))
    _refuse_unfinished(report, f"range {report.range_id}")
    return {**report.to_json(), "max_concurrency": job.settings.max_concurrency}


@task(
    trigger_rule=TriggerRule.ALL_DONE,
    doc_md="Proves that nothing was lost, or fails with the reasons: see the table in its log.",
)
def summarize(planned: list[dict[str, Any]] | None, reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Checks every planned range, and saves the run's report. Returns the run's numbers as JSON.

    The checkpoints in MongoDB decide, not the reports: a task may be lost after it has finished its range,
    and Airflow then has no report of it.

    Args:
        planned: what `plan` returned; None if it failed, even if MongoDB keeps the plan of an earlier try.
        reports: what the `run_range` tasks returned that succeeded.

    Raises:
        AirflowFailException: the run lost or failed something; the message says what.
    """
    if planned is None:
        raise AirflowFailException("the plan failed: nothing was run")
    context = get_current_context()
    with current_job() as job:
        report, html = run_to_end(_report_of(job))
    run_reports.save(html, context["dag"].dag_id, context["dag_run"].run_id)
    returned = reports[:]  # one call of Airflow's API; iterating would make one for each range
    log.info("%s of %s ranges reported to Airflow", len(returned), report.planned_ranges)
    cap = max((reported["max_concurrency"] for reported in returned), default=None)
    log.info("requests in flight: at most %s in each task", cap)
    return _succeeded(report, max_concurrency=cap)


async def _report_of(job: Job) -> tuple[engine.RunReport, str | None]:
    """The run's report, and its HTML if that is to be saved."""
    made = await engine.load_plan(job.settings.run_id or "", job.target, job.settings)
    begun = await engine.range_reports(made, job.target, job.settings)
    report = await engine.conclude(made, begun, job.target, job.settings, job.source)
    return report, await run_reports.html_of(made, report, job.target, job.settings)


# --- replay: dead letters ---


@task(
    **CALLS_SERVICE,
    doc_md="Sends the documents of unresolved dead letters again. A retry takes those that are left.",
)
def replay(deadline_s: float = DEADLINE_S) -> dict[str, Any]:
    """Sends the documents of dead letters again. Returns the numbers as JSON.

    Raises:
        Unfinished: it was interrupted; a retry takes the letters that are left.
        AirflowFailException: more documents failed again than *Dead letters allowed*.
    """
    with current_job(calls_service=True, deadline_s=deadline_s) as job:
        chosen = {"kinds": job.params["kinds"], "limit": job.params["limit"]}
        report = run_to_end(engine.replay(job.window, extractor=job.extractor(), **job.places, **chosen))
    _refuse_unfinished(report, "the replay")
    return _succeeded(report, max_concurrency=job.settings.max_concurrency)


# --- verify: documents without a result ---


@task(doc_md="Looks for documents of the window that have neither a result nor an unresolved dead letter.")
def find() -> dict[str, Any]:
    """Looks for documents without a result. Returns what was found as JSON."""
    with current_job() as job:
        return _found_in(job)


@task(**CALLS_SERVICE, doc_md="Sends exactly the missing documents, if the param *Repair* says so.")
def repair(found: dict[str, Any], deadline_s: float = DEADLINE_S) -> dict[str, Any]:
    """Sends exactly the missing documents. Returns the report as JSON.

    Args:
        found: what `find` returned.

    Raises:
        AirflowSkipException: nothing is missing, or the param *Repair* is off.
        Unfinished: it was interrupted; a retry takes what is still missing.
    """
    if not found["missing"]:
        raise AirflowSkipException("nothing is missing")
    if not get_current_context()["params"]["repair"]:
        raise AirflowSkipException("the param repair is off: nothing is sent")
    with current_job(calls_service=True, deadline_s=deadline_s) as job:
        report = run_to_end(engine.repair(job.window, extractor=job.extractor(), **job.places))
    _refuse_unfinished(report, "the repair")
    run_reports.show(report)
    return {**run_reports.summary_of(report), "max_concurrency": job.settings.max_concurrency}


@task(
    trigger_rule=TriggerRule.ALL_DONE,
    doc_md="Fails while a document is missing; after a repair it verifies again. See the numbers in its log.",
)
def conclude(found: dict[str, Any] | None, repaired: dict[str, Any] | None) -> dict[str, Any]:
    """Succeeds if the window is complete; after a repair it verifies again. Returns what was found as JSON.

    Args:
        found: what `find` returned; None if it failed.
        repaired: what `repair` returned; None if it failed or was skipped.

    Raises:
        AirflowFailException: documents are missing, or the repair left more dead letters than allowed.
    """
    if found is None:
        raise AirflowFailException("the search failed: nothing is known of the window")
    with current_job() as job:
        if found["missing"] and job.params["repair"]:
            found = _found_in(job)
    problems = []
    if repaired and not (verdict := verdict_of_json(repaired)).succeeded:
        problems = [f"repair: {verdict.title}", *repaired["problems"]]
    if found["missing"]:
        problems.append(
            f"{found['missing']} of {found['read']} documents have neither a result nor a dead letter"
        )
    if problems:
        raise AirflowFailException("; ".join(problems))
    return dict(found)


def _found_in(job: Job) -> dict[str, Any]:
    """The numbers of a verification of the window."""
    verification = run_to_end(engine.verify(job.window, limit=job.params["limit"], **job.places))
    if verification.empty:
        log.warning("%s", verification.empty)
    return run_reports.numbers_of(verification)


# --- what a report means for its task ---


def _refuse_unfinished(report: engine.Report, what: str) -> None:
    """Raises the error that makes Airflow retry, if the work was interrupted."""
    if verdict_of(report) is not Verdict.INTERRUPTED:
        return
    reasons = "; ".join(report.problems)
    kind = ServiceOutage if report.reason == ServiceDown.__name__ else Unfinished
    raise kind(f"{what} is {report.status} after {report.read} documents ({reasons}): the next try goes on")


def _succeeded(report: engine.RunReport, **more: Any) -> dict[str, Any]:
    """A run's numbers as JSON; also written into the log, and into the events of the task's Assets.

    Raises:
        AirflowFailException: the run did not succeed.
    """
    run_reports.show(report)
    verdict = verdict_of(report)
    if not verdict.succeeded:
        reasons = [f"dead letters: {reason}" for reason in reasons_of(report.dead_letter_reasons)]
        why = "; ".join([*report.problems, *reasons])
        raise AirflowFailException(f"{verdict.title}: {report.run_id}: {why}")
    context = get_current_context()
    for asset in context["task"].outlets:
        told = {name: getattr(report, name) for name in ("run_id", "written", "unchanged", "dead_lettered")}
        context["outlet_events"][asset].extra = told
    return {**run_reports.summary_of(report), **more}
