"""Deduplication in whole runs: the service's counters show how often each text was sent."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from engine import Status
from tests.support.misbehaviour import reset, status
from tests.support.ner_service import Flaky, entities_of
from tests.support.work import document

pytestmark = pytest.mark.asyncio

SAID = ["hi", "lol", "Ada is in Paris", "Yes", "how are you? 😀 Ada"]
"""Texts that come again and again."""


@pytest.fixture
def chat():
    """A thousand numbered documents; half of them repeat the text of another one."""
    rng = random.Random(1)
    said = [rng.choice(SAID) if rng.random() < 0.5 else f"Only {n} says so" for n in range(1000)]
    return [{**document(n), "text": text} for n, text in enumerate(said)]


@pytest.fixture
def work_on_chat(work, chat):
    """A run over the chat in one range with many batches in flight, and the texts sent."""

    async def run(**settings):
        await work.source.create_index([("created_at", 1), ("_id", 1)])
        await work.source.insert_many(chat)
        return await work.run(range_documents=1000, max_dead_letters=1000, **settings)

    return run


def expected(chat):
    """The entities that a run without faults writes."""
    return {d["_id"]: entities_of(d["text"]) for d in chat}


async def test_a_text_that_comes_again_is_sent_once(work, work_on_chat, chat):
    """Each document gets the entities of its text, although the service was sent each text only once."""
    work.service.delay_s = 0.005  # so that batches wait for each other's answers

    report = await work_on_chat()

    assert (report.status, report.written) == (Status.SUCCEEDED, 1000)
    assert await work.stored() == expected(chat)
    assert work.service.received == Counter({d["text"] for d in chat})


async def test_requests_are_full_of_new_texts(work, work_on_chat, chat):
    """Repeated texts take no room in a batch.

    There are as many requests as the distinct texts need, or one more a page.
    """
    report = await work_on_chat(batch_texts=32)

    distinct = len({d["text"] for d in chat})
    assert distinct < 600
    assert report.requests <= distinct / 32 + 3


async def test_without_the_cache_every_text_is_sent(work, work_on_chat, chat):
    """Without the cache, a text is sent once for each document that has it."""
    await work_on_chat(repeat_cache_texts=0)

    assert work.service.received == Counter(d["text"] for d in chat)
    assert await work.stored() == expected(chat)


async def test_faults_lose_no_repeat(work, work_on_chat, chat):
    """A failed request that is retried serves all who wait for its texts; each text is answered once."""
    work.service.flaky = Flaky(0.2, [status(503), reset])

    report = await work_on_chat(max_attempts=20, batch_attempts=20)

    assert (report.status, report.dead_lettered) == (Status.SUCCEEDED, 0)
    assert await work.stored() == expected(chat)
    assert work.service.answered == Counter({d["text"] for d in chat})


async def test_a_bad_text_in_many_documents_is_a_dead_letter_of_each(work, work_on_chat, chat):
    """The text is tried once; each document with it becomes a dead letter with that reason."""
    work.service.poison = {"lol": status(422)}

    report = await work_on_chat()

    bad = {d["_id"] for d in chat if d["text"] == "lol"}
    assert len(bad) > 50
    assert (report.status, report.reconciled, report.dead_lettered) == (Status.SUCCEEDED, True, len(bad))
    letters = await work.dead_letters()
    assert set(letters) == bad
    assert {(x["status"], x["attempts"], x["text_length"]) for x in letters.values()} == {(422, 1, 3)}
    assert set(await work.stored()) == set(range(1000)) - bad
    assert work.service.received["lol"] <= 1 + 3  # its batch of 8 is halved three times until it is alone


async def test_a_rerun_of_a_finished_run_asks_the_service_nothing(work_on_each_driver):
    """Every document is found unchanged, and not even the canary is sent."""
    work = work_on_each_driver
    await work.fill(200)
    await work.run(canary=True)
    work.service.calls.clear()

    report = await work.run(canary=True)

    assert (report.status, report.unchanged, report.written) == (Status.SUCCEEDED, 200, 0)
    assert work.service.calls == []
