"""A request that is throttled for what it holds: it is halved, and a text that is put off alone is blamed."""

from __future__ import annotations

import asyncio

import pytest

from engine import Entity, ExtractionError, Failure, Status, Window, replay, run
from tests.support.misbehaviour import status
from tests.support.settings import settings_with

pytestmark = pytest.mark.asyncio

DOCUMENTS = 200
QUICK = {"max_throttled_s": 0.3, "max_outage_s": 30.0, "batch_texts": 32}

THROTTLED = {
    "429": status(429),
    "429 with a hint": status(429, Retry_After="0"),
    "503 with a hint": status(503, Retry_After="0"),
}


@pytest.mark.parametrize("word", THROTTLED)
@pytest.mark.parametrize("concurrency", [1, 4])
async def test_trap_53_a_text_that_is_always_put_off_is_one_dead_letter(work, text_of, word, concurrency):
    """The others of its request are written, and so are all others; a rerun finds nothing to do."""
    await work.fill(DOCUMENTS)
    work.service.poison = {text_of(77): THROTTLED[word]}

    report = await work.run(**QUICK, max_concurrency=concurrency)

    assert (report.written, report.dead_lettered, report.reconciled) == (DOCUMENTS - 1, 1, True)
    letter = (await work.dead_letters())[77]
    assert letter["kind"] == "throttled"
    assert letter["status"] in (429, 503)
    assert await work.stored() == work.fault_free(set(range(DOCUMENTS)) - {77})


async def test_trap_53_several_such_texts_are_found(work, text_of):
    """Two in one request, and one at the very end, after which no other request follows."""
    await work.fill(DOCUMENTS)
    bad = {3, 9, DOCUMENTS - 1}
    work.service.poison = {text_of(number): status(429) for number in bad}
    report = await work.run(**QUICK)
    assert (report.written, report.dead_lettered) == (DOCUMENTS - 3, 3)
    assert set(await work.dead_letters()) == bad


@pytest.mark.parametrize("most", [1, 3, 8])
async def test_trap_53_if_only_small_requests_pass_all_texts_do(work, most):
    """The size is learnt as if the large ones were refused; `max_throttled_s` need not pass."""
    await work.fill(DOCUMENTS)
    limit_texts(work.service, most)
    report = await work.run(batch_texts=32, max_throttled_s=600.0)
    assert (report.status, report.written, report.dead_lettered) == (Status.SUCCEEDED, DOCUMENTS, 0)
    assert len(work.service.calls) < 20 * DOCUMENTS / most + 400


def limit_texts(service, most):
    """Puts every request of more texts off."""
    fault_for = service._fault_for
    service._fault_for = lambda texts: status(429) if len(texts) > most else fault_for(texts)


async def test_trap_53_a_function_that_reports_it_is_treated_in_the_same_way(work):
    """An ExtractionError with the class `throttled` for one text; a replay takes the letter by its class."""
    await work.fill(40)
    full = [True]

    async def extract(texts):
        if full[0] and any(text.startswith("message 7 ") for text in texts):
            raise ExtractionError("too many tokens", failure=Failure.THROTTLED)
        return [[Entity(0, 1, "LETTER", text[0])] for text in texts]

    settings = settings_with(**QUICK, retry_base_s=0.001, retry_max_s=0.01, max_dead_letters=1)
    where = {"source": work.source, "target": work.database, "settings": settings}
    report = await run(Window(), extractor=extract, **where)
    assert (report.status, report.written, report.dead_lettered) == (Status.SUCCEEDED, 39, 1)

    full[0] = False
    report = await replay(Window(), extractor=extract, kinds=["throttled"], **where)
    assert (report.status, report.written) == (Status.SUCCEEDED, 1)


async def test_trap_53_a_busy_service_blames_no_text(work):
    """It holds two requests at once and puts off all others, while others get through: all are written."""
    await work.fill(400)
    work.service.queue, work.service.delay_s = 2, 0.005
    report = await work.run(batch_texts=8, max_concurrency=16, min_concurrency=16)
    assert (report.status, report.written, report.dead_lettered) == (Status.SUCCEEDED, 400, 0)
    assert report.throttled > 0


async def test_trap_53_a_pause_for_all_is_waited_out(work):
    """Everything is put off for a while, longer than a request may be: the run resumes, and blames nobody."""
    await work.fill(DOCUMENTS)

    async def busy_for_a_while():
        await asyncio.sleep(0.1)
        work.service.down = status(429)
        await asyncio.sleep(1.0)
        work.service.down = None

    pause = asyncio.create_task(busy_for_a_while())
    reports = [await work.run(**QUICK | {"batch_texts": 2, "max_throttled_s": 0.4}) for _ in range(2)]
    await pause
    reports.append(await work.run(**QUICK | {"batch_texts": 2}))
    assert reports[-1].status is Status.SUCCEEDED
    assert await work.dead_letters() == {}
