"""A source of documents whose texts a faulty service extracts: made, run over, and read back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from engine import HttpExtractor, Window, run
from tests.support.misbehaviour import entities_of
from tests.support.ner_service import FaultyService
from tests.support.settings import settings_with

FIRST = datetime(2025, 1, 1, tzinfo=UTC)


def text_of(number: int) -> str:
    """The text of a document: no two are the same, and each has entities after an emoji."""
    return f"message {number} 😀 from Ada{number} in Paris"


def document(number: int) -> dict:
    """A source document; three documents share each timestamp."""
    return {"_id": number, "created_at": FIRST + timedelta(seconds=number // 3), "text": text_of(number)}


class Work:
    """A source of documents, and runs over it that call one service."""

    def __init__(self, database, service: FaultyService):
        self.database, self.service = database, service
        self.source = database["messages"]

    async def fill(self, count: int):
        """Inserts documents 0 to `count - 1` and creates the index that the order needs."""
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
        writer=None,
        **settings,
    ):
        """Runs the engine over the source and returns the report; a second call resumes.

        Retries wait hundredths of a second. No canary is sent unless asked for: tests count the requests
        and script their answers.
        """
        extractor = HttpExtractor(
            self.service.url,
            format=format,
            timeout_s=timeout_s,
            text_timeout_s=text_timeout_s,
            offsets=offsets,
            canary=canary,
            max_answer_bytes=settings.get("max_answer_bytes", 64 << 20),
        )
        quick = {"range_documents": 100, "batch_texts": 8, "max_concurrency": 4}
        quick |= {"retry_base_s": 0.005, "retry_max_s": 0.02, "checkpoint_s": 0.0, "timeout_charge_s": 0.02}
        return await run(
            Window(),
            source=self.source,
            extractor=extractor,
            target=self.database,
            writer=writer,
            settings=settings_with(**quick | settings),
        )

    async def stored(self) -> dict:
        """The entities that runs have written, by `_id`."""
        found = await self.database["messages_entities"].find().to_list(length=None)
        return {extraction["_id"]: extraction["entities"] for extraction in found}

    async def dead_letters(self, **query) -> dict:
        """The dead letters, by `_id`."""
        found = await self.database["messages_dead_letters"].find(query).to_list(length=None)
        return {letter["_id"]: letter for letter in found}

    @staticmethod
    def fault_free(numbers) -> dict:
        """The entities that a run without faults writes for these documents, by `_id`."""
        return {number: entities_of(text_of(number)) for number in numbers}
