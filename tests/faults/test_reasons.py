"""Why documents became dead letters is counted by reason, in the engine's own words, over all ranges."""

from __future__ import annotations

import asyncio
import io
import json

import pytest
from rich.console import Console

from engine import ExtractionError, Report, Status, Window, report_html, run
from engine.cli import display
from engine.model import MOST_REASONS, OTHER_REASONS, Counts
from engine.planning.planner import load_plan
from engine.wording import reasons_of
from tests.support.misbehaviour import changed_entity, html, status
from tests.support.report_pages import Parsed
from tests.support.settings import settings_with

pytestmark = pytest.mark.asyncio


async def told(work, report):
    """The reasons as the terminal, the HTML report and the stored report tell them."""
    output, settings = io.StringIO(), settings_with(run_id=report.run_id)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(display, "out", Console(file=output, width=60))
        display.show_report(report)
    plan = await load_plan(report.run_id, work.database, settings)
    page = Parsed(await report_html(plan, report, work.database, settings)).text
    stored = await work.database["engine_plans"].find_one({"_id": report.run_id})
    assert Report.from_json(json.loads(json.dumps(stored["report"]))).dead_letter_reasons == tuple(
        report.dead_letter_reasons
    )
    reasons = reasons_of(report.dead_letter_reasons)
    assert [reason for reason in reasons if reason not in page] == []
    assert [reason for reason in reasons if f"dead letters: {reason}" not in output.getvalue()] == []
    return reasons


async def test_documents_without_a_text_are_grouped(work):
    """Three kinds of values, in several ranges."""
    await work.fill(60)
    await work.source.update_many({"_id": {"$lt": 30}}, {"$set": {"text": ["a", "b"]}})
    await work.source.update_many({"_id": {"$gte": 30, "$lt": 41}}, {"$set": {"text": 5}})
    await work.source.update_many({"_id": {"$gte": 57}}, {"$unset": {"text": 1}})
    report = await work.run(range_documents=10)
    assert await told(work, report) == [
        "30 x field 'text' is of type list",
        "11 x field 'text' is of type int",
        "3 x field 'text' is missing or null",
    ]


async def test_answers_of_a_service_are_grouped(work, text_of):
    """Numbers in messages differ from document to document, and are left out of the reasons."""
    await work.fill(60)
    faults = {
        3: status(422, {"error": "Ada3 is odd"}),
        4: status(422, {"error": "Ada4 is odd"}),
        5: status(500),
        11: changed_entity(end=10_000),
        29: changed_entity(end=10_007, start=3),
        30: changed_entity(label=None),
        50: html,
    }
    work.service.poison = {text_of(number): fault for number, fault in faults.items()}
    report = await work.run(max_attempts=2, batch_texts=1, range_documents=20)
    assert await told(work, report) == [
        "2 x HTTP 422",
        "2 x a wrong answer: offsets N..N are outside a text of length N",
        "1 x HTTP 500",
        "1 x a wrong answer: the label must be a string, got NoneType",
        "1 x the answer is not JSON",
    ]
    stored = {letter["_id"]: letter["reason"] for letter in (await work.dead_letters()).values()}
    assert (stored[3], stored[50]) == ("HTTP 422", "the answer is not JSON")


async def test_failures_of_a_function_are_grouped_without_their_words(work, text_of):
    """Only the class of an exception is told: its message may hold a text."""
    await work.fill(12)

    async def extract(texts):
        if text_of(5) in texts:
            raise ValueError(texts[0])
        if text_of(6) in texts:
            raise ExtractionError(f"no {texts[0]}")
        return [[] for _ in texts]

    where = {"source": work.source, "target": work.database, "settings": settings_with(batch_texts=1)}
    report = await run(Window(), extractor=extract, **where)
    reasons = await told(work, report)
    assert reasons == ["1 x the extractor raises ValueError", "1 x the extractor reports a failure"]


async def test_reasons_are_counted_over_all_attempts(work):
    """A range that was stopped goes on with the reasons of its checkpoint; each document counts once."""
    await work.fill(40)
    await work.source.update_many({"_id": {"$lt": 40}}, {"$set": {"text": None}})
    await work.source.update_many({"_id": {"$mod": [10, 9]}}, {"$set": {"text": "Ada"}})
    work.service.down = status(503)
    stopped = await work.run(max_outage_s=0.01, batch_texts=1, page_documents=5)
    assert stopped.status is Status.INTERRUPTED
    work.service.down = None
    report = await work.run(max_outage_s=0.01, batch_texts=1, page_documents=5)
    assert (report.status, report.dead_lettered) == (Status.FAILED, 36)
    assert await told(work, report) == ["36 x field 'text' is missing or null"]


async def test_many_reasons_are_bounded():
    """Further ones are counted together, and nothing is lost."""
    total = Counts()
    for number in range(3 * MOST_REASONS):
        total += Counts(1, dead_lettered=1, reasons={f"reason {number}": 1})
    assert len(total.reasons) == MOST_REASONS + 1
    assert (sum(total.reasons.values()), total.reasons[OTHER_REASONS]) == (3 * MOST_REASONS, 2 * MOST_REASONS)
    assert Counts.from_document(total.to_document()).reasons == total.reasons
    lines = reasons_of(total.to_document()["dead_letter_reasons"])
    assert (len(lines), lines[0], lines[-1]) == (11, "100 x other reasons", "41 x 41 other reasons")
    await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("format", "asked", "others"),
    [
        ("gliner", "POST {url}/gliner", ("/extract (native)", "/analyze (presidio)")),
    ],
)
async def test_a_wrong_format_names_what_was_asked_and_what_others_ask(work, format, asked, others):  # noqa: A002
    """The address has neither query nor login; the run ends at once and blames no document."""
    await work.fill(8)
    url = work.service.url
    work.service.url = url.replace("http://", "http://me:secret@") + "?key=secret"
    report = await work.run(format=format)
    assert (report.status, report.dead_lettered) == (Status.FAILED, 0)
    (problem,) = {*report.problems}
    assert f"HTTP 404: format '{format}' asked {asked.format(url=url)};" in problem
    assert all(other in problem for other in others)
    assert "secret" not in problem


async def test_a_path_of_its_own_is_named(work):
    """A path in the address that is not there, and a method that is not allowed."""
    await work.fill(8)
    url = work.service.url
    work.service.url = f"{url}/v2/extract"
    report = await work.run()
    assert f"asked POST {url}/v2/extract; other formats ask" in report.problems[0]
    work.service.url = url
    work.service.down = status(405)
    assert "HTTP 405: format 'native' asked POST" in (await work.run(run_id="again")).problems[0]
