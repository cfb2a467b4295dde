"""The end of the demo: what it shows and what it takes for a failure."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from demo.celery.checks import Check
from demo.summary import Outcome, show_durations, show_outcome, show_places

REPORT = {
    "expected": 5846,
    "read": 5846,
    "written": 5800,
    "unchanged": 46,
    "dead_lettered": 0,
    "status": "succeeded",
    "reconciled": True,
}
GOOD = Outcome(
    run_id="ner_backfill/r",
    state="success",
    report=REPORT,
    messages=5846,
    extractions=5846,
    entities=[{"_id": {"label": "ORG", "text": "[CS]"}, "count": 28}],
    ui="http://127.0.0.1:1/dags/x",
    progress="http://127.0.0.1:1/dags/x/plugin/p",
    server="mongodb://127.0.0.1:2",
)


def shown(function, *arguments, **options):
    """What a function prints."""
    output = io.StringIO()
    function(Console(file=output, width=200), *arguments, **options)
    return output.getvalue()


def test_a_good_run_has_no_problem():
    """Airflow, the report and MongoDB agree."""
    assert GOOD.problems == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"state": "failed"}, "the run ended as failed"),
        ({"report": None}, "the run has left no report"),
        ({"report": {**REPORT, "reconciled": False}}, "the verdict of the report is: Not reconciled"),
        ({"extractions": 5845}, "MongoDB counts 5,846 messages and 5,845 extractions"),
    ],
)
def test_any_disagreement_is_a_problem_and_is_shown(change, problem):
    """Each of the three witnesses counts."""
    outcome = replace(GOOD, **change)
    assert problem in outcome.problems
    assert problem in shown(show_outcome, outcome)


def test_what_else_was_seen_counts_and_is_shown():
    """A check is a line of its own; one that is not as it should be fails the demo."""
    outcome = replace(GOOD, checks=(Check("one [was] lost", passed=True), Check("two hang", passed=False)))
    text = shown(show_outcome, outcome)
    assert "✓ one [was] lost" in text
    assert "✗ two hang" in text
    assert outcome.problems == ["two hang"]


def test_the_report_and_the_entities_are_shown():
    """Numbers as people write them; an entity's brackets are no markup."""
    text = shown(show_outcome, GOOD)
    for part in ("5,846", "5,800", "46", "succeeded", "Reconciled: nothing was lost", "ORG", "[CS]", "28"):
        assert part in text


def test_a_failed_tasks_log_is_shown_with_its_place(tmp_path):
    """The last lines, without the logging's machinery."""
    log = tmp_path / "attempt=1.log"
    log.write_text('{"level": "error", "event": "boom", "filename": "x.py"}\n', encoding="utf-8")
    text = shown(show_outcome, replace(GOOD, state="failed", log=log))
    assert "error boom" in text
    assert str(log) in text


def test_a_kept_demo_tells_its_addresses():
    """Airflow's page of the run, its progress, a line for mongosh, and how to end it."""
    text = shown(show_places, GOOD, kept=True)
    for part in (
        "http://127.0.0.1:1/dags/x\n",
        "http://127.0.0.1:1/dags/x/plugin/p",
        'mongosh "mongodb://127.0.0.1:2"',
        "make demo-down",
    ):
        assert part in text
    assert "make demo KEEP=1" in shown(show_places, GOOD, kept=False)
    celery = replace(GOOD, command="make demo-celery")
    assert "make demo-celery KEEP=1" in shown(show_places, celery, kept=False)


def test_a_saved_report_is_a_file_to_open():
    """It stays when the servers have ended; where none was saved, none is named."""
    page = Path("/demo/reports/ner_backfill/r.html")
    for kept in (True, False):
        assert f"The report in a browser: {page}" in shown(show_places, replace(GOOD, page=page), kept=kept)
        assert "in a browser" not in shown(show_places, GOOD, kept=kept)


def test_a_server_that_stays_has_its_line_for_mongosh():
    """The user's own outlives the demo; ours does not."""
    own = replace(GOOD, server="$MONGODB_URI", own_server=True)
    assert 'mongosh "$MONGODB_URI"' in shown(show_places, own, kept=False)
    assert 'mongosh "' not in shown(show_places, GOOD, kept=False)


def test_every_part_has_its_duration():
    """And there is a last line for all."""
    text = shown(show_durations, {"MongoDB": 1.26, "Airflow": 13.0}, 20.0)
    for part in ("MongoDB", "1.3", "13.0", "20.0"):
        assert part in text


def test_a_missing_log_is_no_trouble():
    """Without a failed task there is nothing to show."""
    assert "The whole log" not in shown(show_outcome, replace(GOOD, log=None))
