"""Behind mongos: what a plan guarantees and refuses, and how it is read.

No mongos runs here: a mongod is taken for one. So this shows what the engine decides and asks, and not what
shards answer (docs/deploy.md).
"""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest
import pytest_asyncio
from bson import MaxKey, MinKey, ObjectId
from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure
from pymongo.monitoring import CommandListener

from engine import PlanError, Settings, SourceError, Tuning, Window, load_plan, plan_ranges, run, verify
from engine.keys.key import Key, Order
from engine.keys.order_index import OrderIndex
from engine.mongo import driver
from engine.planning.shards import check_shards
from engine.reading.query_forms import BoundsScan, FilterScan
from tests.support.samples import INDEX, fill, first_word, message

pytestmark = pytest.mark.asyncio

SETTINGS = Settings(run_id="r", range_documents=40, tuning=Tuning(page_documents=16))
WHOLE = (Key((MinKey(), MinKey())), Key((MaxKey(), MaxKey())))


class Asked(CommandListener):
    """The commands that a client sent."""

    def __init__(self):
        self.commands = []

    def started(self, event):
        """Stores a copy, because the driver may reuse its own."""
        self.commands.append((event.command_name, dict(event.command)))

    def succeeded(self, event):
        """Nothing."""

    def failed(self, event):
        """Nothing."""


@pytest.fixture
def asked():
    """What the client of `source` has sent."""
    return Asked()


