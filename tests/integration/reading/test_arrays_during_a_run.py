"""An array in the order field that comes while a run reads: it is named, and ends the range."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from pymongo.errors import OperationFailure
from tenacity import wait_none

from engine import Settings, SourceError, Status, Tuning, Window, plan_ranges, run
from engine.mongo import calls
from engine.reading.query_forms import BoundsScan
from tests.support.samples import DAY, fill, first_word, message
from tests.support.scans import scan_of

pytestmark = pytest.mark.asyncio

SETTINGS = Settings(range_documents=200, tuning=Tuning(page_documents=8, read_ahead_bytes=0))
BOUND_S = 60
KILLED = OperationFailure("query plan killed", 175, {"code": 175, "codeName": "QueryPlanKilled"})


def moment(second):
    """That many seconds after the day began."""
    return DAY + timedelta(seconds=second)


async def by_bounds(database):
    """The collection itself."""
    return await fill(database["messages"], [message(n, n) for n in range(200)])


async def by_filters(database):
    """A view of it."""
    await by_bounds(database)
    return await database.create_collection("shown", viewOn="messages", pipeline=[])


async def by_whole_ties(database):
    """Its index lacks `_id`."""
    messages = database["messages"]
    await messages.insert_many([message(n, n) for n in range(200)])
    await messages.create_index("created_at")
    return messages


@pytest.mark.parametrize("make", [by_bounds, by_filters, by_whole_ties])
@pytest.mark.parametrize("seconds", [[150, 180], [0, 190], [199]], ids=["ahead", "around", "one"])
async def test_the_document_is_named_and_the_run_ends(pymongo_database, make, seconds):
    """Without that, a page would begin with it again and again, or skip to where arrays sort."""
    source = await make(pymongo_database)
    array = {**message("array", 0), "created_at": [moment(second) for second in seconds]}

    async def extract(texts):
        await pymongo_database["messages"].replace_one({"_id": "array"}, array, upsert=True)
        return await first_word(texts)

    async with asyncio.timeout(BOUND_S):
        report = await run(
            Window(), source=source, extractor=extract, target=pymongo_database, settings=SETTINGS
        )
    assert report.status is not Status.SUCCEEDED
    problems = " ".join(report.problems)
    assert "created_at holds an array in the document with _id 'array'" in problems, problems


async def test_a_field_above_the_order_field_counts_too(pymongo_database):
    """`at.time` is multikey if `at` is an array of documents."""
    documents = [{**message(n, n), "at": {"time": moment(n)}} for n in range(100)]
    await pymongo_database["messages"].insert_many(documents)
    await pymongo_database["messages"].create_index([("at.time", 1), ("_id", 1)])
    array = {**message("array", 0), "at": [{"time": moment(n)} for n in (70, 90)]}

    async def extract(texts):
        await pymongo_database["messages"].replace_one({"_id": "array"}, array, upsert=True)
        return await first_word(texts)

    settings = SETTINGS.model_copy(update={"order_field": "at.time"})
    where = {"source": pymongo_database["messages"], "target": pymongo_database}
    async with asyncio.timeout(BOUND_S):
        report = await run(Window(), extractor=extract, settings=settings, **where)
    assert "at.time or a field above it holds an array in the document with _id 'array'" in report.problems[0]


@pytest.fixture
def killed(monkeypatch):
    """Has the next queries by bounds killed; `killed(n)` says how many."""
    left = [0]
    find = BoundsScan._find

    def fail(scan, *arguments, **options):
        if left[0] > 0:
            left[0] -= 1
            raise KILLED
        return find(scan, *arguments, **options)

    monkeypatch.setattr(BoundsScan, "_find", fail)
    monkeypatch.setattr(calls, "WAIT", wait_none())

    def arm(times):
        left[0] = times

    return arm


async def test_a_killed_query_is_repeated(pymongo_database, killed):
    """Once it is killed, and then answered."""
    source = await by_bounds(pymongo_database)
    plan = await plan_ranges(source, Window(), SETTINGS)
    scan = await scan_of(source, SETTINGS)
    killed(1)
    found = await scan.fetch(plan.ranges[0].start, plan.ranges[0].stop, limit=10)
    assert [document["_id"] for document in found] == list(range(10))


@pytest.mark.parametrize("array", [True, False])
async def test_a_query_that_is_always_killed_is_told_as_its_array(pymongo_database, killed, array):
    """If there is no array, it is told as what the server said."""
    source = await by_bounds(pymongo_database)
    plan = await plan_ranges(source, Window(), SETTINGS)
    scan = await scan_of(source, SETTINGS)
    if array:
        await source.insert_one({"_id": "array", "created_at": [moment(1), moment(2)]})
    killed(1000)
    message = "holds an array in the document with _id 'array'" if array else "query plan killed"
    with pytest.raises(SourceError, match=message) as raised:
        await scan.fetch(plan.ranges[0].start, plan.ranges[0].stop, limit=10)
    assert raised.value.document_id == ("array" if array else None)
