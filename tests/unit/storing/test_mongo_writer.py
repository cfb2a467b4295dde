"""The writer checks each error of a bulk write: duplicates are compared, all others end the range."""

from __future__ import annotations

import pytest
from pymongo.errors import AutoReconnect, BulkWriteError

from engine import MongoWriter, WriteError
from engine.model import DeadLetter, Extraction
from engine.mongo.driver import MAJORITY
from engine.storing.target import Target

pytestmark = pytest.mark.asyncio

EXTRACTIONS = [Extraction(n, [], f"hash {n}") for n in range(4)]


class Cursor(list):
    """The documents found."""

    async def to_list(self, length):
        """Returns all documents."""
        return list(self)


class Collection:
    """A target whose insert ends with these errors, and whose command with `command_error`, if given.

    Attributes:
        inserted: documents that came through `insert_many`.
    """

    name, write_concern = "messages_entities", MAJORITY

    def __init__(self, write_errors=(), concern_errors=(), found=(), command_error=None):
        self.details = {"writeErrors": list(write_errors), "writeConcernErrors": list(concern_errors)}
        self.found, self.replaced, self.inserted = Cursor(found), [], []
        self.command_error, self.database = command_error, self

    async def command(self, command, **_options):
        """Answers an `insert` as the server does, with at most one write concern error."""
        assert (command["insert"], command["ordered"]) == (self.name, False)
        assert command["writeConcern"] == MAJORITY.document
        if self.command_error:
            raise self.command_error
        errors, concerns = self.details["writeErrors"], self.details["writeConcernErrors"]
        reply = {"ok": 1, "writeErrors": errors} if errors else {"ok": 1}
        return {**reply, "writeConcernError": concerns[0]} if concerns else reply

    def with_options(self, **_options):
        """Returns the collection itself."""
        return self

    async def insert_many(self, documents, ordered):
        """Inserts unordered: an error does not stop the documents after it."""
        self.inserted += documents
        if any(self.details.values()):
            raise BulkWriteError(self.details)

    def find(self, *_query):
        """Returns the stored documents for the duplicates."""
        return self.found

    async def find_one(self, *_query):
        """Finds no dead letters."""

    async def bulk_write(self, requests, ordered):
        """Records the replacements."""
        self.replaced += requests


def writer_on(collection):
    """A writer that uses this collection for everything."""
    return MongoWriter(Target(*[collection] * 4), "run", extractor="ner@1")


def duplicate(index):
    """The server's error for a document that exists already."""
    return {"index": index, "code": 11000, "errmsg": "E11000 duplicate key"}


WAYS = {
    "by the command": None,
    "by insert_many": AutoReconnect("an election"),
}
ways = pytest.mark.parametrize("command_error", WAYS.values(), ids=WAYS)


async def test_what_the_command_cannot_do_insert_many_does():
    """`insert_many` retries after an election, and splits what is too large for one message."""
    collection = Collection(command_error=AutoReconnect("an election"))
    await writer_on(collection).write(EXTRACTIONS, [])
    assert [d["_id"] for d in collection.inserted] == [0, 1, 2, 3]
    direct = Collection()
    await writer_on(direct).write(EXTRACTIONS, [])
    assert direct.inserted == []


@ways
async def test_trap_30_a_refusal_among_duplicates_is_not_hidden(command_error):
    """Of four errors one is no duplicate (redpanda connect#2298 took all of them for duplicates)."""
    refused = {"index": 2, "code": 121, "errmsg": "Document failed validation"}
    collection = Collection([duplicate(0), duplicate(1), refused, duplicate(3)], command_error=command_error)
    with pytest.raises(
        WriteError, match=r"1 documents refused .*_id 2: Document failed validation"
    ) as raised:
        await writer_on(collection).write(EXTRACTIONS, [])
    assert raised.value.document_id == 2


@ways
async def test_trap_30_a_write_concern_error_is_not_hidden(command_error):
    """All are inserted, but not on a majority, so they are not durable: the range ends."""
    concern = {"code": 64, "errmsg": "waiting for replication timed out"}
    collection = Collection(concern_errors=[concern], command_error=command_error)
    with pytest.raises(WriteError, match="did not confirm a write: waiting for replication timed out"):
        await writer_on(collection).write(EXTRACTIONS, [])


@ways
async def test_trap_30_a_write_concern_error_beside_duplicates_is_not_hidden(command_error):
    """It ends the range although the duplicates alone would not."""
    concern = {"code": 64, "errmsg": "timed out"}
    collection = Collection([duplicate(0)], [concern], command_error=command_error)
    with pytest.raises(WriteError, match="timed out"):
        await writer_on(collection).write(EXTRACTIONS, [])


@ways
async def test_trap_30_each_duplicate_is_looked_at(command_error):
    """One is equal and counts as unchanged; the other has another text and is replaced."""
    stored = [{"_id": n, "text_hash": f"hash {n}", "extractor": "ner@1"} for n in (0, 1)]
    stored[1]["text_hash"] = "another"
    collection = Collection([duplicate(0), duplicate(1)], found=stored, command_error=command_error)
    unchanged = await writer_on(collection).write(EXTRACTIONS, [])
    assert len(unchanged) == 1
    assert len(collection.replaced) == 1


async def test_a_dead_letter_is_kept_without_an_empty_text():
    """The field `text` exists only if there is a text."""
    assert "text" not in DeadLetter(1, "permanent", "no", "0000").to_document()
    assert DeadLetter(1, "permanent", "no", "0000", text="it").to_document()["text"] == "it"
