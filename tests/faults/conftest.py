"""What the tests of faults share: a small source, quick settings, and how a run is made and checked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from engine import HttpExtractor, Settings, Window, run
from tests.support.misbehaviour import entities_of
from tests.support.ner_service import FaultyService

FIRST = datetime(2025, 1, 1, tzinfo=UTC)


def _text_of(number: int) -> str:
    return f"message {number} 😀 from Ada{number} in Paris"


def document(number: int) -> dict:
    """A source document; three share each timestamp."""
    return {"_id": number, "created_at": FIRST + timedelta(seconds=number // 3), "text": _text_of(number)}


class Work:
    """A source with documents, and runs over it against one service."""

    def __init__(self, database, service: FaultyService):
        self.database, self.service = database, service
        self.source = database["messages"]

    async def fill(self, count: int):
        """Documents 0 to `count`, and the index of the order."""
        await self.source.insert_many([document(number) for number in range(count)])
        await self.source.create_index([("created_at", 1), ("_id", 1)])

    async def run(
        self,
        *,
        format="native",  # noqa: A002
        timeout_s=5.0,
        text_timeout_s=0.0,
        offsets=None,
        canary=False,
        **settings,
    ):
        """The report of a run, with waits of hundredths of a second; a second one resumes.

        No canary is sent unless asked for: tests count requests and script them.
        """
        extractor = HttpExtractor(
            self.service.url,
            format=format,
            timeout_s=timeout_s,
            text_timeout_s=text_timeout_s,
            offsets=offsets,
            canary=canary,
        )
        quick = {"range_documents": 100, "batch_texts": 8, "max_concurrency": 4}
        quick |= {"retry_base_s": 0.005, "retry_max_s": 0.02, "checkpoint_s": 0.0, "timeout_charge_s": 0.02}
        return await run(
            Window(),
            source=self.source,
            extractor=extractor,
            target=self.database,
            settings=Settings(**quick | settings),
        )

    async def stored(self) -> dict:
        """The entities written, by `_id`."""
        found = await self.database["messages_entities"].find().to_list(length=None)
        return {extraction["_id"]: extraction["entities"] for extraction in found}

    async def dead_letters(self, **query) -> dict:
        """The dead letters, by `_id`."""
        found = await self.database["messages_dead_letters"].find(query).to_list(length=None)
        return {letter["_id"]: letter for letter in found}

    @staticmethod
    def fault_free(numbers) -> dict:
        """What a run without faults writes for these documents."""
        return {number: entities_of(_text_of(number)) for number in numbers}


@pytest.fixture
def text_of():
    """The text of a document by number: no two are the same, and all have entities, after an emoji."""
    return _text_of


@pytest_asyncio.fixture
async def work(pymongo_database):
    """An empty source and a service without faults yet."""
    async with FaultyService() as service:
        yield Work(pymongo_database, service)


@pytest_asyncio.fixture
async def work_on_each_driver(database):
    """The same, once through each driver."""
    async with FaultyService() as service:
        yield Work(database, service)
