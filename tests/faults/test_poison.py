"""Texts that the service cannot process: only their documents become dead letters."""

from __future__ import annotations

from datetime import datetime

import pytest
from bson import json_util

from engine import Status
from engine.model import hash_text
from tests.support.misbehaviour import status

pytestmark = pytest.mark.asyncio

DOCUMENTS = 300
POISON = {3: 400, 4: 500, 77: 413, 150: 500, 299: 422}
"""Number and status: two in one batch, one in the midst, one at a range's beginning, one at the very end."""


@pytest.fixture
def poisoned(work, text_of):
    """A source with five poison texts: the service refuses some and crashes on the others."""
    work.service.poison = {text_of(number): status(code) for number, code in POISON.items()}
    return work


async def test_trap_23_one_bad_text_does_not_fail_its_batch(poisoned, text_of):
    """Exactly the five documents become dead letters, with their reasons; all others are written once."""
    await poisoned.fill(DOCUMENTS)

    report = await poisoned.run(max_attempts=3, max_dead_letters=5)

    assert (report.status, report.reconciled) == (Status.SUCCEEDED, True)
    assert (report.written, report.dead_lettered) == (DOCUMENTS - 5, 5)
    assert await poisoned.stored() == poisoned.fault_free(set(range(DOCUMENTS)) - set(POISON))
    letters = await poisoned.dead_letters()
    assert set(letters) == set(POISON)
    for number, letter in letters.items():
        expected = ("transient", 3) if POISON[number] == 500 else ("permanent", 1)
        assert (letter["kind"], letter["attempts"]) == expected
        assert letter["status"] == POISON[number]
        assert letter["text_length"] == len(text_of(number))
        assert isinstance(letter["first_at"], datetime)
        assert letter["resolved_at"] is None


async def test_trap_23_ten_poison_texts_among_twenty_thousand(work, text_of):
    """Each poison text fails its whole batch with 500; only these ten documents become dead letters."""
    count, poison = 20_000, set(range(777, 20_000, 2_000))
    await work.fill(count)
    work.service.poison = {text_of(number): status(500) for number in poison}

    report = await work.run(max_dead_letters=10, batch_texts=32, range_documents=10_000)

    assert (report.status, report.written, report.dead_lettered) == (Status.SUCCEEDED, count - 10, 10)
    assert set(await work.dead_letters()) == poison
    assert set(await work.stored()) == set(range(count)) - poison
    assert report.requests <= count / 32 + 10 * 25


async def test_a_dead_letter_says_all_but_the_text(poisoned, text_of):
    """It has class, status, start of the body, times, run, range, text length and hash.

    The text itself is stored only on request.
    """
    await poisoned.fill(DOCUMENTS)
    report = await poisoned.run(max_attempts=2, max_dead_letters=5)

    letter = (await poisoned.dead_letters())[150]

    assert letter["first_at"] <= letter["last_at"]
    assert (letter["run_id"], letter["range_id"]) == (report.run_id, report.ranges[1].range_id)
    assert "HTTP 500" in letter["message"]
    assert "scripted 500" in letter["message"]
    assert (letter["text_length"], letter["text_hash"]) == (len(text_of(150)), hash_text(text_of(150)))
    assert "text" not in letter

    await poisoned.run(max_attempts=2, run_id="again", keep_failed_text=True)
    assert (await poisoned.dead_letters())[150]["text"] == text_of(150)


async def test_trap_33_a_limit_in_all_is_not_enforced_per_range(poisoned):
    """Of five dead letters no range has more than four, yet the run exceeds the limit of four and fails."""
    await poisoned.fill(DOCUMENTS)

    report = await poisoned.run(max_attempts=1, max_dead_letters=4)
    assert max(r.dead_lettered for r in report.ranges) <= 4
    assert all(r.status is Status.SUCCEEDED for r in report.ranges)
    assert (report.status, report.dead_lettered) == (Status.FAILED, 5)
    assert report.dead_lettered == sum(r.dead_lettered for r in report.ranges)
    assert report.read == sum(r.read for r in report.ranges)

    report = await poisoned.run(max_attempts=1, max_dead_letters=5, run_id="again")
    assert (report.status, report.dead_lettered) == (Status.SUCCEEDED, 5)


