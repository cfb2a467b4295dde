"""Why documents became dead letters is shown in the same words everywhere, counted over all ranges."""

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

LIST = "field 'paragraphs' is of type list"
WHY = [f"1,050 x {LIST}", "3 x HTTP 422", "1 x field 'a[/b]' is missing or null"]


def of_range(number, reasons):
    """The report of a range whose dead letters have these reasons."""
    count = sum(reasons.values())
    listed = tuple({"reason": reason, "count": n} for reason, n in reasons.items())
    return range_of(number, read=2000, written=1999 - count, dead_lettered=count, dead_letter_reasons=listed)


RANGES = [
    of_range(0, {"HTTP 422": 3, LIST: 50}),
    of_range(1, {LIST: 1000, "field 'a[/b]' is missing or null": 1}),
]


@pytest.fixture
def report():
    """The report of a run of two ranges."""
    return asyncio.run(conclude(plan_of(2), RANGES, None, Settings()))


def counted(text):
    """How often each line is in a text."""
    return [text.count(line) for line in WHY]


def test_the_report_of_the_run_sums_them(report):
    """Also after it was stored; a report of before that has none."""
    assert Report.from_json(report.to_json()) == report
    assert {each["reason"]: each["count"] for each in report.to_json()["dead_letter_reasons"]} == {
        LIST: 1050,
        "HTTP 422": 3,
        "field 'a[/b]' is missing or null": 1,
    }
    old = report.to_json()
    del old["dead_letter_reasons"]
    for kept in old["ranges"]:
        del kept["dead_letter_reasons"]
    assert Report.from_json(old).dead_letter_reasons == ()
    assert report.reconciled


def test_the_command_line_shows_them(report, monkeypatch):
    """Below the table, each on one line, however narrow the terminal is: for `run` and `status`."""
    output = io.StringIO()
    monkeypatch.setattr(display, "out", Console(file=output, width=30))
    display.show_report(report)
    assert counted(output.getvalue()) == [1, 1, 1]


def test_the_html_report_shows_them(report):
    """Among the dead letters."""
    assert counted(Parsed(render(ReportData(report, plan_of(2), START))).text) == [1, 1, 1]


@pytest.mark.usefixtures("airflow")
def test_the_task_logs_them_and_fails_with_them(report, caplog):
    """So the failure that Airflow shows says why."""
    from airflow.sdk.exceptions import AirflowFailException  # noqa: PLC0415

    from keyset_batch_airflow.reports import show  # noqa: PLC0415  (it imports Airflow)
    from keyset_batch_airflow.tasks import _succeeded  # noqa: PLC0415

    caplog.set_level(logging.INFO)
    show(report)
    assert counted(caplog.text) == [1, 1, 1]
    with pytest.raises(AirflowFailException) as raised:
        _succeeded(report)
    assert counted(str(raised.value)) == [1, 1, 1]


@pytest.mark.usefixtures("airflow")
@pytest.mark.parametrize("ended", [False, True])
def test_the_tab_shows_them(report, ended):
    """While the run is active, from the checkpoints alone; those of before this have none."""
    from keyset_batch_airflow.plugin.progress import progress_of  # noqa: PLC0415
    from keyset_batch_airflow.plugin.store import RANGE_FIELDS  # noqa: PLC0415

    planned = [{"range_id": r.range_id, "label": "", "expected": 1} for r in RANGES]
    planned.append({"range_id": "old", "label": "", "expected": 1})
    plan = {"run_id": "run-1", "ranges": planned} | ({"report": report.to_json()} if ended else {})
    kept = [{"range_id": r.range_id, **r.counts.to_document()} for r in RANGES] + [{"range_id": "old"}]
    seen = progress_of(plan, kept, "failed" if ended else "running", datetime.now(UTC))
    assert seen.to_json()["reasons"] == WHY
    assert "dead_letter_reasons" in RANGE_FIELDS
