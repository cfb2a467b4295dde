"""Single documents of a bulk write that the server refuses for a time are sent again, and no others."""

from __future__ import annotations

import pytest
from pymongo.errors import BulkWriteError
from tenacity import wait_none

from engine import MongoWriter, WriteError
from engine.keys.bson_values import lookup_key
from engine.model import Extraction
from engine.mongo import calls
from engine.mongo.driver import MAJORITY
from engine.storing.target import Target

pytestmark = pytest.mark.asyncio

SHED = {"code": 462, "errmsg": "rate exceeded"}
LABELLED = {"code": 8, "errmsg": "busy", "errorLabels": ["RetryableError"]}
STEPPED_DOWN = {"code": 189, "errmsg": "not primary"}
REFUSALS = {"by its code": SHED, "by its label": LABELLED, "by an election": STEPPED_DOWN}
EVERY = (0, 1, 2, 3)


class Cursor(list):
    """The documents found."""

    async def to_list(self, length):
        """Returns all documents."""
        return list(self)


class Server:
    """A collection that refuses documents as a script says, one entry for each command.

    An entry maps the `_id` of a document to the refusal; the last one holds for all commands that follow. The
    key None stands for the write concern error of the reply, and "labels" for its `errorLabels`.
    """

    name, write_concern = "messages_entities", MAJORITY

    def __init__(self, *script, stored=()):
        self.script, self.database = list(script), self
        self.stored = {document["_id"]: document for document in stored}
        self.sent = []

    def with_options(self, **_options):
        """Returns the collection itself."""
        return self

    async def command(self, command, **_options):
        """Inserts what the script does not refuse, as the server does."""
        refusals = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        self.sent.append([document["_id"] for document in command["documents"]])
        errors = []
        for index, document in enumerate(command["documents"]):
            if document["_id"] in refusals:
                errors.append({"index": index, **refusals[document["_id"]]})
            elif document["_id"] in self.stored:
                errors.append({"index": index, "code": 11000, "errmsg": "duplicate key"})
            else:
                self.stored[document["_id"]] = document
        reply = {"ok": 1, "writeErrors": errors} if errors else {"ok": 1}
        reply |= {"writeConcernError": refusals[None]} if None in refusals else {}
        return reply | ({"errorLabels": refusals["labels"]} if "labels" in refusals else {})

    def find(self, condition, *_projection):
        """The stored documents with these `_id`s."""
        return Cursor(self.stored[key] for key in condition["_id"]["$in"] if key in self.stored)

    async def find_one(self, *_query):
        """Finds no dead letters."""

    async def bulk_write(self, requests, ordered):
        """Replaces the documents."""
        for request in requests:
            self.stored[request._doc["_id"]] = request._doc


async def write(server):
    """Writes four extractions; returns the identities of those found unchanged."""
    writer = MongoWriter(Target(*[server] * 4), "run", extractor="ner@1")
    return await writer.write([Extraction(n, [], f"hash {n}") for n in EVERY], [])


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch):
    monkeypatch.setattr(calls, "WAIT", wait_none())


@pytest.mark.parametrize("refused", [(0,), (1, 3), EVERY, (3,)], ids=["first", "some", "all", "last"])
@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
async def test_a_refused_document_is_repeated_alone(refusal, refused, measured):
    """The others count as written. The repeat is counted, with its reason."""
    server = Server(dict.fromkeys(refused, refusal), {})
    assert await write(server) == frozenset()
    assert server.sent == [list(EVERY), list(refused)]
    assert sorted(server.stored) == list(EVERY)
    reason = {462: "SystemOverloadedError", 8: "RetryableError", 189: "code 189"}[refusal["code"]]
    assert measured.numbers()["command.repeats", reason] == 1


async def test_each_repeat_has_only_what_is_still_refused():
    """Twice in a row, with other documents and reasons."""
    server = Server({0: SHED, 2: STEPPED_DOWN, 3: LABELLED}, {2: LABELLED}, {})
    assert await write(server) == frozenset()
    assert server.sent == [[0, 1, 2, 3], [0, 2, 3], [2]]
    assert sorted(server.stored) == list(EVERY)


