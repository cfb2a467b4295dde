"""The routes of the plugin, behind Airflow's own login and permissions. Only the API server imports this.

    progress/<dag id>/<run id>   the page: what the tab of a DAG run shows
    numbers/<dag id>/<run id>    the same as JSON, for programs
    report/<dag id>/<run id>     the saved report of the run

Each asks for a user who may read runs of that DAG. They are plain functions, which FastAPI runs in its
threads: MongoDB, the database or the storage of reports may take their time, and hold up nobody else.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from http import HTTPStatus
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path
from types import ModuleType
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
from keyset_batch_airflow.plugin.progress import FINAL_STATES, RunProgress, duration, number, progress_of
from keyset_batch_airflow.plugin.store import NotReadableError, place_of, read_run
from sqlalchemy import select

log = logging.getLogger(__name__)

HERE = Path(__file__).parent

PLANNING_TASK = "plan"

AGAIN_S = 2
"""Between two looks at a run under way."""

LATER_S = 30
"""The same for a run that is over: it may be cleared, and taken up again."""

HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}

PAGE_POLICY = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
REPORT_POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
"""A report is one file: it loads nothing, runs nothing, and has no part in Airflow's origin."""


@dataclass(frozen=True, slots=True)
class Run:
    """A DAG run as Airflow's database knows it.

    Attributes:
        params: the DAG's defaults and what the run was triggered with.
        planned: whether a task of the DAG plans ranges.
    """

    dag_id: str
    dag_run_id: str
    state: str
    params: Mapping[str, Any]
    planned: bool

    @property
    def run_id(self) -> str:
        """The engine's name of the run."""
        return f"{self.dag_id}/{self.dag_run_id}"


class NothingToShowError(Exception):
    """Why a run has no progress to show, in words for people."""

    def __init__(self, message: str, status: HTTPStatus, again_s: int) -> None:
        super().__init__(message)
        self.status = status
        self.again_s = again_s


def make_app() -> FastAPI:
    """The application that the API server mounts; Airflow's database is read when a route is asked."""
    app = FastAPI(title="Progress of extractions", openapi_url=None)
    allowed = [Depends(requires_access_dag("GET", DagAccessEntity.RUN))]
    for path, route in {"progress": page, "numbers": numbers, "report": report}.items():
        app.get(f"/{path}/{{dag_id}}/{{run_id:path}}", dependencies=allowed)(route)
    return app


def page(dag_id: str, run_id: str) -> Response:
    """The progress of a run for people; its script asks for the page again, and replaces what has changed."""
    run = find_run(dag_id, run_id)
    try:
        seen, problem = _progress(run), None
    except NothingToShowError as error:
        seen, problem = None, error
    again_s = problem.again_s if problem else LATER_S if seen and seen.ended else AGAIN_S
    nonce = secrets.token_urlsafe(16)
    html = _template().render(
        run=run, seen=seen, problem=problem, again_s=again_s, nonce=nonce, report=_saved(run)
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
    """The report that the run has saved."""
    run = find_run(dag_id, run_id)
    file = report_file(run.dag_id, run.dag_run_id)
    try:
        html = file.read_bytes() if file is not None else None
    except FileNotFoundError:
        html = None
    if html is None:
        why = "a run saves it when it ends, where NER_REPORTS_PATH names a place for workers and API server"
        raise HTTPException(HTTPStatus.NOT_FOUND, f"no report of this run is saved: {why}")
    return HTMLResponse(html, headers={**HEADERS, "Content-Security-Policy": REPORT_POLICY})


# --- what is known of a run ---


def find_run(dag_id: str, run_id: str) -> Run:
    """A run that exists; ids of a request go nowhere else.

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
        raise NothingToShowError(why, HTTPStatus.NOT_FOUND, LATER_S)
    try:
        plan, checkpoints = read_run(place, run.run_id)
    except NotReadableError as error:
        raise NothingToShowError(f"{error}.", HTTPStatus.SERVICE_UNAVAILABLE, 5 * AGAIN_S) from error
    if plan is None:
        ended = run.state in FINAL_STATES
        why = "This run has left no plan of ranges." if ended else "No plan yet: its task has not ended."
        raise NothingToShowError(why, HTTPStatus.NOT_FOUND, LATER_S if ended else AGAIN_S)
    return progress_of(plan, checkpoints, run.state, datetime.now(UTC))


# --- its report ---


def report_file(dag_id: str, run_id: str) -> Any:
    """Where the report of a run is to be, an ObjectStoragePath; None where none is saved."""
    files = _report_files()
    return files and files.report_file(dag_id, run_id)


def _saved(run: Run) -> bool:
    """Whether there is a report to link to; a storage that fails is no trouble of the page."""
    try:
        file = report_file(run.dag_id, run.dag_run_id) if run.state in FINAL_STATES else None
        return file is not None and file.exists()
    except Exception:
        log.warning("the storage of reports does not answer", exc_info=True)
        return False


@cache
def _report_files() -> ModuleType | None:
    """`ner_report_files`, from a copy beside this plugin, or of the DAGs folder that the plugin lies in."""
    found = PathFinder.find_spec("ner_report_files", [str(HERE), str(HERE.parent)])
    if found is None or found.loader is None:
        return None
    module = module_from_spec(found)
    found.loader.exec_module(module)
    return module


# --- parts that are made once ---


@cache
def _dag_bag() -> Any:
    """The DAGs as the database keeps them, as Airflow's own API caches them."""
    return create_dag_bag()


@cache
def _template() -> Any:
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"duration": duration, "number": number}
    return environment.get_template("ner_progress.html")
