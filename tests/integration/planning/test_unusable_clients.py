"""Clients by which nothing can be planned: one line says what to give instead."""

from __future__ import annotations

import pytest
from pymongo import MongoClient
from pymongo.read_concern import ReadConcern

from engine import ConfigError, PlanError, Settings, Window, plan_ranges, run, verify
from tests.support.samples import DAY, INDEX, fill, first_word, message

pytestmark = pytest.mark.asyncio


async def test_a_synchronous_client_is_refused_in_one_line(pymongo_database, mongod_uri):
    """As the source or as the target, by every function."""
    source = await fill(pymongo_database["messages"], [message(1)])
    with MongoClient(mongod_uri) as client:
        target = client[pymongo_database.name]
        for call in (
            plan_ranges(target["messages"], Window()),
            plan_ranges(source, Window(), Settings(), target),
            run(Window(), source=target["messages"], target=pymongo_database, extractor=first_word),
            verify(Window(), source=source, target=target),
        ):
            with pytest.raises(ConfigError, match="synchronous: give one of pymongo.AsyncMongoClient"):
                await call


async def test_snapshot_as_read_concern_is_refused_in_one_line(pymongo_database):
    """The command count does not know it."""
    source = await fill(pymongo_database["messages"], [message(1)])
    with pytest.raises(ConfigError, match="readConcernLevel=snapshot"):
        await plan_ranges(source.with_options(read_concern=ReadConcern("snapshot")), Window())


@pytest.mark.parametrize("level", ["best", "snapshots"])
async def test_a_read_concern_that_does_not_exist_is_refused_in_one_line(pymongo_database, level):
    """By every function, before anything is written."""
    source = await fill(pymongo_database["messages"], [message(1)])
    where = {"source": source.with_options(read_concern=ReadConcern(level)), "target": pymongo_database}
    for call in (
        plan_ranges(where["source"], Window(), Settings(), pymongo_database),
        run(Window(), extractor=first_word, **where),
        verify(Window(), **where),
    ):
        with pytest.raises(ConfigError, match=f"readConcernLevel={level}, which this server does not allow"):
            await call
    assert await pymongo_database.list_collection_names() == ["messages"]


async def test_a_collection_that_does_not_exist_is_told_with_the_nearest_names(pymongo_database):
    """No index is advised."""
    for name in ("tweets", "users", "tweet_texts"):
        await pymongo_database[name].insert_one({"at": DAY})
    with pytest.raises(PlanError, match=r"no collection .*\.tweet: .* has tweets, ") as raised:
        await plan_ranges(pymongo_database["tweet"], Window())
    assert "createIndex" not in str(raised.value)


async def test_a_field_that_no_document_has_is_told_with_the_fields_that_there_are(pymongo_database):
    """Only names are told, the nearest first."""
    await pymongo_database["messages"].insert_one({"created_at": DAY, "n": 17, "meta": {"at": DAY}})
    with pytest.raises(PlanError, match="documents have created_at, ") as raised:
        await plan_ranges(pymongo_database["messages"], Window(), Settings(order_field="createdAt"))
    assert not {"createIndex", "17", "2020"} & set(str(raised.value).split())
    assert INDEX[0][0] in str(raised.value)
