"""The ranges of a plan read what one plain query reads, each document once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from bson import Binary, Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Timestamp
from bson.datetime_ms import DatetimeMS

from engine import Key, KeyRange, Settings, SourceError, Tuning, Window, plan_ranges
from engine.keys.bson_values import identity
from engine.reading.reader import Reader
from tests.support.samples import DAY, fill, message
from tests.support.scans import scan_of

pytestmark = pytest.mark.asyncio

MIXED = [
    3, "a", 5.5, Int64(7), {"a": 1}, {"a": 2, "b": [1]}, Binary(b"x"), Binary(b"x", 4), True, False, None,
    float("nan"), Decimal128("2.5"), MinKey(), Timestamp(3, 4), Code("f"), ObjectId("0" * 24), DAY,
    -1, "A", "",
]  # fmt: skip
"""An `_id` of every BSON type that MongoDB allows there."""


async def read(collection, key_range, settings, after=None):
    """The identities of the documents that one range reads."""
    reader = Reader(await scan_of(collection, settings), key_range, settings)
    return [identity(id_) async for page in reader.pages(after) for id_ in page.ids]


async def read_all(collection, settings, window=Window()):
    """The identities of the documents that all ranges of a plan read, passed through JSON."""
    plan = await plan_ranges(collection, window, settings)
    found = []
    for planned in plan.ranges:
        ids = await read(collection, KeyRange.from_json(planned.to_json()), settings)
        assert len(ids) == planned.expected
        found += ids
    return found


async def mixed_collection(database):
    """Three timestamps, each with `_id`s of every type: more than a range holds in these tests."""
    documents = [
        message({"of": second, "n": n} if second else id_, second, "x")
        for second in range(3)
        for n, id_ in enumerate(MIXED)
    ]
    return await fill(database["messages"], documents)


@pytest.mark.parametrize("order_field", ["created_at", "_id"])
@pytest.mark.parametrize("size", [1, 2, 5, 11, 100])
async def test_trap_1_mixed_id_types_are_read_once_each(database, order_field, size):
    """By index bounds, for every size of page and range."""
    collection = await mixed_collection(database)
    settings = Settings(
        order_field=order_field, range_documents=size, tuning=Tuning(page_documents=max(1, size // 2))
    )
    found = await read_all(collection, settings)
    everything = await collection.find({}).sort([(order_field, 1), ("_id", 1)]).to_list(length=None)
    assert found == [identity(d["_id"]) for d in everything]


@pytest.mark.parametrize("size", [1, 3, 100])
async def test_trap_1_the_filter_form_crosses_types_too(database, size):
    """On a view, which refuses index bounds."""
    collection = await mixed_collection(database)
    await database.command("create", "view", viewOn="messages", pipeline=[])
    settings = Settings(range_documents=size, tuning=Tuning(page_documents=2))
    everything = await collection.find({}).sort([("created_at", 1), ("_id", 1)]).to_list(length=None)
    assert await read_all(database["view"], settings) == [identity(d["_id"]) for d in everything]


async def test_trap_4_the_anchor_is_dropped_by_its_id(messages):
    """Resuming after a Key reads all that follows, whether or not the Key's document still exists."""
    key_range = KeyRange(Key((DAY, MinKey())), Key((DAY + timedelta(days=1), MinKey())))
    anchor = Key((DAY + timedelta(seconds=100), 301))
    expected = [identity(n) for n in range(302, 1000)]
    assert await read(messages, key_range, Settings(tuning=Tuning(page_documents=50)), anchor) == expected
    await messages.delete_one({"_id": 301})
    assert await read(messages, key_range, Settings(tuning=Tuning(page_documents=50)), anchor) == expected


async def test_deletes_behind_the_reader_shift_nothing(messages):
    """`skip` would pass over as many documents as were deleted; nothing is fetched before the deletes."""
    settings = Settings(tuning=Tuning(page_documents=100, read_ahead_bytes=0))
    key_range = (await plan_ranges(messages, Window(), settings)).ranges[0]
    reader = Reader(await scan_of(messages, settings), key_range, settings)
    found = []
    async for page in reader.pages(None):
        found += page.ids
        await messages.delete_many({"_id": {"$in": page.ids}})
    assert found == list(range(1000))


class Failing:
    """A scan that fails at its third page."""

    def __init__(self, scan, error, times):
        self.scan, self.error, self.times, self.calls = scan, error, times, 0
        self.order, self.page_of = scan.order, scan.page_of

    async def page(self, *args, **options):
        """Fetches the page, unless a failure is scripted."""
        self.calls += 1
        if 3 <= self.calls < 3 + self.times:
            raise self.error
        return await self.scan.page(*args, **options)


