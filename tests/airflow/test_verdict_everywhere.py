"""One report has one verdict: all six places that tell the outcome of a run show the same (trap 43)."""

from __future__ import annotations

import asyncio
import io
import logging
from collections import defaultdict
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from rich.console import Console
from typer.testing import CliRunner

from demo.summary import Outcome, show_outcome
from engine import Settings, Status, conclude
from engine.cli import commands
from engine.reporting.page import render
from engine.reporting.report_data import ReportData
from engine.verdict import Verdict, verdict_of, verdict_of_json
from tests.support.report_pages import START, Parsed, plan_of, range_of

TITLES = {verdict: verdict.title for verdict in Verdict}

STATES = {
    Verdict.SUCCEEDED: ([range_of(0), range_of(1)], 2),
    Verdict.FAILED: ([range_of(0), range_of(1)], 1),
    Verdict.NOT_RECONCILED: ([range_of(0), range_of(1, Status.FAILED, 40, problems=("disk full",))], 2),
    Verdict.INTERRUPTED: ([range_of(0), range_of(1, Status.INTERRUPTED, 40, problems=("stopped",))], 2),
    Verdict.RUNNING: ([range_of(0), range_of(1, Status.RUNNING, 40)], 2),
}
"""The reports of two ranges and the dead letters allowed; each range has one."""


@pytest.fixture(params=STATES, ids=lambda verdict: verdict.name)
def verdict(request):
    """Each of the five outcomes of a run."""
    return request.param


def concluded(verdict):
    """The report of a run with this outcome."""
    ranges, allowed = STATES[verdict]
    return asyncio.run(conclude(plan_of(2), ranges, None, Settings(max_dead_letters=allowed)))


@pytest.fixture
def report(verdict):
    """The report of a run with this outcome."""
    return concluded(verdict)


def titles_in(text):
    """The verdicts whose titles are in a text."""
    return [verdict for verdict, title in TITLES.items() if title in text]


def test_the_verdict_is_decided_from_the_report(report, verdict):
    """Also from the report as it is stored."""
    assert verdict_of(report) is verdict
    assert verdict_of_json(report.to_json()) is verdict


def test_the_command_line_shows_it_last_and_exits_by_it(report, verdict, monkeypatch):
    """The exit status is 0 only for a run that succeeded and reconciled."""

    class NoPlaces:
        def __init__(self, *places):
            pass

        @asynccontextmanager
        async def open(self):
            yield defaultdict(dict), None

    async def returns_report(*args, **options):
        return report

    monkeypatch.setattr(commands, "Places", NoPlaces)
    monkeypatch.setattr(commands, "run_window", returns_report)
    options = ["run", "-d", "chat", "-c", "messages", "--extractor", "asyncio:sleep"]
    result = CliRunner().invoke(commands.app, options)
    assert result.output.splitlines()[-1] == verdict.title
    assert titles_in(result.output) == [verdict]
    assert (result.exit_code == 0) == (verdict is Verdict.SUCCEEDED)


def test_the_log_tells_it_when_the_run_ends(verdict, caplog):
    """As a warning, unless the run succeeded and reconciled."""
    with caplog.at_level(logging.INFO, logger="engine"):
        concluded(verdict)
    record = caplog.records[-1]
    assert record.getMessage().startswith("run_concluded ")
    assert titles_in(record.getMessage()) == [verdict]
    assert (record.levelno == logging.INFO) == (verdict is Verdict.SUCCEEDED)


def test_the_html_report_shows_it(report, verdict):
    """In its title and as its heading."""
    html = render(ReportData(report, plan_of(2), START))
    assert titles_in(Parsed(html).text) == [verdict]
    assert f"<title>chat.messages: {verdict.title}</title>" in html
    assert f"<h2>{verdict.title}</h2>" in html


def test_the_demo_shows_it_and_fails_by_it(report, verdict):
    """A report that did not succeed and reconcile is a problem of the demo."""
    outcome = Outcome(report.run_id, "success", report.to_json(), messages=1, extractions=1)
    output = io.StringIO()
    show_outcome(Console(file=output, width=200), outcome)
    assert titles_in(output.getvalue()) == [verdict]
    assert (outcome.problems == []) == (verdict is Verdict.SUCCEEDED)


@pytest.mark.usefixtures("airflow")
def test_the_tab_shows_it(report, verdict):
    """Whatever the state of the DAG run says beside it."""
    from keyset_batch_airflow.plugin.progress import progress_of  # noqa: PLC0415  (it imports Airflow)

    plan = {"run_id": report.run_id, "ranges": [], "report": report.to_json()}
    shown = [progress_of(plan, [], state, datetime.now(UTC)).verdict for state in ("success", "failed")]
    assert [(one.title, one.kind) for one in shown] == [(verdict.title, verdict.kind)] * 2


@pytest.mark.usefixtures("airflow")
def test_the_task_logs_it_and_fails_by_it(report, verdict, monkeypatch, caplog):
    """`summarize` succeeds only if the run has succeeded and reconciled; else its error names the verdict."""
    from airflow.sdk.exceptions import AirflowFailException  # noqa: PLC0415

    from keyset_batch_airflow import tasks  # noqa: PLC0415

    class Task:
        outlets = ()

    monkeypatch.setattr(tasks, "get_current_context", lambda: {"task": Task})
    caplog.clear()
    caplog.set_level(logging.INFO)
    if verdict is Verdict.SUCCEEDED:
        assert tasks._succeeded(report)["reconciled"]
    else:
        with pytest.raises(AirflowFailException) as raised:
            tasks._succeeded(report)
        assert titles_in(str(raised.value)) == [verdict]
    assert titles_in(caplog.text) == [verdict]
