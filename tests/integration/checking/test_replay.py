"""Replay of dead letters: a success resolves the letter and keeps its history; a failure is counted in it."""

from __future__ import annotations

import pytest

from engine import ConfigError, Settings, SourceError, Status, Tuning, Window, WriteError, replay, run, verify
from engine.checking.unresolved_letters import UnresolvedLetters
from tests.support.checking import MIXED
from tests.support.samples import DAY, fill, first_word, message
from tests.support.scans import scan_of
from tests.support.settings import settings_with

pytestmark = pytest.mark.asyncio

SMALL = Settings(
    range_documents=100,
    batch_texts=10,
    max_attempts=2,
    max_dead_letters=99,
    tuning=Tuning(page_documents=3, retry_base_s=0),
)
REFUSED = [f"Hello {n}" for n in range(0, 1000, 100)]


class Service:
    """Refuses certain texts for good, and records the texts it was sent."""

    def __init__(self, *refused):
        self.refused, self.texts = set(refused), []

    async def __call__(self, texts):
        """Finds first words."""
        if self.refused & set(texts):
            raise ValueError("refused")
        self.texts += texts
        return await first_word(texts)


def places(collection, **changed):
    """The source, target and settings that every call takes."""
    settings = settings_with(SMALL, **changed)
    return {"source": collection, "target": collection.database, "settings": settings}


async def letters_of(database):
    """The dead letters, by `_id`."""
    return {found["_id"]: found async for found in database["messages_dead_letters"].find()}


async def failed(messages):
    """The collection after a run in which ten texts were refused."""
    report = await run(Window(), extractor=Service(*REFUSED), **places(messages))
    assert (report.status, report.dead_lettered) == (Status.SUCCEEDED, 10)
    return messages


async def test_letters_are_resolved_and_keep_their_history(messages, database):
    """Only their documents are sent, once each; each letter names the run that resolved it."""
    await failed(messages)
    before = await letters_of(database)
    service = Service()

    report = await replay(Window(), extractor=service, **places(messages))

    assert (report.status, report.reconciled, report.differences) == (Status.SUCCEEDED, True, ())
    assert (report.expected, report.read, report.written) == (10, 10, 10)
    assert sorted(service.texts) == sorted(REFUSED)
    found = await verify(Window(), **places(messages))
    assert (found.present, found.dead_lettered) == (1000, 0)
    for id_, letter in (await letters_of(database)).items():
        assert letter.pop("resolved_at") is not None
        assert letter.pop("resolved_by") == report.run_id
        assert letter == {name: value for name, value in before[id_].items() if name != "resolved_at"}
    again = await replay(Window(), extractor=service, **places(messages))
    assert (again.status, again.read, len(service.texts)) == (Status.SUCCEEDED, 0, 10)


async def test_what_fails_again_stays_and_is_counted(messages, database):
    """It is tried once, although its letter is written again while letters are read page by page."""
    await failed(messages)
    before = await letters_of(database)

    report = await replay(
        Window(), extractor=Service(*REFUSED[:4]), **places(messages, max_dead_letters=3, run_id="again")
    )

    assert (report.status, report.reconciled) == (Status.FAILED, True)
    assert (report.read, report.written, report.dead_lettered) == (10, 6, 4)
    after = await letters_of(database)
    unresolved = {id_ for id_, letter in after.items() if letter["resolved_at"] is None}
    assert unresolved == {0, 100, 200, 300}
    for id_ in unresolved:
        assert after[id_]["first_at"] == before[id_]["first_at"]
        assert after[id_]["last_at"] > before[id_]["last_at"]
        assert after[id_]["run_id"] == "again"


async def test_letters_are_chosen_by_class(database):
    """A missing text has another error class than a text that the service refuses."""
    documents = [message(1), {**message(2), "text": None}, message(3)]
    collection = await fill(database["messages"], documents)
    await run(Window(), extractor=Service("Hello 1"), **places(collection))
    await collection.update_one({"_id": 2}, {"$set": {"text": "here it is"}})
    service = Service()

    report = await replay(Window(), kinds=["invalid_text"], extractor=service, **places(collection))

    assert (report.written, service.texts) == (1, ["here it is"])
    assert [id_ for id_, letter in (await letters_of(database)).items() if not letter["resolved_at"]] == [1]


