"""`max_dead_letter_share`: a run in which most documents fail stops early, and a rerun goes on."""

from __future__ import annotations

import pytest

from engine import Entity, Settings, Status, Window, run
from engine.planning.planner import load_plan
from engine.report import RunReport
from engine.running.run import as_of_now, range_reports
from tests.support.misbehaviour import status
from tests.support.settings import settings_with

pytestmark = pytest.mark.asyncio

DOCUMENTS = 2000
QUICK = {"range_documents": 200, "max_dead_letters": DOCUMENTS, "batch_texts": 4, "max_concurrency": 4}


async def refuse(texts):
    """Refuses each text."""
    raise ValueError("no model is loaded")


async def extract(texts):
    """Finds the first letter."""
    return [[Entity(0, 1, "LETTER", text[0])] for text in texts]


def settings_of(**values):
    """Settings that allow any number of dead letters, in small ranges."""
    return settings_with(Settings(**QUICK), retry_base_s=0.001, retry_max_s=0.002, **values)


def refuse_all(work, text_of, numbers=range(DOCUMENTS)):
    """The service refuses these texts, and no probe."""
    work.service.poison = {text_of(number): status(422) for number in numbers}


async def test_a_run_in_which_most_fail_stops_early_and_goes_on_after_the_mend(work, text_of):
    """It has failed, says how many of how many and why, and most documents were never sent."""
    await work.fill(DOCUMENTS)
    refuse_all(work, text_of)

    report = await work.run(**QUICK, max_dead_letter_share=0.5)

    assert report.status is Status.FAILED
    assert 100 <= report.dead_lettered <= 400
    told = next(problem for problem in report.problems if "max_dead_letter_share allows 0.5" in problem)
    assert "100 of the first 100 documents were dead-lettered (100%)" in told or "of the first 10" in told
    assert "HTTP 422" in told
    assert len(await work.dead_letters()) >= report.dead_lettered
    assert sum(r.status is Status.FAILED for r in report.ranges) == 1
    stored = await _stored(work, report)
    assert (stored.status, stored.problems[-1]) == (Status.FAILED, report.problems[-1])

    work.service.poison = {}
    report = await work.run(**QUICK, max_dead_letter_share=0.5)
    assert (report.status, report.reconciled) == (Status.SUCCEEDED, True)
    assert report.written + report.dead_lettered == DOCUMENTS
    assert report.dead_lettered <= 400


async def _stored(work, report) -> RunReport:
    """The report as `status` shows it."""
    settings = settings_with(Settings(**QUICK))
    plan = await load_plan(report.run_id, work.database, settings)
    return as_of_now(plan, await range_reports(plan, work.database, settings), settings)


async def test_a_smaller_share_does_not_stop_the_run(work, text_of):
    """Every tenth document fails, and half are allowed."""
    await work.fill(DOCUMENTS)
    refuse_all(work, text_of, range(0, DOCUMENTS, 10))
    report = await work.run(**QUICK, max_dead_letter_share=0.5)
    assert (report.status, report.dead_lettered) == (Status.SUCCEEDED, DOCUMENTS // 10)


async def test_the_share_is_that_of_all_ranges(work, text_of):
    """One range in ten fails as a whole, and the others pass: the run goes on to the end."""
    await work.fill(DOCUMENTS)
    refuse_all(work, text_of, range(1000, 1150))
    report = await work.run(**QUICK, max_dead_letter_share=0.3)
    assert (report.status, report.dead_lettered) == (Status.SUCCEEDED, 150)


async def test_by_default_no_share_stops_a_run(work):
    """All documents fail, and all are tried; `max_dead_letters` judges at the end."""
    await work.source.insert_many([{"_id": n, "created_at": n, "text": n} for n in range(300)])
    await work.source.create_index([("created_at", 1), ("_id", 1)])
    settings = settings_of(order_type="number", max_dead_letters=0)
    places = {"source": work.source, "target": work.database}
    report = await run(Window(), extractor=extract, settings=settings, **places)
    assert (report.status, report.dead_lettered, report.reconciled) == (Status.FAILED, 300, True)


async def test_documents_without_a_text_count_too(work):
    """They need no request: field, type and number are named."""
    await work.source.insert_many([{"_id": n, "created_at": n, "text": [n]} for n in range(DOCUMENTS)])
    await work.source.create_index([("created_at", 1), ("_id", 1)])
    settings = settings_of(order_type="number", max_dead_letter_share=0.1, page_documents=50)
    places = {"source": work.source, "target": work.database}
    report = await run(Window(), extractor=extract, settings=settings, **places)
    assert report.status is Status.FAILED
    assert any("x field 'text' is of type list" in problem for problem in report.problems)
    assert report.dead_lettered < DOCUMENTS


async def test_unchanged_documents_do_not_hide_a_failure(work, text_of):
    """A rerun finds most documents unchanged; all others fail, which is the share that counts."""
    await work.fill(DOCUMENTS // 2)
    assert (await work.run(**QUICK)).written == DOCUMENTS // 2
    await work.source.insert_many(
        [{"_id": n, "created_at": d["created_at"], "text": text_of(n)} for n, d in _later(work)]
    )
    refuse_all(work, text_of, range(DOCUMENTS // 2, DOCUMENTS))
    report = await work.run(**QUICK, max_dead_letter_share=0.9, run_id="again")
    assert report.status is Status.FAILED
    assert any("max_dead_letter_share" in problem for problem in report.problems)
    assert report.dead_lettered < DOCUMENTS // 2


def _later(work):
    from tests.support.work import document  # noqa: PLC0415

    return [(n, document(n)) for n in range(DOCUMENTS // 2, DOCUMENTS)]


async def test_few_documents_are_not_judged(work, text_of):
    """Below `tuning.dead_letter_share_documents` chance may decide."""
    await work.fill(60)
    refuse_all(work, text_of, range(50))
    report = await work.run(**QUICK, max_dead_letter_share=0.1)
    assert (report.status, report.dead_lettered) == (Status.SUCCEEDED, 50)
    refuse_all(work, text_of, range(60))
    report = await work.run(
        **QUICK, max_dead_letter_share=0.1, dead_letter_share_documents=20, run_id="again", force=True
    )
    assert report.status is Status.FAILED
