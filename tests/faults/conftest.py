"""Fixtures for the tests of faults: a source, a target and an NER service that can misbehave."""

from __future__ import annotations

import pytest
import pytest_asyncio

from tests.support.ner_service import FaultyService
from tests.support.work import Work
from tests.support.work import text_of as text_of_document


@pytest.fixture
def text_of():
    """A function that returns the text of a document, given its number."""
    return text_of_document


@pytest_asyncio.fixture
async def work(pymongo_database):
    """An empty source, and a service that has no faults yet."""
    async with FaultyService() as service:
        yield Work(pymongo_database, service)


@pytest_asyncio.fixture
async def work_on_each_driver(database):
    """The same as `work`, once with each driver."""
    async with FaultyService() as service:
        yield Work(database, service)
