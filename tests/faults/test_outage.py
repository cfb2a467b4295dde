"""A service that does not work at all: no document is blamed, and the work resumes later."""

from __future__ import annotations

import asyncio

import pytest

from engine import ExtractionError, HttpExtractor, Settings, Status, Tuning, Window, plan_ranges, run_range
from tests.support.misbehaviour import hang_up, html, reset, silence, status
from tests.support.ner_service import FaultyService

pytestmark = pytest.mark.asyncio

DOCUMENTS = 120
OUTAGES = {
    "503": (status(503), Status.INTERRUPTED),
    "500": (status(500), Status.INTERRUPTED),
    "reset": (reset, Status.INTERRUPTED),
    "silence": (silence, Status.INTERRUPTED),
    "401": (status(401), Status.FAILED),
    "404": (status(404), Status.FAILED),
    "429": (status(429, Retry_After="0"), Status.INTERRUPTED),
}
"""Each with how a range ends that meets it: what has never worked and refuses for good is not waited for."""
QUICK = {"max_attempts": 2, "max_throttled_s": 0.05, "max_outage_s": 0.05, "timeout_s": 0.1}


@pytest.mark.parametrize(("down", "ends"), OUTAGES.values(), ids=OUTAGES)
async def test_trap_24_an_outage_dead_letters_nothing(work, down, ends):
    """However the service fails, the run stops without dead letters.

    Once the service is back, the run succeeds.
    """
    await work.fill(DOCUMENTS)
    work.service.down = down

    report = await work.run(**QUICK)

    assert (report.status, report.reconciled, report.dead_lettered) == (ends, False, 0)
    assert "the service does not work" in report.problems[0]
    assert await work.dead_letters() == {}

    work.service.down = None
    report = await work.run(**QUICK)

    assert (report.status, report.written, report.dead_lettered) == (Status.SUCCEEDED, DOCUMENTS, 0)
    assert await work.stored() == work.fault_free(range(DOCUMENTS))


@pytest.mark.parametrize("look", [status(503), reset, silence, status(404), html], ids=lambda f: f.__name__)
async def test_trap_24_an_outage_in_mid_run_is_waited_out(work, look):
    """The service goes down after some calls and returns after five probes; the same run succeeds."""
    await work.fill(DOCUMENTS)
    down_after(work.service, 5, look, probes=5)

    report = await work.run(max_attempts=2, timeout_s=0.1, range_documents=DOCUMENTS, probe_max_s=0.1)

    assert (report.status, report.attempts, report.dead_lettered) == (Status.SUCCEEDED, 1, 0)
    assert await work.dead_letters() == {}
    assert await work.stored() == work.fault_free(range(DOCUMENTS))
    assert max(work.service.answered.values()) <= 2  # a text that is answered twice was a probe once


async def test_an_outage_in_mid_run_resumes_after_what_was_done(work):
    """Documents that were written before the outage stay, and are not sent again afterwards."""
    await work.fill(DOCUMENTS)
    extra = {"max_concurrency": 1, "range_concurrency": 1, "range_documents": DOCUMENTS, **QUICK}
    down_after(work.service, 10)

    report = await work.run(**extra)
    assert (report.status, report.dead_lettered) == (Status.INTERRUPTED, 0)
    done = await work.stored()
    assert 0 < len(done) < DOCUMENTS

    work.service.down = None
    work.service.calls.clear()
    report = await work.run(**extra)

    assert (report.status, report.attempts) == (Status.SUCCEEDED, 2)
    assert (report.read, report.dead_lettered) == (DOCUMENTS, 0)
    assert sum(work.service.received.values()) == DOCUMENTS - len(done)
    assert await work.stored() == work.fault_free(range(DOCUMENTS))


async def test_trap_24_an_outage_that_begins_under_a_call_blames_nobody(work, text_of):
    """Calls that succeeded before the outage are no evidence against a call that met it."""
    await work.fill(20)

    async def last_words(request, texts):
        while len(work.service.answered) < 3:  # noqa: ASYNC110  (others succeed meanwhile)
            await asyncio.sleep(0.005)
        work.service.down = status(503)
        return await status(503)(request, texts)

    work.service.poison = {text_of(0): last_words}

    report = await work.run(batch_texts=1, **QUICK)

    assert (report.status, report.dead_lettered) == (Status.INTERRUPTED, 0)
    assert await work.dead_letters() == {}


async def test_run_range_raises_what_the_service_said(work):
    """A range that meets an outage raises ExtractionError with the status and what to do."""
    await work.fill(20)
    work.service.down = status(401, {"error": "who are you?"})
    settings = Settings(max_attempts=2, tuning=Tuning(retry_base_s=0.0))
    plan = await plan_ranges(work.source, Window(), settings, target=work.database)

    with pytest.raises(ExtractionError, match=r"HTTP 401.*run again to resume") as raised:
        await run_range(
            plan.ranges[0],
            source=work.source,
            extractor=HttpExtractor(work.service.url),
            target=work.database,
            settings=settings,
        )

    assert raised.value.status == 401
    assert raised.value.range_id == plan.ranges[0].range_id


async def test_a_service_that_is_not_there_is_an_outage(work):
    """The connection is refused and the run stops; with another address it finishes."""
    await work.fill(20)
    async with FaultyService() as gone:
        pass
    here, work.service = work.service, gone
    assert (await work.run(**QUICK)).status is Status.INTERRUPTED
    work.service = here
    assert (await work.run(**QUICK)).status is Status.SUCCEEDED
    assert await work.dead_letters() == {}


async def test_an_outage_stops_its_own_flood(work):
    """While the service is down, each caller sends only the attempts of one batch and one probe."""
    await work.fill(DOCUMENTS)
    work.service.down = hang_up

    await work.run(range_documents=DOCUMENTS, range_concurrency=1, max_concurrency=4, **QUICK)

    attempts, callers = QUICK["max_attempts"], 4
    assert len(work.service.calls) <= attempts * callers * 2


def down_after(service: FaultyService, calls: int, look=None, *, probes: int | None = None) -> None:
    """Takes the service down at the call after this many, for good or until it was probed `probes` times."""
    look = look or status(503)
    left = [probes]

    async def down(request, texts):
        if probes and len(texts) == 1:
            left[0] -= 1
            if left[0] == 0:
                service.down = None
        return await look(request, texts)

    async def fault(request, texts):
        service.down = down
        return await down(request, texts)

    service.script.extend([None] * calls + [fault])
