"""The capabilities that `driver` finds out about drivers, without a server."""

from __future__ import annotations

import pytest
from mongomock_motor import AsyncMongoMockClient
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import AsyncMongoClient

from engine.mongo import driver

pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize(
    ("client", "expected"),
    [(AsyncIOMotorClient, True), (AsyncMongoClient, True), (AsyncMongoMockClient, False)],
)
async def test_a_server_stands_behind_motor_and_pymongo_only(client, expected):
    """It works for databases and collections, and sends nothing to a server."""
    database = client("mongodb://127.0.0.1:1", connect=False)["db"]
    assert (driver.has_server(database), driver.has_server(database["messages"])) == (expected, expected)
    if closing := database.client.close():
        await closing


async def test_a_driver_is_probed_once():
    """All collections of one class share the result of one probe."""
    probed = []

    class Collection:
        def with_options(self, **options):
            probed.append(options)
            return self

    assert [driver.has_server(Collection()) for _ in range(3)] == [True] * 3
    assert len(probed) == 1


@pytest.mark.parametrize(
    ("options", "concern"),
    [
        ("", {"w": "majority", "wtimeout": 30_000}),
        ("?wtimeoutMS=7000", {"w": "majority", "wtimeout": 7000}),
        ("?w=1&wtimeoutMS=0", {"w": "majority", "wtimeout": 0}),
        ("?w=2&journal=true", {"w": "majority", "wtimeout": 30_000}),
    ],
)
@pytest.mark.parametrize("client", [AsyncIOMotorClient, AsyncMongoClient])
async def test_trap_49_a_write_waits_for_a_majority_with_a_time_limit(client, options, concern):
    """That of the address, even if it is 0 and means none; else one of ours."""
    collection = client(f"mongodb://127.0.0.1:1/{options}", connect=False)["db"]["messages"]
    assert driver.durable(collection).write_concern.document == concern
    if closing := collection.database.client.close():
        await closing
