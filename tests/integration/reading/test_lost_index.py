"""An index that is dropped or hidden while it is in use: one line names it and says how to create it."""

from __future__ import annotations

import pytest

from engine import PlanError, Status, Window, plan_ranges, run
from engine.checking.verify import window_keys
from engine.planning.cross_check import cross_check
from engine.planning.partitioning import Sizes, walk
from engine.planning.segments import Segment
from tests.support.index_shapes import DOWN
from tests.support.samples import INDEX, first_word, message
from tests.support.scans import scan_of
from tests.support.settings import settings_with

pytestmark = pytest.mark.asyncio

SETTINGS = settings_with(range_documents=200, page_documents=8, batch_texts=8, read_ahead_bytes=0)
SHAPES = {
    "bounds": INDEX,
    "descending bounds": DOWN,
    "longer": [*INDEX, ("text", 1)],
    "whole ties": INDEX[:1],
    "view": INDEX,
    "descending, behind a view": DOWN,
}


async def source_of(database, shape):
    """The collection or view to read, and the collection with the index."""
    messages = database["messages"]
    await messages.insert_many([message(n, n) for n in range(200)])
    await messages.create_index(SHAPES[shape], name="mine")
    view = {"viewOn": "messages", "pipeline": [{"$match": {"_id": {"$gte": 0}}}]}
    return await database.create_collection("shown", **view) if "view" in shape else messages, messages


async def drop(messages):
    """Drops the index."""
    await messages.drop_index("mine")


async def hide(messages):
    """Hides the index."""
    await messages.database.command({"collMod": "messages", "index": {"name": "mine", "hidden": True}})


def is_told(line):
    """Whether the line names the collection and the index, and says how to create one; nothing of a plan."""
    parts = ("'mine'", "was dropped or hidden", 'db.getCollection("messages").createIndex({"created_at": ')
    return "\n" not in line and "ns=" not in line and all(part in line for part in parts)


@pytest.mark.parametrize("lose", [drop, hide])
@pytest.mark.parametrize("shape", SHAPES)
async def test_a_run_is_told_and_goes_on_once_there_is_an_index(pymongo_database, shape, lose):
    """The range fails with the line; after the advice is followed, the same run ends well."""
    source, messages = await source_of(pymongo_database, shape)
    lost = []

    async def extract(texts):
        if not lost:
            lost.append(texts)
            await lose(messages)
        return await first_word(texts)

    where = {"source": source, "target": pymongo_database, "settings": SETTINGS}
    report = await run(Window(), extractor=extract, **where)
    assert (report.status, report.reconciled) == (Status.FAILED, False)
    assert report.written < 200
    assert any(map(is_told, report.problems)), report.problems
    await messages.drop_indexes()
    await messages.create_index(SHAPES[shape])
    report = await run(Window(), extractor=extract, **where)
    assert report.status is Status.SUCCEEDED, report.problems


@pytest.mark.parametrize("lose", [drop, hide])
@pytest.mark.parametrize("shape", SHAPES)
async def test_pages_counts_hops_and_checks_are_told(pymongo_database, shape, lose):
    """Whatever is asked with the index as hint."""
    source, messages = await source_of(pymongo_database, shape)
    plan = await plan_ranges(source, Window(), SETTINGS)
    scan, (start, stop) = await scan_of(source, SETTINGS), (plan.ranges[0].start, plan.ranges[0].stop)
    keys = window_keys(scan, plan, 8)
    await anext(keys)
    await lose(messages)
    questions = [
        anext(keys),
        scan.page(start, stop, None, limit=8),
        scan.key_at(start, stop, 3),
        walk(scan, start, stop, Sizes(10, 100)),
        cross_check(scan, [Segment(start, stop, 200)]),
    ]
    if scan.form != "filter":  # counts of views have no hint
        questions.append(scan.count(start, stop))
    for question in questions:
        with pytest.raises(PlanError) as raised:
            await question
        assert is_told(str(raised.value)), raised.value


async def test_a_wrong_filter_is_not_taken_for_a_lost_index(pymongo_database):
    """It has the same code of the server."""
    source, _ = await source_of(pymongo_database, "bounds")
    with pytest.raises(Exception, match="unknown operator: .wrong") as raised:
        await plan_ranges(source, Window(), settings_with(SETTINGS, filter={"text": {"$wrong": 1}}))
    assert "createIndex" not in str(raised.value)
