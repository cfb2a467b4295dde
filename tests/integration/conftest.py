"""Collections for integration tests."""

from __future__ import annotations

import pytest_asyncio

from tests.support.samples import fill, message


@pytest_asyncio.fixture
async def messages(database):
    """A thousand messages, three a second. See `client` in tests/conftest.py for the driver."""
    return await fill(database["messages"], [message(n, n // 3) for n in range(1000)])


@pytest_asyncio.fixture
async def pymongo_messages(pymongo_database):
    """A thousand messages through PyMongo only, for tests in which the driver makes no difference."""
    return await fill(pymongo_database["messages"], [message(n, n // 3) for n in range(1000)])
