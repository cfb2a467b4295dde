"""The routes of the plugin, behind Airflow's own login and permissions. Only the API server imports them.

    progress/<dag id>/<run id>   the page: what the tab of a DAG run shows
    numbers/<dag id>/<run id>    the same as JSON, for programs
    report/<dag id>/<run id>     the saved report of the run

Each route requires a user who may read the runs of that DAG. The routes are plain functions, so FastAPI runs
them in threads: a slow MongoDB, database or storage of reports delays no other request.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.common.dagbag import create_dag_bag
from airflow.api_fastapi.core_api.security import requires_access_dag
from airflow.configuration import conf
from airflow.models.dagrun import DagRun
from airflow.utils.session import create_session
from fastapi import Depends, FastAPI, HTTPException, Response
from fastapi.responses import HTMLResponse, JSONResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from sqlalchemy import select

from engine.wording import duration, number
from keyset_batch_airflow.plugin.progress import FINAL_STATES, RunProgress, progress_of
from keyset_batch_airflow.plugin.store import NotReadableError, place_of, read_run
from keyset_batch_airflow.report_files import report_file

log = logging.getLogger(__name__)

HERE = Path(__file__).parent

PLANNING_TASK = "plan"

REFRESH_S = 2
"""Seconds after which the page of an active run asks again."""

REFRESH_ENDED_S = 30
"""Seconds after which the page of an ended run asks again: the run may be cleared, and go on."""

HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}

PAGE_POLICY = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
REPORT_POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
"""A report is one file: the browser loads nothing for it, runs no script, and gives it its own origin."""


@dataclass(frozen=True, slots=True)
class Run:
    """A DAG run as Airflow's database knows it.

    Attributes:
        params: the DAG's defaults and what the run was triggered with.
        planned: whether the DAG has the task that plans ranges.
    """

    dag_id: str
    dag_run_id: str
    state: str
    params: Mapping[str, Any]
    planned: bool

    @property
    def run_id(self) -> str:
        """The id of the run in the engine."""
        return f"{self.dag_id}/{self.dag_run_id}"


class NothingToShowError(Exception):
    """There is no progress to show; the message tells people why.

    Attributes:
        status: of the answer.
        refresh_s: seconds after which the page asks again.
    """

    def __init__(self, message: str, status: HTTPStatus, refresh_s: int) -> None:
        super().__init__(message)
        self.status = status
        self.refresh_s = refresh_s


def make_app() -> FastAPI:
    """The application that the API server mounts. Making it reads nothing from Airflow's database."""
    app = FastAPI(title="Progress of extractions", openapi_url=None)
    allowed = [Depends(requires_access_dag("GET", DagAccessEntity.RUN))]
    for path, route in {"progress": page, "numbers": numbers, "report": report}.items():
        app.get(f"/{path}/{{dag_id}}/{{run_id:path}}", dependencies=allowed)(route)
    return app


def page(dag_id: str, run_id: str) -> Response:
    """The progress of a run as a page; its script asks for the page again, and replaces its content."""
    run = find_run(dag_id, run_id)
    try:
        seen, problem = _progress(run), None
    except NothingToShowError as error:
        seen, problem = None, error
    refresh_s = problem.refresh_s if problem else REFRESH_ENDED_S if seen and seen.ended else REFRESH_S
    nonce = secrets.token_urlsafe(16)
    html = _template().render(
        run=run, seen=seen, problem=problem, refresh_s=refresh_s, nonce=nonce, report=_saved(run)
    )
    policy = {"Content-Security-Policy": PAGE_POLICY.format(nonce=nonce)}
    return HTMLResponse(html, problem.status if problem else HTTPStatus.OK, {**HEADERS, **policy})


def numbers(dag_id: str, run_id: str) -> Response:
    """The progress of a run as JSON."""
    try:
        return JSONResponse(_progress(find_run(dag_id, run_id)).to_json(), headers=HEADERS)
    except NothingToShowError as error:
        raise HTTPException(error.status, str(error)) from error


def report(dag_id: str, run_id: str) -> Response:
    """The saved report of the run."""
    run = find_run(dag_id, run_id)
    file = report_file(run.dag_id, run.dag_run_id)
    try:
        html = file.read_bytes() if file is not None else None
    except FileNotFoundError:
        html = None
    if html is None:
        why = "set NER_REPORTS_PATH for the workers and the API server; a run saves its report when it ends"
        raise HTTPException(HTTPStatus.NOT_FOUND, f"no report of this run is saved: {why}")
    return HTMLResponse(html, headers={**HEADERS, "Content-Security-Policy": REPORT_POLICY})


# --- what is known of a run ---


def find_run(dag_id: str, run_id: str) -> Run:
    """The run in Airflow's database. The routes use only the ids of a run that exists.

    Raises:
        HTTPException: there is no such run.
    """
    with create_session(scoped=False) as session:
        found = session.scalar(select(DagRun).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id))
        dag = found and _dag_bag().get_dag_for_run(found, session=session)
        if found is None or dag is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, "there is no such run")
        given = found.conf if conf.getboolean("core", "dag_run_conf_overrides_params") else None
        params = {**{name: dag.params[name] for name in dag.params}, **(given or {})}
        return Run(dag_id, run_id, str(found.state), params, dag.has_task(PLANNING_TASK))


def _progress(run: Run) -> RunProgress:
    place = place_of(run.params)
    if place is None or not run.planned:
        why = "Runs of this DAG have no ranges of the engine: there is nothing to show here."
        raise NothingToShowError(why, HTTPStatus.NOT_FOUND, REFRESH_ENDED_S)
    try:
        plan, checkpoints = read_run(place, run.run_id)
    except NotReadableError as error:
        raise NothingToShowError(f"{error}.", HTTPStatus.SERVICE_UNAVAILABLE, 5 * REFRESH_S) from error
    if plan is None:
        ended = run.state in FINAL_STATES
        why = "This run has no plan of ranges." if ended else "No plan yet: the task plan has not ended."
        raise NothingToShowError(why, HTTPStatus.NOT_FOUND, REFRESH_ENDED_S if ended else REFRESH_S)
    return progress_of(plan, checkpoints, run.state, datetime.now(UTC))


# --- its report ---


def _saved(run: Run) -> bool:
    """Whether there is a report to link to. If the storage fails, the page has no link."""
    try:
        file = report_file(run.dag_id, run.dag_run_id) if run.state in FINAL_STATES else None
        return file is not None and file.exists()
    except Exception:
        log.warning("the storage of reports does not answer", exc_info=True)
        return False


# --- parts that are made once ---


@cache
def _dag_bag() -> Any:
    """The DAGs from Airflow's database, cached in the same way as by Airflow's own API."""
    return create_dag_bag()


@cache
def _template() -> Any:
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"duration": duration, "number": number}
    return environment.get_template("progress.html")