@pytest_asyncio.fixture
async def source(mongod_uri, pymongo_database, asked, monkeypatch):
    """A hundred messages on a mongod that is taken for a mongos."""

    async def is_router(_database):
        return True

    monkeypatch.setattr(driver, "is_router", is_router)
    async with AsyncMongoClient(mongod_uri, event_listeners=[asked]) as client:
        messages = client[pymongo_database.name]["messages"]
        yield await fill(messages, [message(n, n // 2) for n in range(100)])
        await client["config"]["collections"].delete_one({"_id": messages.full_name})


async def shard(collection, **key):
    """Says that the collection is sharded, as the configuration of a cluster does."""
    known = collection.database.client["config"]["collections"]
    await known.insert_one({"_id": collection.full_name, "key": key})


@pytest.mark.parametrize("reply", [{"msg": "isdbgrid"}, {}, {"setName": "rs"}, OperationFailure("no", 59)])
async def test_mongos_is_known_by_its_hello(reply):
    """A server that does not know the command is none."""

    class Database:
        def with_options(self, **_options):
            return self

        async def command(self, name):
            assert name == "hello"
            if isinstance(reply, Exception):
                raise reply
            return reply

    assert await driver.is_router(Database()) == (reply == {"msg": "isdbgrid"})


EVERY_SHARD = "; each page asks every shard"
KEYS = {
    "not sharded": ({}, "behind mongos, on one shard"),
    "by _id": (
        {"_id": 1},
        "sharded by (_id), which keeps documents with one _id on one shard" + EVERY_SHARD,
    ),
    "by a hash of _id": (
        {"_id": "hashed"},
        "sharded by (_id), which keeps documents with one _id on one shard" + EVERY_SHARD,
    ),
    "by the order": (
        {"created_at": 1, "_id": 1},
        "sharded by (created_at, _id), and no _id occurred twice in the window while it was planned",
    ),
    "by another field": (
        {"user": 1},
        "sharded by (user), and no _id occurred twice in the window while it was planned" + EVERY_SHARD,
    ),
}


@pytest.mark.parametrize(("key", "said"), KEYS.values(), ids=KEYS)
async def test_the_plan_says_what_holds(source, key, said):
    """In its guarantee and in the stored plan, which a restart finds."""
    if key:
        await shard(source, **key)
    plan = await plan_ranges(source, Window(), SETTINGS, source.database)
    assert plan.sharding == said
    assert plan.guarantee.endswith(f"; {said}")
    assert (await load_plan("r", source.database, SETTINGS)).sharding == said


async def test_a_server_that_is_no_mongos_says_nothing_of_shards(pymongo_database):
    """The stored field is null."""
    messages = await fill(pymongo_database["messages"], [message(n, n) for n in range(5)])
    assert (await plan_ranges(messages, Window(), SETTINGS)).sharding is None


async def test_all_is_read_and_verified_by_bounds_and_a_filter(source, asked):
    """A filter names the interval of the bounds, so that mongos can choose shards; no count has a query."""
    await shard(source, created_at=1)
    report = await run(
        Window(), source=source, extractor=first_word, target=source.database, settings=SETTINGS
    )
    assert (report.reconciled, report.written) == (True, 100)
    found = await verify(Window(), source=source, target=source.database, settings=SETTINGS)
    assert (found.complete, found.read) == (True, 100)
    pages = [c for name, c in asked.commands if name == "find" and "min" in c and c.get("limit") in (16, 17)]
    assert len(pages) > 5
    for page in pages:
        interval = page["filter"]["created_at"]
        assert interval["$gte"].replace(tzinfo=None) == page["min"]["created_at"].replace(tzinfo=None)
        assert interval["$lte"].replace(tzinfo=None) == page["max"]["created_at"].replace(tzinfo=None)
    assert not [c for name, c in asked.commands if name == "count" and "query" in c]


async def test_the_filter_takes_nothing_from_the_bounds(pymongo_database):
    """For keys of any types and ties that are split, the same documents come with and without it."""
    values = [None, 1, 2.5, math.nan, math.inf, "a", "b", True, ObjectId(), {"a": 1}, MinKey(), MaxKey()]
    values += [datetime(2024, 1, n, tzinfo=UTC) for n in (1, 2, 3)]
    documents = [{"_id": f"{n}-{tie}", "at": value} for n, value in enumerate(values) for tie in range(3)]
    collection = driver.exact(pymongo_database["mixed"])
    await collection.insert_many(documents)
    await collection.create_index([("at", 1), ("_id", 1)], name="at")
    order = Order.of("at")
    index = OrderIndex(collection.name, "at", tuple(order.spec))
    plain = BoundsScan(collection, order, index)
    routed = BoundsScan(collection, order, index, behind_router=True)
    everything = await plain.fetch(*WHOLE, limit=1000)
    keys = [Key(order.values_of(document)) for document in everything]
    for start in (WHOLE[0], *keys):
        for stop in (*keys[1::2], WHOLE[1]):
            if start == WHOLE[0] or stop == WHOLE[1] or keys.index(start) < keys.index(stop):
                expected = await plain.fetch(start, stop, limit=1000)
                found = await routed.fetch(start, stop, limit=1000)
                assert [d["_id"] for d in found] == [d["_id"] for d in expected]
                assert await routed.count(start, stop) == len(expected)


async def test_an_id_on_two_shards_is_refused_with_the_way_out(source):
    """One result would replace the other. A view stands in for the shards: no mongod holds an `_id` twice."""
    await shard(source, user=1)
    await source.database.command(
        {
            "create": "twice",
            "viewOn": source.name,
            "pipeline": [{"$unionWith": {"coll": source.name, "pipeline": [{"$match": {"_id": 7}}]}}],
        }
    )
    twice = source.database["twice"]
    await shard(twice, user=1)
    index = OrderIndex("messages", None, tuple(INDEX))
    scan = FilterScan(twice, Order.of("created_at"), index, behind_router=True)
    with pytest.raises(
        PlanError, match=r"twice is sharded by \(user\).* 7 occurs twice.*shard key begins"
    ) as raised:
        await check_shards(scan, *WHOLE)
    assert raised.value.document_id == 7
    await source.database.client["config"]["collections"].delete_one({"_id": twice.full_name})


class Unreadable:
    """A collection whose login may not read the configuration, and perhaps not the statistics."""

    name, full_name = "messages", "db.messages"

    def __init__(self, stats):
        self.database = self.client = self
        self._stats = stats

    def __getitem__(self, _name):
        return self

    @property
    def collections(self):
        """Itself."""
        return self

    async def find_one(self, *_query):
        """Is not allowed."""
        raise OperationFailure("not authorized on config", 13)

    async def command(self, query):
        """The statistics, or an error."""
        assert query == {"collStats": "messages"}
        if isinstance(self._stats, Exception):
            raise self._stats
        return self._stats


class Counted:
    """A scan whose search for a repeated `_id` ends like this."""

    behind_router, order = True, Order.of("created_at")

    def __init__(self, stats, outcome=()):
        self.collection, self._outcome = Unreadable(stats), outcome

    def condition(self, *_ends):
        """No condition."""
        return {}

    async def command(self, query):
        """Finds these `_id`s, or fails."""
        assert query["maxTimeMS"] > 0
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return {"cursor": {"firstBatch": [{"_id": found} for found in self._outcome]}}


@pytest.mark.parametrize(
    ("stats", "said"),
    [
        ({"sharded": False}, "on one shard"),
        ({"sharded": True}, "may not read the shard key, and no _id occurred twice"),
        (OperationFailure("not authorized", 13), "may not read the shard key, and no _id occurred twice"),
    ],
    ids=["not sharded", "sharded", "not known"],
)
async def test_without_the_privilege_the_plan_says_what_it_does_not_know(stats, said):
    """Then `_id`s are searched for duplicates as if the shard key did not begin with `_id`."""
    assert said in await check_shards(Counted(stats), *WHOLE)


async def test_what_cannot_be_ruled_out_in_time_is_refused():
    """The search has a time limit."""
    late = SourceError("operation exceeded time limit")
    late.code = 50
    with pytest.raises(PlanError, match=r"db\.messages is sharded.*60 s did not suffice.*smaller window"):
        await check_shards(Counted({"sharded": True}, late), *WHOLE)


async def test_any_other_failure_of_the_search_is_told():
    """It is no answer."""
    lost = SourceError("no connection")
    with pytest.raises(SourceError, match="no connection"):
        await check_shards(Counted({"sharded": True}, lost), *WHOLE)