@pytest.mark.parametrize("refused", [(0,), (1, 2), EVERY], ids=["one", "some", "all"])
async def test_a_document_that_is_refused_for_ever_ends_the_range_with_one_error(refused):
    """After as many repeats as any command has; the message names collection and `_id`, and not the text."""
    server = Server(dict.fromkeys(refused, SHED))
    message = (
        rf"messages_entities could not be written: {len(refused)} documents refused .*_id {refused[0]}: rate"
    )
    with pytest.raises(WriteError, match=message) as raised:
        await write(server)
    assert raised.value.document_id == refused[0]
    assert server.sent == [list(EVERY)] + [list(refused)] * calls.ATTEMPTS
    assert sorted(server.stored) == sorted(set(EVERY) - set(refused))


@pytest.mark.parametrize("code", [121, 13, 2, 10334, 50, 8])
async def test_any_other_code_ends_the_range_at_once(code):
    """Even beside a document whose refusal would pass."""
    server = Server({1: SHED, 2: {"code": code, "errmsg": "refused"}})
    with pytest.raises(
        WriteError, match=r"messages_entities: 1 documents refused .*_id 2: refused"
    ) as raised:
        await write(server)
    assert raised.value.document_id == 2
    assert len(server.sent) == 1


async def test_duplicates_beside_refusals_are_compared_once():
    """One is stored with another text, and one is the same; a third is refused for a time."""
    stored = [
        {"_id": 0, "text_hash": "hash 0", "extractor": "ner@1"},
        {"_id": 1, "text_hash": "old", "extractor": "ner@1"},
    ]
    server = Server({2: SHED}, {2: SHED}, {}, stored=stored)
    assert await write(server) == {lookup_key(0)}
    assert server.sent == [[0, 1, 2, 3], [2], [2]]
    assert [server.stored[n]["text_hash"] for n in EVERY] == ["hash 0", "hash 1", "hash 2", "hash 3"]


CONCERNS = {
    "by its code": {None: {"code": 91, "errmsg": "shutdown"}},
    "by the label of the reply": {None: {"code": 8, "errmsg": "busy"}, "labels": ["RetryableWriteError"]},
    "beside a refused document": {None: {"code": 189, "errmsg": "election"}, 2: SHED},
}


@pytest.mark.parametrize("refusals", CONCERNS.values(), ids=CONCERNS)
async def test_what_was_not_confirmed_is_sent_again_and_counts_as_written(refusals):
    """All is sent again, so that a majority confirms it; this write's own documents are no duplicates."""
    server = Server(refusals, {}, stored=[{"_id": 0, "text_hash": "hash 0", "extractor": "ner@1"}])
    assert await write(server) == {lookup_key(0)}
    assert server.sent == [list(EVERY), list(EVERY)]
    assert sorted(server.stored) == list(EVERY)


async def test_labels_of_the_reply_hold_for_its_refused_documents():
    """A server may label the reply as a whole, and not each refusal."""
    server = Server(
        {1: {"code": 8, "errmsg": "busy"}, "labels": ["SystemOverloadedError", "RetryableError"]}, {}
    )
    assert await write(server) == frozenset()
    assert server.sent == [list(EVERY), [1]]


async def test_what_is_never_confirmed_is_one_error():
    """As many repeats as any command has."""
    server = Server({None: {"code": 91, "errmsg": "shutdown"}})
    with pytest.raises(
        WriteError, match="messages_entities could not be written: .* did not confirm .*shutdown"
    ):
        await write(server)
    assert len(server.sent) == 1 + calls.ATTEMPTS


@pytest.mark.parametrize("refused", [(0,), (1, 3), EVERY], ids=["first", "some", "all"])
async def test_a_refused_replacement_is_repeated_alone(refused):
    """With `force` documents are replaced; the driver reports refused ones by an exception."""

    class Forced(Server):
        async def bulk_write(self, requests, ordered):
            """Refuses these documents at first, and replaces the others."""
            self.sent.append([request._doc["_id"] for request in requests])
            kept = [
                request for request in requests if len(self.sent) > 2 or request._doc["_id"] not in refused
            ]
            await super().bulk_write(kept, ordered)
            errors = [{"index": n, **SHED} for n, request in enumerate(requests) if request not in kept]
            if errors:
                raise BulkWriteError({"writeErrors": errors, "writeConcernErrors": []})

    server = Forced({})
    writer = MongoWriter(Target(*[server] * 4), "run", extractor="ner@1", force=True)
    await writer.write([Extraction(n, [], f"hash {n}") for n in EVERY], [])
    assert server.sent == [list(EVERY), list(refused), list(refused)]
    assert sorted(server.stored) == list(EVERY)
