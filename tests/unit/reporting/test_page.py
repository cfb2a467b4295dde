"""The HTML report of a run shows the right numbers and verdict."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from engine import Status
from engine.observing.timeline import Sample, Timeline
from engine.reporting.page import render
from engine.reporting.report_data import DeadLetterRow, DeadLetters, TopEntities
from tests.support.report_pages import START, html_of, range_of, report_data_of

VERDICTS = {
    "good": (
        [range_of(0), range_of(1)],
        {},
        ["Reconciled: nothing was lost", "Every planned range reported (2)"],
    ),
    "lost range": ([range_of(0)], {"planned": 2}, ["Not reconciled", "1 of 2 ranges did not report: 0001"]),
    "lost document": (
        [range_of(0, written=90)],
        {},
        ["Not reconciled", "8 documents are unaccounted for", "≠"],
    ),
    "failed": (
        [range_of(0), range_of(1, Status.FAILED, 40, problems=("the disk is full",), reason="WriteError")],
        {},
        ["Not reconciled", "the disk is full", "WriteError", "1 of 2 ranges succeeded"],
    ),
    "interrupted": (
        [range_of(0, Status.INTERRUPTED, 40, problems=("cancelled",))],
        {},
        ["Interrupted: not reconciled yet", "resume from its checkpoints", "40 of 100 planned documents"],
    ),
    "dead letters": (
        [range_of(0), range_of(1)],
        {"allowed": 1},
        ["Reconciled, but failed", "max_dead_letters allows 1"],
    ),
    "running": ([range_of(0), range_of(1, Status.RUNNING, 40)], {}, ["Not finished yet", "(70%)"]),
    "empty": ([], {}, ["Reconciled: nothing was lost", "The window holds no documents"]),
    "grown": ([range_of(0, read=130)], {}, ["Reconciled", "range 0000 read 30 more than planned"]),
}


@pytest.mark.parametrize(("reports", "more", "said"), VERDICTS.values(), ids=VERDICTS)
def test_the_verdict_says_whether_the_run_reconciles_and_why(reports, more, said):
    """It says so in words at the top, and never says the opposite."""
    text = html_of(*reports, **more).text
    assert [words for words in said if words not in text] == []
    assert ("Not reconciled" in text) == (said[0] == "Not reconciled")


def test_the_totals_are_those_of_the_report():
    """They are shown as an equation: read = written + unchanged + dead-lettered."""
    text = html_of(*(range_of(n) for n in range(12))).text
    assert "Read 1,200 = Written 1,176 + Unchanged 12 + Dead-lettered 12" in text


def test_retries_are_told_by_class():
    """Retries that are neither throttled nor refused are counted as transient."""
    report = range_of(0, requests=100, retries=20, throttled=7, refused=1)
    text = html_of(report).text
    assert "20 of 100 requests were retries (20%)" in text
    counts = re.findall(r"(Throttled|Transient|Refused)\D+(\d+)", text[text.index("Retries by class") :])
    assert counts[:3] == [("Throttled", "7"), ("Transient", "12"), ("Refused", "1")]


def test_the_slowest_ranges_come_first():
    """Ten are listed; a run with at most ten ranges has only the table of all."""
    html = render(report_data_of(*(range_of(n) for n in range(12))))
    slowest = html[html.index("Slowest ranges") : html.index("Retries by class")]
    rows = re.findall(r'<th scope="row"[^>]*><bdi>(\d+)', slowest)
    assert rows == [f"{n:04d}" for n in range(11, 1, -1)]
    assert "Slowest ranges" not in render(report_data_of(range_of(0), range_of(1)))


def test_two_hundred_ranges_are_all_there():
    """Each has its columns in the chart and its row, in a report of some hundred kilobytes."""
    html = render(report_data_of(*(range_of(n) for n in range(200)), allowed=999))
    assert html.count("<g class=") == 200
    assert len(re.findall(r"<bdi>0\d\d\d</bdi>", html)) == 210
    assert len(html.encode()) < 300_000


def test_ranges_that_did_not_succeed_are_named_below_their_columns():
    """Colour alone is not enough to tell them; a range that did not report has a column too."""
    parsed = html_of(range_of(0, Status.FAILED), range_of(1), range_of(2, Status.INTERRUPTED), planned=4)
    assert "0000 ✕ failed 0002 ‖ interrupted 0003 ? missing" in parsed.text
    titles = [words for words in parsed.words if "did not report" in words and "·" in words]
    assert titles == ["0003 · 2026-01-01 03:00 .. 04:00: did not report"]


def test_the_course_is_drawn_where_there_are_samples():
    """Mean and maximum are given in words; without samples, the report says so."""
    line = Timeline().with_start(START, 0).with_sample(Sample(START + timedelta(seconds=10), 100, 4.0, 8.0))
    text = html_of(range_of(0), timelines={"0000": line}).text
    assert "Documents a second 10 on average, 10 at most" in text
    assert "Requests in flight 4 on average, 4 at most; dashed: the limit" in text
    assert "too short for samples" in html_of(range_of(0)).text


def test_dead_letters_are_counted_by_class_and_the_first_listed():
    """The report says how many were resolved since, and shows neither texts nor messages."""
    first = DeadLetterRow('{"$oid": "5b"}', "permanent", 422, 3, "0000", START, resolved=True)
    text = html_of(range_of(0), letters=DeadLetters({"permanent": 7, "transient": 2}, 1, (first,))).text
    assert "1 of them have succeeded since. The first 1 of 9, by _id:" in text
    assert "7 permanent 2 transient" in text
    assert '{"$oid": "5b"} permanent resolved since 422 3 0000 2026-01-01 00:00:00 UTC' in text


def test_entities_are_there_only_if_they_were_looked_up():
    """Entities are parts of texts; if they come from a sample, the report says so."""
    top = TopEntities((("GPE", "Paris", 1234), ("ORG", "NASA", 5)), 50, 100)
    text = html_of(range_of(0), entities=top).text
    assert "A sample: the 50 documents written last, of 100. " in text
    assert "Paris GPE 1,234 NASA ORG 5" in text
    without = html_of(range_of(0)).text
    assert "entities" not in without.lower()
    assert "Contains no part of any text." in without
