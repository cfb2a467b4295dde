"""What a bulk write says is heard, item by item: duplicates are looked at, all else ends the range."""

from __future__ import annotations

import pytest
from pymongo.errors import BulkWriteError

from engine import MongoWriter, Settings, WriteError
from engine.model import DeadLetter, Extraction

pytestmark = pytest.mark.asyncio

EXTRACTIONS = [Extraction(n, [], f"hash {n}") for n in range(4)]


class Cursor(list):
    """What was found."""

    async def to_list(self, length):
        """All of it."""
        return list(self)


class Collection:
    """A target whose bulk insert ends with these errors."""

    def __init__(self, write_errors=(), concern_errors=(), found=()):
        self.details = {"writeErrors": list(write_errors), "writeConcernErrors": list(concern_errors)}
        self.found, self.replaced = Cursor(found), []

    def with_options(self, **_options):
        """Itself."""
        return self

    async def insert_many(self, documents, ordered):
        """Unordered: the others are in."""
        if any(self.details.values()):
            raise BulkWriteError(self.details)

    def find(self, *_query):
        """Of the duplicates, what is stored."""
        return self.found

    async def find_one(self, *_query):
        """No dead letters."""

    async def bulk_write(self, requests, ordered):
        """Replacements."""
        self.replaced += requests


def writer_on(collection):
    """A writer whose collections are all this one."""

    class Database:
        def __getitem__(self, _name):
            return collection

    return MongoWriter(Database(), "messages", Settings(), "run")


def duplicate(index):
    """The server's words for a document that is there."""
    return {"index": index, "code": 11000, "errmsg": "E11000 duplicate key"}


async def test_trap_30_a_refusal_among_duplicates_is_not_hidden():
    """Three duplicates and one that the target refuses (redpanda connect#2298 took all for duplicates)."""
    refused = {"index": 2, "code": 121, "errmsg": "Document failed validation"}
    collection = Collection([duplicate(0), duplicate(1), refused, duplicate(3)])
    with pytest.raises(
        WriteError, match=r"1 documents refused .*_id 2: Document failed validation"
    ) as raised:
        await writer_on(collection).write(EXTRACTIONS, [])
    assert raised.value.document_id == 2


async def test_trap_30_a_write_concern_error_is_not_hidden():
    """All are inserted, but not on a majority: that is not durable, and ends the range."""
    collection = Collection(concern_errors=[{"code": 64, "errmsg": "waiting for replication timed out"}])
    with pytest.raises(WriteError, match="waiting for replication timed out"):
        await writer_on(collection).write(EXTRACTIONS, [])


async def test_trap_30_a_write_concern_error_beside_duplicates_is_not_hidden():
    """Neither when the duplicates alone would have been fine."""
    collection = Collection([duplicate(0)], [{"code": 64, "errmsg": "timed out"}])
    with pytest.raises(WriteError, match="timed out"):
        await writer_on(collection).write(EXTRACTIONS, [])


async def test_trap_30_each_duplicate_is_looked_at():
    """One is the same, one is of another text: that one is replaced, and only the other is unchanged."""
    stored = [{"_id": n, "text_hash": f"hash {n}", "extractor": "ner@1"} for n in (0, 1)]
    stored[1]["text_hash"] = "another"
    collection = Collection([duplicate(0), duplicate(1)], found=stored)
    unchanged = await writer_on(collection).write(EXTRACTIONS, [])
    assert len(unchanged) == 1
    assert len(collection.replaced) == 1


async def test_a_dead_letter_is_kept_without_an_empty_text():
    """The field is there only if the text is."""
    assert "text" not in DeadLetter(1, "permanent", "no", "0000").to_document()
    assert DeadLetter(1, "permanent", "no", "0000", text="it").to_document()["text"] == "it"
