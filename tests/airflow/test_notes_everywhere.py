"""A note of a range, such as a limit of the service, is shown once and in the same words everywhere."""

from __future__ import annotations

import asyncio
import io
import logging
from datetime import UTC, datetime

import pytest
from rich.console import Console

from engine import Report, Settings, conclude
from engine.cli import display
from engine.reporting.page import render
from engine.reporting.report_data import ReportData
from tests.support.report_pages import START, Parsed, plan_of, range_of

NOTE = "the service takes at most 32 texts a request; set batch_texts=32"
OTHER = "the service takes at most 900 characters a request; set batch_chars=900"
RANGES = [range_of(0, notes=(NOTE,)), range_of(1, notes=(NOTE, OTHER))]


@pytest.fixture
def report():
    """The report of a run whose ranges have one note each in common."""
    return asyncio.run(conclude(plan_of(2), RANGES, None, Settings(max_dead_letters=2)))


def counted(text):
    """How often each note is in a text."""
    return [text.count(note) for note in (NOTE, OTHER)]


def test_the_report_of_the_run_has_each_note_once(report):
    """Also after it was stored; a report of before that has none."""
    assert report.notes == (NOTE, OTHER)
    assert Report.from_json(report.to_json()) == report
    old = report.to_json()
    del old["notes"]
    for kept in old["ranges"]:
        del kept["notes"]
    assert Report.from_json(old).notes == ()


def test_the_command_line_shows_it(report, monkeypatch):
    """Below the table."""
    output = io.StringIO()
    monkeypatch.setattr(display, "out", Console(file=output, width=200))
    display.show_report(report)
    assert counted(output.getvalue()) == [1, 1]


def test_the_html_report_shows_it(report):
    """Beside the verdict."""
    assert counted(Parsed(render(ReportData(report, plan_of(2), START))).text) == [1, 1]


@pytest.mark.usefixtures("airflow")
def test_the_task_logs_it(report, caplog):
    """As warnings, before the verdict."""
    from keyset_batch_airflow.reports import show  # noqa: PLC0415  (it imports Airflow)

    caplog.set_level(logging.INFO)
    show(report)
    assert counted(caplog.text) == [1, 1]


@pytest.mark.usefixtures("airflow")
@pytest.mark.parametrize("ended", [False, True])
def test_the_tab_shows_it(report, ended):
    """While the run is active, from the checkpoints alone."""
    from keyset_batch_airflow.plugin.progress import progress_of  # noqa: PLC0415
    from keyset_batch_airflow.plugin.store import RANGE_FIELDS, REPORT_FIELDS  # noqa: PLC0415

    planned = [{"range_id": r.range_id, "label": "", "expected": 1} for r in RANGES]
    plan = {"run_id": "run-1", "ranges": planned} | ({"report": report.to_json()} if ended else {})
    kept = [{"range_id": r.range_id, "notes": list(r.notes)} for r in RANGES]
    seen = progress_of(plan, kept, "success" if ended else "running", datetime.now(UTC))
    assert seen.to_json()["notes"] == [NOTE, OTHER]
    assert ("notes" in RANGE_FIELDS, "report.notes" in REPORT_FIELDS) == (True, True)
