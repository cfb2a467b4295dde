"""What the server tells about a collection."""

from __future__ import annotations

import pytest
from mongomock_motor import AsyncMongoMockClient

from engine.mongo.collection_info import CollectionInfo, collection_info

pytestmark = pytest.mark.asyncio


async def test_a_rename_keeps_the_uuid_and_a_new_collection_of_the_name_has_another(database):
    """The UUID tells a renamed collection from one that took its name."""
    await database["chat"].insert_one({})
    first = await collection_info(database["chat"])
    await database["chat"].rename("old_chat")
    assert await collection_info(database["chat"]) is None
    assert await collection_info(database["old_chat"]) == first
    await database["chat"].insert_one({})
    second = await collection_info(database["chat"])
    assert first.kind == second.kind == "collection"
    assert len(first.uuid) == len(second.uuid) == 32
    assert first.uuid != second.uuid


async def test_a_view_has_no_uuid_and_tells_what_it_reads(database):
    """A view holds nothing itself, so it is described by its source and pipeline."""
    await database["chat"].insert_one({})
    await database.command({"create": "shown", "viewOn": "chat", "pipeline": [{"$match": {"a": 1}}]})
    info = await collection_info(database["shown"])
    assert (info.kind, info.uuid) == ("view", None)
    assert (info.options["viewOn"], info.options["pipeline"]) == ("chat", [{"$match": {"a": 1}}])


async def test_the_kinds_and_options_of_other_collections(database):
    """Capped collections and time series are told apart from ordinary ones."""
    await database.create_collection("ring", capped=True, size=4096)
    await database.create_collection("measures", timeseries={"timeField": "at"})
    ring, measures = await collection_info(database["ring"]), await collection_info(database["measures"])
    assert (ring.kind, ring.options["capped"]) == ("collection", True)
    assert measures.kind == "timeseries"


async def test_without_a_server_it_is_an_ordinary_collection():
    """mongomock-motor knows no kinds of collections."""
    assert await collection_info(AsyncMongoMockClient()["shop"]["chat"]) == CollectionInfo()