async def test_letters_are_chosen_by_the_window_of_their_documents(messages, database):
    """Letters of documents outside the window or the filter stay as they are."""
    await failed(messages)  # documents 0, 100, 200, ... at seconds 0, 33, 66, ...
    window = Window("2020-01-01T00:00:30Z", "2020-01-01T00:01:41Z")

    report = await replay(window, extractor=Service(), **places(messages, filter={"_id": {"$ne": 200}}))

    assert (report.written, report.expected, report.reconciled) == (2, None, True)
    resolved = [id_ for id_, letter in (await letters_of(database)).items() if letter["resolved_at"]]
    assert sorted(resolved) == [100, 300]


@pytest.mark.parametrize("limit", [1, 3, 4, 10, 11])
async def test_no_more_than_the_limit_are_tried(messages, limit):
    """The limit holds at the end of a page and within one."""
    await failed(messages)
    service = Service()
    report = await replay(Window(), limit=limit, extractor=service, **places(messages))
    assert (report.expected, report.read, len(service.texts)) == (min(limit, 10),) * 3


async def test_the_letter_of_a_deleted_document_is_resolved_as_such(messages, database):
    """The letter stays as history, and the report counts a difference."""
    await failed(messages)
    await messages.delete_many({"_id": {"$in": [0, 500]}})

    report = await replay(Window(), extractor=Service(), **places(messages))

    assert (report.status, report.expected, report.read) == (Status.SUCCEEDED, 10, 8)
    assert report.differences == ("range replay read 2 fewer than planned: deleted since",)
    letters = await letters_of(database)
    gone = {id_ for id_, letter in letters.items() if letter.get("resolution") == "deleted"}
    assert gone == {0, 500}
    assert {letters[id_]["resolved_by"] for id_ in gone} == {report.run_id}
    assert all(letter["resolved_at"] for letter in letters.values())


async def test_a_document_that_came_back_and_failed_is_not_called_deleted(messages, database):
    """Its letter no longer says that the document was deleted."""
    await failed(messages)
    await messages.delete_one({"_id": 0})
    await replay(Window(), extractor=first_word, **places(messages))
    await messages.insert_one(message(0))
    await run(Window(), extractor=Service("Hello 0"), **places(messages, run_id="second"))
    assert (await letters_of(database))[0]["resolved_at"] is None
    await replay(Window(), extractor=first_word, **places(messages))
    letter = (await letters_of(database))[0]
    assert (letter["resolved_at"] is None, "resolution" in letter) == (False, False)


async def test_a_text_changed_back_resolves_its_letter(messages, database):
    """Its extraction is valid, so a run would not send it; a replay does, and finds it unchanged."""
    await run(Window(), extractor=first_word, **places(messages))
    await messages.update_one({"_id": 7}, {"$set": {"text": "bad"}})
    await run(Window(), extractor=Service("bad"), **places(messages, run_id="second"))
    await messages.update_one({"_id": 7}, {"$set": {"text": "Hello 7"}})

    report = await replay(Window(), extractor=first_word, **places(messages))

    assert (report.read, report.unchanged, report.reconciled) == (1, 1, True)
    assert (await letters_of(database))[7]["resolved_at"] is not None


@pytest.mark.parametrize("order_field", ["created_at", "_id"])
async def test_trap_1_letters_of_every_type_of_id_are_replayed(database, order_field):
    """They are replayed in pages of three, with `_id`s of all BSON types."""
    documents = [message(value, n, f"bad {n}") for n, value in enumerate(MIXED)]
    collection = await fill(database["messages"], documents)
    where = places(collection, order_field=order_field)
    await run(Window(), extractor=Service(*(d["text"] for d in documents)), **where)
    report = await replay(Window(), extractor=first_word, **where)
    assert (report.read, report.written) == (len(MIXED), len(MIXED))
    found = await verify(Window(), **where)
    assert (found.present, found.dead_lettered) == (len(MIXED), 0)


