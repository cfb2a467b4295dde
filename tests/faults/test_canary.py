"""The canary: the first request, whose answer shows whether the service counts offsets in another unit."""

from __future__ import annotations

import pytest

from engine import Status
from engine.extractors.offsets import CANARY_TEXT
from tests.support.misbehaviour import answering, entities_of, html, reset, silence, status

pytestmark = pytest.mark.asyncio

DOCUMENTS = 160


def in_utf16(text):
    """Returns the entities as a service does that counts offsets in UTF-16 code units."""

    def units(offset):
        return len(text[:offset].encode("utf-16-le")) // 2

    return [{**e, "start": units(e["start"]), "end": units(e["end"])} for e in entities_of(text)]


UTF16 = answering(lambda texts: [in_utf16(text) for text in texts])


async def test_trap_27_a_canary_tells_another_unit_before_any_document_is_sent(work):
    """The run fails at once, says what to set, and blames no document."""
    await work.fill(DOCUMENTS)
    work.service.down = UTF16

    report = await work.run(canary=True)

    assert (report.status, report.read, report.dead_lettered) == (Status.FAILED, 0, 0)
    assert "counts offsets in UTF-16 code units, not in code points" in report.problems[0]
    assert "offsets='utf16'" in report.problems[0]
    assert set(work.service.received) == {CANARY_TEXT}
    assert await work.dead_letters() == {}


async def test_trap_27_the_unit_the_canary_names_makes_it_right(work):
    """With `offsets` set as the message says, the results are those of a service that counts code points."""
    await work.fill(DOCUMENTS)
    work.service.down = UTF16

    report = await work.run(canary=True, offsets="utf16")

    assert (report.status, report.written, report.dead_lettered) == (Status.SUCCEEDED, DOCUMENTS, 0)
    assert await work.stored() == work.fault_free(range(DOCUMENTS))


async def test_trap_27_a_format_without_surface_forms_has_only_the_canary(work):
    """Presidio returns no surface forms: if it counted UTF-16 units, only the canary could detect it."""
    await work.fill(DOCUMENTS)

    async def presidio_in_utf16(request, texts):
        results = [
            [{"start": e["start"], "end": e["end"], "score": 1.0, "entity_type": "X"} for e in in_utf16(text)]
            for text in texts
        ]
        return await status(200, results if len(texts) > 1 else results[0])(request, texts)

    work.service.down = presidio_in_utf16

    report = await work.run(format="presidio", canary=True)

    assert (report.status, report.dead_lettered) == (Status.FAILED, 0)
    assert "offsets='utf16'" in report.problems[0]
    assert await work.stored() == {}


@pytest.mark.parametrize(
    "fault",
    [
        status(503),
        status(429, Retry_After="3600"),
        status(401),
        reset,
        silence,
        html,
        answering(lambda _texts: [[]]),
        answering(lambda _texts: []),
        answering(lambda _texts: "fine"),
    ],
    ids=["503", "429", "401", "reset", "silence", "html", "nothing found", "no result", "nonsense"],
)
async def test_a_canary_that_is_not_answered_concludes_nothing(work, fault):
    """The real calls start at once: no retry is charged, nothing waits, and the canary is not sent again."""
    await work.fill(DOCUMENTS)
    work.service.script.append(fault)

    report = await work.run(canary=True, timeout_s=0.2)

    assert (report.status, report.written, report.dead_lettered) == (Status.SUCCEEDED, DOCUMENTS, 0)
    assert (report.retries, report.throttled) == (0, 0)
    assert work.service.received[CANARY_TEXT] == 1


async def test_a_canary_is_sent_once_and_counts_for_nothing(work):
    """Ranges and callers that share an extractor send one canary, before all else; no report counts it."""
    await work.fill(200)

    report = await work.run(canary=True, max_concurrency=8, range_documents=100)

    assert report.status is Status.SUCCEEDED
    assert len(report.ranges) > 1
    assert work.service.calls[0].texts == (CANARY_TEXT,)
    assert work.service.received[CANARY_TEXT] == 1
    assert report.requests == len(work.service.calls) - 1
    assert await work.stored() == work.fault_free(range(200))
