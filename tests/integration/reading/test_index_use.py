"""The server's profiler shows that a run reads its source through the order's index alone."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
import pytest_asyncio
from bson import ObjectId
from pymongo import AsyncMongoClient, MongoClient

from engine import Window, run
from engine.mongo.driver import exact
from tests.support.samples import DAY, INDEX, first_word, message
from tests.support.settings import settings_with

pytestmark = pytest.mark.asyncio

DOCUMENTS, RANGE = 5000, 1000
"""Enough for a sample to be drawn by a random cursor: up to a twentieth of a collection."""


@pytest.fixture(scope="module")
def source(mongod_uri):
    """The name of a database with five thousand messages, which no run changes."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    ids = [ObjectId.from_datetime(DAY + timedelta(seconds=n)) for n in range(DOCUMENTS)]
    with MongoClient(mongod_uri) as client:
        client[name]["messages"].create_index(INDEX)
        client[name]["messages"].insert_many([message(id_, n // 3) for n, id_ in enumerate(ids)])
        yield name
        client.drop_database(name)


@pytest_asyncio.fixture
async def profiled(mongod_uri, source):
    """The source, with the server's profiler started again, and an empty target."""
    async with AsyncMongoClient(mongod_uri) as client:
        database, target = client[source], client[f"{source}_target"]
        await database.command("profile", 2)
        yield database, target
        await database.command("profile", 0)
        await database.drop_collection("system.profile")
        await client.drop_database(target.name)


async def reads_of_a_run(profiled, window, **chosen):
    """The profiler's records of all reads that a run makes on its source."""
    database, target = profiled
    settings = settings_with(range_documents=RANGE, batch_texts=100, page_documents=300, **chosen)
    report = await run(
        window, source=database["messages"], extractor=first_word, target=target, settings=settings
    )
    assert (report.reconciled, report.read) == (True, DOCUMENTS)
    recorded = await exact(database["system.profile"]).find({"ns": f"{database.name}.messages"}).to_list()
    return [o for o in recorded if {"find", "aggregate", "count", "getMore"} & set(o["command"])]


@pytest.mark.parametrize("window", [Window(), Window(DAY, DAY + timedelta(days=1))], ids=["open", "given"])
@pytest.mark.parametrize("strategy", ["auto", "exact", "counted", "sample"])
@pytest.mark.parametrize("order_field", ["created_at", "_id"])
async def test_a_run_reads_its_source_by_the_index_alone(profiled, order_field, strategy, window):
    """No collection scan, no sort except that of a sample, and no skip longer than a planner's hop."""
    reads = await reads_of_a_run(profiled, window, order_field=order_field, strategy=strategy)
    finds = [read for read in reads if "find" in read["command"]]
    counts = [read for read in reads if "count" in read["command"]]
    samples = [read for read in reads if is_sample(read)]
    proofs = [read for read in reads if ends_with(read, "$count")]  # the cross-check of the plan
    comparisons = [read for read in reads if ends_with(read, "$project")]  # the window's ends are compared
    types = [read for read in reads if ends_with(read, "$group")]  # values of deprecated types are counted
    kinds = finds, counts, samples, proofs, comparisons, types
    others = [read["command"] for read in reads if not any(read in kind for kind in kinds)]
    assert others == []
    assert len(finds) > DOCUMENTS / 300
    # IDHACK is the query for a MaxKey as `_id`, EOF the one for the server's time.
    assert {stage(read) for read in finds} <= {"IXSCAN", "IDHACK", "EOF"}
    assert {stage(read) for read in proofs + comparisons} <= {"COUNT_SCAN", "IXSCAN"}
    assert all(read["keysExamined"] == 1 for read in comparisons)
    assert {(stage(read), read["docsExamined"]) for read in types} <= {("COUNT_SCAN", 0), ("IXSCAN", 0)}
    assert all(read["keysExamined"] <= 1 for read in types)
    assert {stage(read) for read in counts} <= {"COUNT_SCAN", "RECORD_STORE_FAST_COUNT"}
    assert "COLLSCAN" not in {stage(read) for read in samples}
    assert not [read for read in finds + counts + proofs + comparisons if read.get("hasSortStage")]
    assert max(read["command"].get("skip", 0) for read in finds) <= RANGE
    for read in finds:  # returned and skipped keys, and one more to see the end
        assert read["keysExamined"] <= read["nreturned"] + read["command"].get("skip", 0) + 1
    assert bool(samples) == (strategy in ("counted", "sample"))  # `auto` walks a small collection


def stage(read):
    """The stage that reads, by its name in the server's plan summary."""
    return read["planSummary"].split()[0]


def ends_with(read, name):
    """Whether this is an aggregation, other than a sample, whose last stage has that name."""
    pipeline = read["command"].get("pipeline", [{}])
    return name in pipeline[-1] and not is_sample(read)


def is_sample(read):
    """Whether this reads the planner's sample, or continues it. The server samples by a random cursor."""
    command = read.get("originatingCommand", read["command"])
    return "$sample" in command.get("pipeline", [{}])[0]
