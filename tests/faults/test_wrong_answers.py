"""Answers with status 200 that cannot be right.

They are never written, and only the right document is blamed.
"""

from __future__ import annotations

import pytest

from engine import Status
from tests.support.misbehaviour import answering, changed_entity, entities_of, html, in_utf16, status

pytestmark = pytest.mark.asyncio

DOCUMENTS = 160
WRONG = {
    "too few results": answering(lambda texts: [entities_of(text) for text in texts][:-1]),
    "too many results": answering(lambda texts: [[] for _ in texts] + [[]]),
    "no list of results": answering(lambda _texts: "fine"),
    "an offset beyond the text": changed_entity(end=10_000),
    "a negative offset": changed_entity(start=-1),
    "an end before its start": changed_entity(start=9, end=8),
    "another surface form": changed_entity(text="somebody else"),
    "offsets that are no numbers": changed_entity(start="0"),
    "offsets that are true and false": changed_entity(start=False),
    "a label that is none": changed_entity(label=None),
    "a score that is not a number": changed_entity(score=float("nan")),
    "entities that are none": answering(lambda texts: [["who?"] for _ in texts]),
}


async def test_trap_27_every_answer_is_checked(work, text_of):
    """Twelve kinds of wrong answers, each for one text: only their documents become dead letters."""
    await work.fill(DOCUMENTS)
    bad = dict(zip(range(5, DOCUMENTS, 12), WRONG.values(), strict=False))
    work.service.poison = {text_of(number): wrong for number, wrong in bad.items()}

    report = await work.run(max_dead_letters=len(WRONG))

    assert (report.status, report.reconciled) == (Status.SUCCEEDED, True)
    letters = await work.dead_letters()
    assert set(letters) == set(bad)
    assert len(bad) == len(WRONG)
    assert {(letter["kind"], letter["attempts"]) for letter in letters.values()} == {("permanent", 1)}
    assert not any(text_of(number) in letter["message"] for number, letter in letters.items())
    assert await work.stored() == work.fault_free(set(range(DOCUMENTS)) - set(bad))


async def test_trap_27_offsets_in_utf16_units_are_found_out(work):
    """The service counts an emoji as two units: no shifted entity is written, and each reason says so."""
    await work.fill(DOCUMENTS)
    work.service.down = answering(lambda texts: [in_utf16(text) for text in texts])

    report = await work.run()

    assert (report.status, report.reconciled) == (Status.FAILED, True)
    assert await work.stored() == {}
    letters = await work.dead_letters()
    assert len(letters) == DOCUMENTS
    assert all("offset" in letter["message"] for letter in letters.values())


async def test_trap_27_wrong_answers_to_everything_are_an_outage(work):
    """A proxy answers everything with its welcome page: the run waits and blames no document."""
    await work.fill(DOCUMENTS)
    work.service.down = html

    report = await work.run(max_attempts=2, max_outage_s=0.05)

    assert (report.status, report.dead_lettered) == (Status.INTERRUPTED, 0)
    assert "text/html" in report.problems[0]


async def test_a_proxy_page_for_one_text_is_asked_again_before_it_is_blamed(work, text_of):
    """A firewall blocks one text as an attack: only that document becomes a dead letter, after all attempts.

    The page of a proxy that restarts goes away on a retry: it says nothing about the texts.
    """
    await work.fill(40)
    work.service.poison = {text_of(7): html}
    work.service.script.append(html)

    report = await work.run(max_attempts=2, max_dead_letters=1, max_concurrency=1)

    assert (report.status, report.written, report.dead_lettered) == (Status.SUCCEEDED, 39, 1)
    letter = (await work.dead_letters())[7]
    assert (letter["kind"], letter["attempts"], letter["status"]) == ("transient", 2, 200)
    assert "content type text/html" in letter["message"]


async def test_trap_26_an_empty_entity_list_is_a_success(work):
    """An answer without entities is written like any other, and requested only once."""
    await work.fill(DOCUMENTS)
    work.service.down = answering(lambda texts: [[] for _ in texts])

    report = await work.run()
    again = await work.run()

    assert (report.status, report.written, report.dead_lettered) == (Status.SUCCEEDED, DOCUMENTS, 0)
    assert await work.stored() == {number: [] for number in range(DOCUMENTS)}
    assert (again.unchanged, again.requests) == (DOCUMENTS, 0)


async def test_trap_26_a_json_body_with_status_500_is_no_answer(work):
    """Results in the body of a 500 are not used; the request is retried."""
    await work.fill(8)
    work.service.script.append(status(500, {"results": [[] for _ in range(8)]}))

    report = await work.run()

    assert (report.status, report.retries) == (Status.SUCCEEDED, 1)
    assert await work.stored() == work.fault_free(range(8))
