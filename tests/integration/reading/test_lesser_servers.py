"""Servers, clients and collections that lack a feature: planning and running works, or says why not."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import AsyncMongoClient, MongoClient, WriteConcern
from pymongo.monitoring import CommandListener
from pymongo.server_api import ServerApi

from engine import PlanError, Settings, Tuning, Window, plan_ranges, run, verify
from tests.support.mongod import mongod
from tests.support.samples import INDEX, first_word, message

pytestmark = pytest.mark.asyncio

UNBOUNDED = 1 << 31


class Asked(CommandListener):
    """Records the commands that a client sends, each with the server's port."""

    def __init__(self):
        self.commands = []

    def started(self, event):
        """Stores a copy, because the driver may reuse its own."""
        self.commands.append((event.connection_id[1], event.command_name, dict(event.command)))

    def succeeded(self, event):
        """Ignores the event."""

    def failed(self, event):
        """Ignores the event."""


class Nothing:
    """A Writer that knows no extraction and stores none."""

    async def known(self, documents):
        """Returns no extractions."""
        return {}

    async def write(self, extractions, dead_letters):
        """Stores nothing, and reports that no document existed already."""
        return frozenset()


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """The addresses of a primary and a secondary that both have two hundred messages."""
    with ExitStack() as stack:
        places = [tmp_path_factory.mktemp(f"node{n}") for n in range(2)]
        uris = [stack.enter_context(mongod(place, "--replSet", "pair")) for place in places]
        hosts = [uri.removeprefix("mongodb://").rstrip("/") for uri in uris]
        members = [{"_id": n, "host": host, "priority": 1 - n} for n, host in enumerate(hosts)]
        with MongoClient(uris[0], directConnection=True) as first:
            settings = {"heartbeatIntervalMillis": 100, "electionTimeoutMillis": 1000}
            first.admin.command("replSetInitiate", {"_id": "pair", "members": members, "settings": settings})
        with MongoClient(hosts, replicaSet="pair") as client:
            everywhere = WriteConcern(2, wtimeout=30_000)
            messages = client["db"].get_collection("messages", write_concern=everywhere)
            messages.insert_many([message(n, n // 3) for n in range(200)])
            messages.create_index(INDEX)
            messages.insert_one(message("last", 0))  # written last: where this is, the index is too
        yield hosts


@pytest.mark.parametrize("driver", [AsyncIOMotorClient, AsyncMongoClient])
@pytest.mark.parametrize("strategy", ["auto", "exact", "counted", "sample"])
async def test_trap_5_a_strict_client_plans_and_runs_by_filters(
    pymongo_messages, mongod_uri, driver, strategy
):
    """API version 1 lacks only `min` and `max` (server error 323) of all that the engine uses."""
    client = driver(mongod_uri, server_api=ServerApi("1", strict=True, deprecation_errors=True))
    database = client[pymongo_messages.database.name]
    settings = Settings(range_documents=100, tuning=Tuning(strategy=strategy))
    try:
        plan = await plan_ranges(database["messages"], Window(), settings)
        assert (plan.form, plan.documents, plan.proof) == ("filter", 1000, "snapshot")
        report = await run(
            Window(),
            source=database["messages"],
            extractor=first_word,
            target=database,
            settings=settings,
        )
        assert (report.reconciled, report.written) == (True, 1000)
        found = await verify(Window(), source=database["messages"], target=database, settings=settings)
        assert (found.complete, found.read) == (True, 1000)
    finally:
        closed = client.close()
        if closed is not None:
            await closed


@pytest.mark.parametrize("indexed", [False, True])
async def test_a_time_series_is_refused_with_the_way_out(database, indexed):
    """Its `_id`s may repeat, so no index lets a plan promise that each document is read once."""
    collection = await database.create_collection("series", timeseries={"timeField": "created_at"})
    await collection.insert_many([message(1), message(1)])
    if indexed:
        await collection.create_index(INDEX)
    with pytest.raises(PlanError, match=r"is a time series.*\$out"):
        await plan_ranges(collection, Window(), Settings())


@pytest.mark.parametrize(("preference", "node"), [("primary", 0), ("secondary", 1)])
async def test_all_is_asked_of_the_server_that_the_client_reads_from(pair, preference, node):
    """Counts and explanations from the primary would not fit the data that a secondary reads."""
    listener = Asked()
    settings = Settings(range_documents=30, tuning=Tuning(strategy="exact"))
    async with AsyncMongoClient(
        pair, replicaSet="pair", readPreference=preference, event_listeners=[listener]
    ) as client:
        source = client["db"]["messages"]
        plan = await plan_ranges(source, Window(), settings)
        assert (plan.form, plan.documents, plan.proof) == ("index_bounds", 201, "snapshot")
        report = await run(Window(), source=source, extractor=first_word, settings=settings, writer=Nothing())
        assert (report.reconciled, report.read) == (True, 201)
    reading = {"find", "count", "aggregate", "explain"}
    asked = {(name, port) for port, name, _ in listener.commands if name in reading}
    assert asked == {(name, int(pair[node].partition(":")[2])) for name in reading}


async def test_trap_15_walks_bound_each_reply_by_a_batch_size(pymongo_messages, mongod_uri):
    """A reply without one holds up to 16 MB: planning, reading and verifying always set it."""
    listener = Asked()
    async with AsyncMongoClient(mongod_uri, event_listeners=[listener]) as client:
        database = client[pymongo_messages.database.name]
        where = {"source": database["messages"], "target": database}
        settings = Settings(range_documents=300, tuning=Tuning(strategy="exact", page_documents=50))
        report = await run(Window(), extractor=first_word, settings=settings, **where)
        assert report.written == 1000
        assert (await verify(Window(), settings=settings, **where)).complete
    walks = [
        c for _, name, c in listener.commands if name == "find" and c["find"] == "messages" and "min" in c
    ]
    assert len(walks) > 20
    assert max(min(walk.get("batchSize", UNBOUNDED), walk.get("limit", UNBOUNDED)) for walk in walks) <= 51
    assert all(c.get("batchSize") for _, name, c in listener.commands if name == "getMore")