async def test_no_text_is_kept_outside_the_source(poisoned, text_of):
    """Dead letters, plans, checkpoints and reports never contain the text of a document."""
    await poisoned.fill(DOCUMENTS)
    await poisoned.run(max_attempts=1)

    for name in ("messages_dead_letters", "engine_plans", "engine_checkpoints"):
        kept = json_util.dumps(await poisoned.database[name].find().to_list(length=None), ensure_ascii=False)
        assert kept != "[]"
        assert not any(text_of(number) in kept for number in range(DOCUMENTS))


async def test_an_error_that_quotes_the_text_does_not_store_it(work, text_of):
    """FastAPI, for example, quotes invalid input in the body of a 422; the quoted text is removed."""
    await work.fill(40)
    quoted = {"detail": [{"loc": ["body", "texts", 0], "msg": "too long", "input": text_of(7)}]}
    work.service.poison = {text_of(7): status(422, quoted)}

    await work.run(batch_texts=1)

    letter = (await work.dead_letters())[7]
    assert "too long" in letter["message"]
    assert f"Ada{7}" not in letter["message"]


async def test_more_dead_letters_than_allowed_fail_the_run_after_all_is_done(poisoned):
    """With `max_dead_letters` 0 the run fails, but only after all other documents are written."""
    await poisoned.fill(DOCUMENTS)

    report = await poisoned.run(max_attempts=2, max_dead_letters=0)

    assert (report.status, report.reconciled) == (Status.FAILED, True)
    assert "5 documents were dead-lettered" in report.problems[0]
    assert len(await poisoned.stored()) == DOCUMENTS - 5


async def test_a_rerun_after_the_cure_resolves_the_dead_letters(poisoned):
    """A rerun sends only the five texts, writes them, and marks the dead letters as resolved."""
    await poisoned.fill(DOCUMENTS)
    await poisoned.run(max_attempts=2)
    poisoned.service.poison.clear()
    poisoned.service.calls.clear()

    report = await poisoned.run()

    assert (report.status, report.written, report.unchanged) == (Status.SUCCEEDED, 5, DOCUMENTS - 5)
    assert await poisoned.stored() == poisoned.fault_free(range(DOCUMENTS))
    assert sum(poisoned.service.received.values()) == 5
    letters = await poisoned.dead_letters()
    assert set(letters) == set(POISON)
    assert all(isinstance(letter["resolved_at"], datetime) for letter in letters.values())


async def test_a_whole_batch_of_poison_is_isolated_too(work, text_of):
    """If every text of a batch is bad, the probe with a known good text shows that the service works."""
    await work.fill(40)
    work.service.poison = {text_of(number): status(422) for number in range(8, 16)}

    report = await work.run(max_dead_letters=8, max_concurrency=1)

    assert (report.status, report.dead_lettered) == (Status.SUCCEEDED, 8)
    assert set(await work.dead_letters()) == set(range(8, 16))


async def test_trap_18_presidio_tells_bad_input_by_its_body(work, text_of):
    """Presidio's 500 with "No text provided" is a refusal: one attempt, no retry, no pause."""
    await work.fill(40)
    work.service.poison = {text_of(7): status(500, {"error": "No text provided"})}

    report = await work.run(format="presidio", max_dead_letters=1, batch_texts=1)

    assert report.status is Status.SUCCEEDED
    letter = (await work.dead_letters())[7]
    assert (letter["kind"], letter["status"], letter["attempts"]) == ("permanent", 500, 1)


async def test_trap_28_retries_of_one_document_leave_its_neighbours_alone(work, text_of):
    """Attempts spent on one document are not counted against the next one."""
    await work.fill(40)
    flaws = {text_of(number): [status(503), status(503)] for number in range(0, 40, 4)}
    work.service.poison = {text: _curing(faults, work.service, text) for text, faults in flaws.items()}

    report = await work.run(batch_texts=1, max_concurrency=1, max_attempts=3)

    assert (report.status, report.retries, report.dead_lettered) == (Status.SUCCEEDED, 20, 0)


def _curing(faults, service, text):
    """A poison text that causes these faults in turn, and then succeeds."""

    async def fault(request, texts):
        answer = faults.pop()
        if not faults:
            del service.poison[text]
        return await answer(request, texts)

    return fault