async def test_an_outage_interrupts_and_blames_nothing(messages, database):
    """Letters resolved before the outage stay resolved; the next replay takes the others."""
    await failed(messages)
    sent = []

    async def down_after_one(texts):
        if sent:
            raise ConnectionError("down")
        sent.append(texts)
        return await first_word(texts)

    one = places(messages, max_concurrency=1, batch_texts=2, max_outage_s=0)
    report = await replay(Window(), extractor=down_after_one, **one)
    assert (report.status, report.reconciled) == (Status.INTERRUPTED, False)
    letters = await letters_of(database)
    assert len([letter for letter in letters.values() if letter["resolved_at"] is None]) == 10 - len(sent[0])
    assert {letter["kind"] for letter in letters.values()} == {"permanent"}
    report = await replay(Window(), extractor=first_word, **places(messages))
    assert (report.status, report.read) == (Status.SUCCEEDED, 10 - len(sent[0]))


async def test_without_letters_nothing_is_asked(messages):
    """Nothing is sent, even if the collection of dead letters was never created."""
    report = await replay(Window(), extractor=Service(), **places(messages))
    assert (report.status, report.reconciled, report.read) == (Status.SUCCEEDED, True, 0)
    letters = UnresolvedLetters(messages.database["messages_dead_letters"], 100)
    assert [page async for page in letters.pages()] == []


@pytest.mark.parametrize(
    ("window", "says"),
    [
        (Window("2020-01-02", "2020-01-01"), "is after end"),
        (Window("yesterday"), "is not an ISO-8601"),
        (Window(None, 17), "give a datetime"),
    ],
)
@pytest.mark.parametrize("letters", [True, False])
async def test_a_wrong_window_is_refused(messages, window, says, letters):
    """It is refused with the same error as in a plan, also if there is nothing to replay."""
    if letters:
        await failed(messages)
    with pytest.raises(ConfigError, match=says):
        await replay(window, extractor=Service(), **places(messages))


async def test_letters_that_cannot_be_read_are_an_error_of_ours(messages, database):
    """The error names the collection; no letter is marked as resolved."""
    broken = [{"$match": {"$expr": {"$toObjectId": "$text"}}}]
    await database.create_collection("messages_dead_letters", viewOn="messages", pipeline=broken)
    letters = UnresolvedLetters(database["messages_dead_letters"], 100)
    with pytest.raises(WriteError, match="messages_dead_letters could not be read"):
        await letters.count()
    with pytest.raises(WriteError, match="messages_dead_letters could not be read"):
        _ = [page async for page in letters.pages()]


async def test_trap_12_a_document_that_cannot_be_looked_for_is_not_deleted(messages, database):
    """If the source cannot be read, the letter stays as it is."""
    await failed(messages)
    broken = [{"$match": {"$expr": {"$toObjectId": "$text"}}}]
    await database.create_collection("broken", viewOn="messages", pipeline=broken)
    scan = await scan_of(database["broken"], SMALL)
    letters = UnresolvedLetters(database["messages_dead_letters"], 100)
    with pytest.raises(SourceError, match="broken could not be read"):
        await letters.resolve_deleted([0], scan, "r")
    assert (await letters_of(database))[0]["resolved_at"] is None


async def test_ids_that_only_python_takes_for_one_are_told_apart(database):
    """1 and True are equal in Python: document 1 must not keep the letter of True open."""
    collection = await fill(database["messages"], [message(1)])
    letters = database["messages_dead_letters"]
    await letters.insert_one({"_id": True, "kind": "permanent", "resolved_at": None, "first_at": DAY})
    await replay(Window(), extractor=first_word, **places(collection))
    letter = await letters.find_one({})
    assert (letter["_id"] is True, letter["resolution"]) == (True, "deleted")
