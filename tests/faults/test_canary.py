"""The canary: the first request, whose answer shows what the service does with offsets and with its input."""

from __future__ import annotations

import pytest

from engine import Status
from engine.extractors.canary import CANARY_REFUSALS
from engine.extractors.offsets import CANARY_TEXTS, PROBE_TEXT
from tests.support.misbehaviour import answering, entities_of, hang_up, html, in_utf16, reset, silence, status
from tests.support.ner_service import presidio_entities

pytestmark = pytest.mark.asyncio

DOCUMENTS = 160
UTF16 = answering(lambda texts: [in_utf16(text) for text in texts])


def presidio(entities):
    """A fault that answers in Presidio's format with the entities that the function finds in a text."""

    async def fault(request, texts):
        results = [presidio_entities(entities(text)) for text in texts]
        return await status(200, results if len(texts) > 1 else results[0])(request, texts)

    return fault


PRESIDIO_UTF16 = presidio(in_utf16)


def only_the_canary(work):
    """Whether the service has received nothing but texts of the engine's own."""
    return set(work.service.received) <= {*CANARY_TEXTS, PROBE_TEXT}


async def test_trap_27_a_canary_tells_another_unit_before_any_document_is_sent(work):
    """The run fails at once, says what to set, and blames no document."""
    await work.fill(DOCUMENTS)
    work.service.down = UTF16

    report = await work.run(canary=True)

    assert (report.status, report.read, report.dead_lettered) == (Status.FAILED, 0, 0)
    assert "counts offsets in UTF-16 code units, not in code points" in report.problems[0]
    assert "offsets='utf16'" in report.problems[0]
    assert work.service.received == dict.fromkeys(CANARY_TEXTS, 1)
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
    work.service.down = PRESIDIO_UTF16

    report = await work.run(format="presidio", canary=True)

    assert (report.status, report.dead_lettered) == (Status.FAILED, 0)
    assert "offsets='utf16'" in report.problems[0]
    assert await work.stored() == {}


COLD = {
    "503": status(503),
    "429": status(429),
    "429 with a hint": status(429, Retry_After="0"),
    "502": status(502),
    "504": status(504),
    "408": status(408),
    "reset": reset,
    "hang up": hang_up,
    "silence": silence,
    "html": html,
}


@pytest.mark.parametrize("fault", COLD.values(), ids=COLD.keys())
async def test_trap_51_a_canary_that_met_a_cold_start_is_asked_again(work, fault):
    """A service that counts UTF-16 units is found out however it begins, and nothing is written before."""
    await work.fill(DOCUMENTS)
    work.service.script.extend([fault] * 5 + [PRESIDIO_UTF16] * 1000)

    report = await work.run(format="presidio", canary=True, timeout_s=0.1)

    assert (report.status, report.read, report.dead_lettered) == (Status.FAILED, 0, 0)
    assert "offsets='utf16'" in report.problems[0]
    assert only_the_canary(work)
    assert await work.stored() == {}


@pytest.mark.parametrize("fault", COLD.values(), ids=COLD.keys())
async def test_trap_51_a_cold_start_costs_nothing(work, fault):
    """A healthy service gets the documents once it has answered the canary; no retry is counted."""
    await work.fill(DOCUMENTS)
    work.service.script.extend([fault] * 3)

    report = await work.run(canary=True, timeout_s=0.2, range_documents=40, range_concurrency=4)

    assert (report.status, report.written, report.dead_lettered) == (Status.SUCCEEDED, DOCUMENTS, 0)
    assert (report.retries, report.throttled) == (0, 0)
    calls = work.service.calls
    answered = next(n for n, call in enumerate(calls) if call.answered and call.texts == CANARY_TEXTS)
    assert {text for call in calls[:answered] for text in call.texts} <= {*CANARY_TEXTS, PROBE_TEXT}
    assert work.service.answered[CANARY_TEXTS[0]] == 1


async def test_trap_51_a_service_that_stays_cold_gets_no_document(work):
    """The run is interrupted after `max_outage_s`, as in any outage, and can be resumed."""
    await work.fill(DOCUMENTS)
    work.service.down = status(503)

    report = await work.run(canary=True, max_outage_s=0.1)
    assert (report.status, report.read, report.dead_lettered) == (Status.INTERRUPTED, 0, 0)
    assert "HTTP 503" in report.problems[0]
    assert only_the_canary(work)

    work.service.down = None
    report = await work.run(canary=True)
    assert (report.status, report.written) == (Status.SUCCEEDED, DOCUMENTS)


@pytest.mark.parametrize("code", [400, 401, 404, 413, 422])
async def test_a_canary_that_is_refused_for_good_concludes_nothing(work, code):
    """The service may not take its language or its length: the documents are sent."""
    await work.fill(DOCUMENTS)
    work.service.poison = dict.fromkeys(CANARY_TEXTS, status(code))

    report = await work.run(canary=True)

    assert (report.status, report.written, report.dead_lettered) == (Status.SUCCEEDED, DOCUMENTS, 0)


@pytest.mark.parametrize(
    "fault", [status(500), reset, status(503), html], ids=["500", "reset", "503", "html"]
)
async def test_a_canary_that_fails_alone_each_time_is_refused(work, fault):
    """The service breaks on its emoji, and answers everything else: that must not end the run."""
    await work.fill(DOCUMENTS)
    work.service.poison = dict.fromkeys(CANARY_TEXTS, fault)

    report = await work.run(canary=True)

    assert (report.status, report.written, report.dead_lettered) == (Status.SUCCEEDED, DOCUMENTS, 0)
    assert work.service.received[PROBE_TEXT] == CANARY_REFUSALS


async def test_one_canary_of_two_is_enough(work):
    """The service breaks on one of them; the other shows the unit."""
    await work.fill(DOCUMENTS)
    work.service.poison = {CANARY_TEXTS[0]: status(400), CANARY_TEXTS[1]: UTF16}

    report = await work.run(canary=True)

    assert (report.status, report.dead_lettered) == (Status.FAILED, 0)
    assert "offsets='utf16'" in report.problems[0]


async def test_a_service_that_takes_one_text_is_asked_text_by_text(work):
    """The batch is refused, as the batches of documents will be."""
    await work.fill(8)

    async def one_only(request, texts):
        answer = answering(lambda texts: [entities_of(text) for text in texts])
        return await (answer if len(texts) == 1 else status(413))(request, texts)

    work.service.down = one_only
    report = await work.run(canary=True)

    assert (report.status, report.written) == (Status.SUCCEEDED, 8)
    assert [len(call.texts) for call in work.service.calls[:3]] == [2, 1, 1]


async def test_a_canary_is_sent_once_and_counts_for_nothing(work):
    """Ranges and callers that share an extractor send one canary, before all else; no report counts it."""
    await work.fill(200)

    report = await work.run(canary=True, max_concurrency=8, range_documents=100)

    assert report.status is Status.SUCCEEDED
    assert len(report.ranges) > 1
    assert work.service.calls[0].texts == CANARY_TEXTS
    assert work.service.received[CANARY_TEXTS[0]] == 1
    assert report.requests == len(work.service.calls) - 1
    assert await work.stored() == work.fault_free(range(200))


async def test_a_canary_in_which_nothing_is_found_concludes_nothing(work):
    """A service may look for other things than names."""
    await work.fill(DOCUMENTS)
    work.service.script.append(answering(lambda texts: [[] for _ in texts]))

    report = await work.run(canary=True)

    assert (report.status, report.written) == (Status.SUCCEEDED, DOCUMENTS)
