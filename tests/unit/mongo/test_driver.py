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
