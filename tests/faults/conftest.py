"""A source and a service for the tests of faults."""

from __future__ import annotations

import pytest
import pytest_asyncio

from tests.support.ner_service import FaultyService
from tests.support.work import Work
from tests.support.work import text_of as text_of_document


@pytest.fixture
def text_of():
    """A function that gives the text of a document, by number."""
    return text_of_document


@pytest_asyncio.fixture
async def work(pymongo_database):
    """An empty source and a service without faults yet."""
    async with FaultyService() as service:
        yield Work(pymongo_database, service)


@pytest_asyncio.fixture
async def work_on_each_driver(database):
    """Like `work`, once through each driver."""
    async with FaultyService() as service:
        yield Work(database, service)
