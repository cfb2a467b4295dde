"""A capped source, to which documents are appended while old ones are overwritten: never a wrong success."""

from __future__ import annotations

import re

import pytest

from engine import Status, Window, run, verify
from tests.support.index_shapes import DOWN
from tests.support.samples import INDEX, first_word, message
from tests.support.settings import settings_with

pytestmark = pytest.mark.asyncio

SETTINGS = settings_with(
    range_documents=40,
    page_documents=7,
    batch_texts=5,
    max_concurrency=1,
    range_concurrency=1,
    read_ahead_bytes=0,
)
KEPT = 200
"""How many documents the collection keeps."""


async def capped(database, keys):
    """A full capped collection."""
    options = {"capped": True, "size": 1 << 20, "max": KEPT}
    collection = await database.create_collection("messages", **options)
    await collection.create_index(keys)
    await collection.insert_many([message(n, n) for n in range(KEPT)])
    return collection


def appending(collection, at_a_time, sent):
    """An extractor that appends documents before it answers; as many of the oldest are overwritten."""
    following = [KEPT]

    async def extract(texts):
        sent.extend(texts)
        new = range(following[0], following[0] + at_a_time)
        following[0] = new.stop
        await collection.insert_many([message(n, n) for n in new])
        return await first_word(texts)

    return extract


@pytest.mark.parametrize("keys", [INDEX, DOWN, INDEX[:1]], ids=["ascending", "descending", "ties"])
@pytest.mark.parametrize("order_field", ["created_at", "_id"])
@pytest.mark.parametrize("at_a_time", [1, 7, 40])
async def test_what_was_overwritten_is_told_and_what_is_there_is_read(
    pymongo_database, keys, order_field, at_a_time
):
    """A succeeded run has a result of each document of its window that is there; the others are counted."""
    source = await capped(pymongo_database, keys)
    settings, sent = settings_with(SETTINGS, order_field=order_field), []
    where = {"source": source, "target": pymongo_database, "settings": settings}
    report = await run(Window(), extractor=appending(source, at_a_time, sent), **where)
    there = {d["_id"] async for d in source.find({"_id": {"$lt": KEPT}})}
    results = {d["_id"] async for d in pymongo_database["messages_entities"].find()}
    assert there <= results or report.status is not Status.SUCCEEDED
    assert report.written == len(results) == len(sent)
    assert (report.status, report.reconciled) == (Status.SUCCEEDED, True)
    told = re.findall(r"read (\d+) fewer than planned: deleted since", " ".join(report.differences))
    assert sum(map(int, told)) == KEPT - report.read
    assert (await source.count_documents({})) == KEPT


async def test_a_verification_meanwhile_calls_nothing_missing_that_has_a_result(pymongo_database):
    """Documents that came after the run are missing, and are named."""
    source = await capped(pymongo_database, INDEX)
    where = {"source": source, "target": pymongo_database, "settings": SETTINGS}
    await run(Window(), extractor=first_word, **where)
    await source.insert_many([message(n, n) for n in range(KEPT, KEPT + 30)])
    found = await verify(Window(), **where)
    assert (found.read, found.present, found.missing) == (KEPT, KEPT - 30, 30)