async def test_trap_12_an_error_at_a_page_is_not_the_end(messages):
    """The error is raised after the pages before it."""
    settings = Settings(tuning=Tuning(page_documents=64))
    key_range = (await plan_ranges(messages, Window(), settings)).ranges[0]
    scan = Failing(await scan_of(messages, settings), SourceError("messages could not be read"), 99)
    with pytest.raises(SourceError, match="messages could not be read"):
        [page async for page in Reader(scan, key_range, settings).pages(None)]


async def test_trap_13_no_cursor_outlives_its_page(messages, database):
    """So no cursor can time out, however slow the service is."""
    settings = Settings(tuning=Tuning(page_documents=100))
    key_range = (await plan_ranges(messages, Window(), settings)).ranges[0]
    reader = Reader(await scan_of(messages, settings), key_range, settings)
    async for _ in reader.pages(None):
        status = await database.command("serverStatus")
        assert status["metrics"]["cursor"]["open"]["total"] == 0


async def test_trap_16_pages_shrink_when_documents_are_large(database):
    """When large documents follow small ones, pages shrink to `max_page_bytes`."""
    documents = [message(n, n, "x" * (10 if n < 200 else 100_000)) for n in range(400)]
    collection = await fill(database["messages"], documents)
    settings = Settings(tuning=Tuning(page_documents=100, max_page_bytes=1_000_000))
    key_range = (await plan_ranges(collection, Window(), settings)).ranges[0]
    reader = Reader(await scan_of(collection, settings), key_range, settings)
    pages = [list(map(len, page.texts)) async for page in reader.pages(None)]
    assert sum(map(len, pages)) == 400
    large = [page for page in pages if page[0] == 100_000]
    assert len(large) > 10
    assert all(sum(page) <= 1_000_000 for page in large[1:])


async def test_trap_16_a_page_is_one_reply_of_at_most_16_mib(database):
    """Even the first page, when sizes are unknown; a page that the server cut short is not the end."""
    documents = [message(n, n, "x" * 1_000_000) for n in range(30)]
    collection = await fill(database["messages"], documents)
    key_range = (await plan_ranges(collection, Window(), Settings())).ranges[0]
    reader = Reader(await scan_of(collection, Settings()), key_range, Settings())
    pages = [len(page) async for page in reader.pages(None)]
    assert sum(pages) == 30
    assert max(pages) <= 16


async def test_dates_beyond_python_are_read(database):
    """Years outside 1 to 9999 exist in BSON (trap 9, docs/traps.md)."""
    far = [{"_id": n, "created_at": ms, "text": "x"} for n, ms in enumerate(_far_dates())]
    collection = await fill(database["messages"], far)
    found = await read_all(collection, Settings(range_documents=1, tuning=Tuning(page_documents=1)))
    assert found == [identity(n) for n in range(4)]


def _far_dates():
    return [DatetimeMS(-(10**15)), DAY, DatetimeMS(10**15), DatetimeMS(10**15 + 1)]


async def test_a_collection_with_a_collation_is_read_in_its_own_order(database):
    """`_id`s ignore case: the server compares them, never the client (trap 8, docs/traps.md)."""
    await database.create_collection("messages", collation={"locale": "en", "strength": 2})
    words = ["b", "A", "c", "D", "É", "e", "Zz", "za"]
    collection = await fill(database["messages"], [message(word, 0) for word in words])
    found = await read_all(collection, Settings(range_documents=2, tuning=Tuning(page_documents=1)))
    everything = await collection.find({}).sort([("created_at", 1), ("_id", 1)]).to_list(length=None)
    assert found == [identity(d["_id"]) for d in everything]


async def test_maxkey_as_an_id_is_inside_a_range_of_dates(database):
    """The boundary is the next millisecond, not the largest `_id`."""
    collection = await fill(database["messages"], [message(1), message(MaxKey())])
    assert len(await read_all(collection, Settings(range_documents=1))) == 2


async def test_nested_and_overlapping_field_paths_are_projected(database):
    """MongoDB refuses a projection that names both a field and a part of it."""
    await database["messages"].insert_many([{"_id": n, "m": {"at": DAY, "text": f"t{n}"}} for n in range(3)])
    await database["messages"].create_index([("m.at", 1), ("_id", 1)])
    for text_field in ("m.text", "m", "m.at"):
        settings = Settings(order_field="m.at", text_field=text_field)
        assert len(await read_all(database["messages"], settings)) == 3


@pytest.mark.parametrize("order_field", ["created_at", "_id"])
async def test_trap_16_a_document_that_fills_a_reply_alone_is_not_the_end(pymongo_database, order_field):
    """The page before it ends with a document that comes again, and both do not fit into one reply."""
    texts = ["short", "x" * ((16 << 20) - 100), "y" * ((16 << 20) - 100), "short"]
    for n, text in enumerate(texts):
        await fill(pymongo_database["messages"], [message(n, n, text)])
    settings = Settings(order_field=order_field)
    assert await read_all(pymongo_database["messages"], settings) == [identity(n) for n in range(4)]
