"""The filter form finds what one plain query finds, as far as mongomock mimics a server: Hypothesis."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from mongomock_motor import AsyncMongoMockClient

from engine import Key, KeyRange, Settings, Tuning, Window, plan_ranges
from engine.reading.reader import Reader
from tests.support.samples import DAY, INDEX, fill
from tests.support.scans import scan_of

LARGEST = 25
"""Documents of a collection."""

moments = st.integers(0, 3).map(lambda n: DAY + timedelta(milliseconds=n))
ids = st.integers(0, 99) | st.text("abc", max_size=3)
collections = st.dictionaries(ids, moments, max_size=LARGEST).map(
    lambda found: [{"_id": id_, "created_at": at, "text": "x"} for id_, at in found.items()]
)
sizes = st.integers(1, 11)


async def read(collection, key_range, chosen, after=None):
    """Reads the Keys of a range's documents after a Key; a range that never ends fails."""
    found = []
    async for page in Reader(await scan_of(collection, chosen), key_range, chosen).pages(after):
        found += zip(*page.keys, strict=True)
        assert len(found) <= LARGEST, "the range never ends"
    return found


async def read_range(collection, key_range, chosen, cut):
    """Reads the `_id`s of a range in two pieces; the position between them passes through JSON."""
    key_range = KeyRange.from_json(json.loads(json.dumps(key_range.to_json())))
    first = (await read(collection, key_range, chosen))[:cut]
    after = Key.from_json(json.loads(json.dumps(Key(first[-1]).to_json()))) if first else None
    return [values[-1] for values in first + await read(collection, key_range, chosen, after)]


async def covers(documents, window, chosen, cut):
    """Checks that the ranges of a plan together read what one sorted query finds."""
    collection = await fill(AsyncMongoMockClient()["db"]["messages"], documents)
    plan = await plan_ranges(collection, window, chosen)
    found = [id_ for r in plan.ranges for id_ in await read_range(collection, r, chosen, cut)]
    ends = {"$gte": window.start or DAY, "$lt": window.end or DAY + timedelta(days=1)}
    everything = await collection.find({"created_at": ends}).sort(INDEX).to_list(length=None)
    assert found == [document["_id"] for document in everything]
    assert plan.documents == len(everything)


@given(collections, st.none() | moments, st.none() | moments, sizes, sizes, st.integers(0, 12))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_ranges_read_what_one_query_finds(documents, start, end, range_documents, page_documents, cut):
    """With ties larger than a range, numbers and strings as `_id`s, all sizes, and one interruption."""
    start, end = sorted([start, end]) if start and end else (start, end)
    chosen = Settings(range_documents=range_documents, tuning=Tuning(page_documents=page_documents))
    asyncio.run(covers(documents, Window(start, end), chosen, cut))
