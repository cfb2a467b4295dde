"""What a bulk write says is heard, item by item: duplicates are looked at, all else ends the range."""

from __future__ import annotations

import pytest
from pymongo.errors import AutoReconnect, BulkWriteError

from engine import MongoWriter, Settings, WriteError
from engine.model import DeadLetter, Extraction
from engine.mongo.driver import MAJORITY

pytestmark = pytest.mark.asyncio

EXTRACTIONS = [Extraction(n, [], f"hash {n}") for n in range(4)]


class Cursor(list):
    """What was found."""

    async def to_list(self, length):
        """All of it."""
        return list(self)


class Collection:
    """A target whose insert ends with these errors; the command itself with `command_error`, if there is one.

    Attributes:
        inserted: documents that came through `insert_many`.
    """

    name, write_concern = "messages_entities", MAJORITY

    def __init__(self, write_errors=(), concern_errors=(), found=(), command_error=None):
        self.details = {"writeErrors": list(write_errors), "writeConcernErrors": list(concern_errors)}
        self.found, self.replaced, self.inserted = Cursor(found), [], []
        self.command_error, self.database = command_error, self

    async def command(self, command):
        """As the server answers an `insert`, which knows at most one write concern error."""
        assert (command["insert"], command["ordered"]) == (self.name, False)
        assert command["writeConcern"] == {"w": "majority"}
        if self.command_error:
            raise self.command_error
        errors, concerns = self.details["writeErrors"], self.details["writeConcernErrors"]
        reply = {"ok": 1, "writeErrors": errors} if errors else {"ok": 1}
        return {**reply, "writeConcernError": concerns[0]} if concerns else reply

    def with_options(self, **_options):
        """Itself."""
        return self

    async def insert_many(self, documents, ordered):
        """Unordered: the others are in."""
        self.inserted += documents
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


WAYS = {
    "by the command": None,
    "by insert_many": AutoReconnect("an election"),
}
ways = pytest.mark.parametrize("command_error", WAYS.values(), ids=WAYS)


async def test_what_the_command_cannot_do_insert_many_does():
    """It repeats what met an election, and splits what is too large for one message."""
    collection = Collection(command_error=AutoReconnect("an election"))
    await writer_on(collection).write(EXTRACTIONS, [])
    assert [d["_id"] for d in collection.inserted] == [0, 1, 2, 3]
    direct = Collection()
    await writer_on(direct).write(EXTRACTIONS, [])
    assert direct.inserted == []


@ways
async def test_trap_30_a_refusal_among_duplicates_is_not_hidden(command_error):
    """Three duplicates and one that the target refuses (redpanda connect#2298 took all for duplicates)."""
    refused = {"index": 2, "code": 121, "errmsg": "Document failed validation"}
    collection = Collection([duplicate(0), duplicate(1), refused, duplicate(3)], command_error=command_error)
    with pytest.raises(
        WriteError, match=r"1 documents refused .*_id 2: Document failed validation"
    ) as raised:
        await writer_on(collection).write(EXTRACTIONS, [])
    assert raised.value.document_id == 2


@ways
async def test_trap_30_a_write_concern_error_is_not_hidden(command_error):
    """All are inserted, but not on a majority: that is not durable, and ends the range."""
    concern = {"code": 64, "errmsg": "waiting for replication timed out"}
    collection = Collection(concern_errors=[concern], command_error=command_error)
    with pytest.raises(WriteError, match="did not confirm a write: waiting for replication timed out"):
        await writer_on(collection).write(EXTRACTIONS, [])


@ways
async def test_trap_30_a_write_concern_error_beside_duplicates_is_not_hidden(command_error):
    """Neither when the duplicates alone would have been fine."""
    concern = {"code": 64, "errmsg": "timed out"}
    collection = Collection([duplicate(0)], [concern], command_error=command_error)
    with pytest.raises(WriteError, match="timed out"):
        await writer_on(collection).write(EXTRACTIONS, [])


@ways
async def test_trap_30_each_duplicate_is_looked_at(command_error):
    """One is the same, one is of another text: that one is replaced, and only the other is unchanged."""
    stored = [{"_id": n, "text_hash": f"hash {n}", "extractor": "ner@1"} for n in (0, 1)]
    stored[1]["text_hash"] = "another"
    collection = Collection([duplicate(0), duplicate(1)], found=stored, command_error=command_error)
    unchanged = await writer_on(collection).write(EXTRACTIONS, [])
    assert len(unchanged) == 1
    assert len(collection.replaced) == 1


async def test_a_dead_letter_is_kept_without_an_empty_text():
    """The field is there only if the text is."""
    assert "text" not in DeadLetter(1, "permanent", "no", "0000").to_document()
    assert DeadLetter(1, "permanent", "no", "0000", text="it").to_document()["text"] == "it"
