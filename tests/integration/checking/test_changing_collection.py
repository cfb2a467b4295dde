"""A collection that changes during a run: documents that stay are neither lost nor sent twice."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime

import pytest

from engine import Window, repair, run, verify
from engine.keys.bson_values import identity
from tests.support.checking import SMALL, Recorder, places
from tests.support.samples import DAY, first_word, ids_of, message
from tests.support.settings import settings_with

pytestmark = pytest.mark.asyncio


class Churn(Recorder):
    """A service that deletes and inserts documents all over the window while it is called."""

    def __init__(self, collection, seed):
        super().__init__()
        self.collection, self.random = collection, random.Random(seed)
        self.volatile = [n for n in range(1000) if n % 5 == 0]
        self.new = 0

    async def __call__(self, texts):
        """Deletes two documents that may go, inserts three anywhere, and finds first words."""
        self.random.shuffle(self.volatile)
        gone, self.volatile = self.volatile[:2], self.volatile[2:]
        come = [message(f"n{self.new + i}", self.random.randrange(333)) for i in range(3)]
        self.new += len(come)
        await self.collection.delete_many({"_id": {"$in": gone}})
        await self.collection.insert_many(come)
        return await super().__call__(texts)


@pytest.mark.parametrize("seed", range(3))
async def test_trap_11_documents_present_throughout_are_neither_lost_nor_repeated(messages, seed):
    """Others come and go: `verify` names exactly the late ones, and after `repair` none is missing."""
    settings = SMALL.model_copy(update={"max_concurrency": 1, "batch_texts": 20})
    where, churn = places(messages, settings), Churn(messages, seed)
    window = Window(DAY, datetime(2020, 1, 2, tzinfo=UTC))
    report = await run(window, extractor=churn, **where)
    while not report.reconciled:  # a range with documents left unread asks for another attempt
        report = await run(window, extractor=churn, **where)
    stayed = [f"Hello {n}" for n in range(1000) if n % 5]
    assert sorted(text for text in churn.texts if text in set(stayed)) == sorted(stayed)
    assert len(churn.texts) == len(set(churn.texts))
    there = {identity(v): v for v in await ids_of(messages)}
    late = set(there) - {identity(v) for v in await ids_of(messages.database["messages_entities"])}
    found = await verify(window, limit=10_000, **where)
    assert late
    assert {identity(key.values[-1]) for key in found.first_missing} == late
    service = Recorder()
    await repair(window, extractor=service, **where)
    assert sorted(service.texts) == sorted(f"Hello {there[v]}" for v in late)
    assert (await verify(window, **where)).missing == 0


async def test_differences_between_plan_and_run_are_in_the_report(messages):
    """One document is deleted and others are inserted between planning and reading."""
    where = places(messages, SMALL.model_copy(update={"range_concurrency": 1}))
    changed = []

    async def changing(texts):
        if not changed:
            changed.append(True)
            await messages.delete_one({"_id": 950})
            await messages.insert_many([message("x", 200), message("y", 200)])
        return await first_word(texts)

    report = await run(Window(), extractor=changing, **where)
    assert (report.reconciled, report.drift) == (True, (2, 1))
    assert report.differences == (
        "range 0006 read 2 more than planned: inserted since",
        "range 0009 read 1 fewer than planned: deleted since",
        "in all 2 more and 1 fewer: moved, or deleted and inserted",
    )


async def test_a_digest_survives_interruption_and_does_not_depend_on_ranges(messages):
    """Resumed, repeated, or with other sizes of ranges and pages, it is the digest of the same documents."""
    calls = []

    async def down_after_30_calls(texts):
        calls.append(texts)
        if len(calls) > 30:
            await asyncio.sleep(0.1)  # reading is over by then: PyMongo drops a socket if cancelled midway
            raise ConnectionError("down")
        return await first_word(texts)

    await run(Window(), extractor=down_after_30_calls, **places(messages))
    resumed = await run(Window(), extractor=first_word, **places(messages))
    assert max(r.attempts for r in resumed.ranges) == 2
    settings = settings_with(SMALL, range_documents=77, page_documents=9, run_id="other")
    again = await run(Window(), extractor=first_word, **places(messages, settings))
    expected = (await verify(Window(), **places(messages))).digest
    assert {resumed.digest, again.digest, expected} == {expected}
    stored = await messages.database["engine_checkpoints"].find_one({"_id": "other/0000"})
    assert stored["digest"] == again.ranges[0].digest
