"""After a run: what is missing is named, and repaired by running exactly that."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime

import pytest
from bson import Binary, Code, Decimal128, Int64, ObjectId, Timestamp

from engine import Key, Settings, SourceError, Status, Window, WriteError, repair, run, verify
from engine.checking.verify import Verifier, keys_of
from engine.keys.bson_values import identity
from engine.keys.key import Order
from engine.mongo import driver
from engine.reading.documents_by_key import DocumentsByKey
from engine.reading.index_choice import choose_scan
from tests.support.samples import DAY, fill, first_word, ids_of, message

pytestmark = pytest.mark.asyncio

SMALL = Settings(
    range_documents=100, batch_texts=10, page_documents=50, retry_base_s=0, max_attempts=2, max_outage_s=0
)
MIXED = [
    1,
    2.5,
    Int64(1 << 40),
    Decimal128("3"),
    float("nan"),
    "1",
    "",
    True,
    None,
    ObjectId(b"1" * 12),
    Binary(b"1" * 12),
    Binary(b"1" * 16, 4),
    {"a": 1, "b": 2},
    {"b": 2, "a": 1},
    datetime(2020, 1, 1, tzinfo=UTC),
    Timestamp(1, 1),
    Code("f()"),
]


class Recorder:
    """An extractor that keeps the texts it was sent; refuses one for good if told to."""

    def __init__(self, refused=None):
        self.texts, self.refused = [], refused

    async def __call__(self, texts):
        """Finds first words."""
        if self.refused in texts:
            raise ValueError("refused")
        self.texts += texts
        return await first_word(texts)


def places(collection, settings=SMALL):
    """Source, target and settings, as every call takes them."""
    return {"source": collection, "target": collection.database, "settings": settings}


async def test_after_a_run_nothing_is_missing(messages):
    """Everything is present, and the run has read exactly the documents that are there."""
    report = await run(Window(), extractor=first_word, **places(messages))
    found = await verify(Window(), **places(messages))
    assert (found.complete, found.read, found.present, found.missing) == (True, 1000, 1000, 0)
    assert found.digest == report.digest


async def test_trap_11_back_dated_documents_are_named_and_repaired(messages):
    """Those that came into a window after its run; only they are sent to the service."""
    await run(Window(), extractor=first_word, **places(messages))
    await messages.insert_many([message(f"late {n}", n * 10) for n in range(30)])
    window = Window(DAY, datetime(2020, 1, 2, tzinfo=UTC))
    found = await verify(window, limit=3, **places(messages))
    assert (found.complete, found.missing, found.present) == (False, 30, 1000)
    assert found.first_missing == tuple(
        Key((message(id_, second)["created_at"], id_))
        for id_, second in (("late 0", 0), ("late 1", 10), ("late 2", 20))
    )
    service = Recorder()
    report = await repair(window, extractor=service, **places(messages))
    assert (report.status, report.reconciled, report.read, report.written) == (
        Status.SUCCEEDED,
        True,
        30,
        30,
    )
    assert sorted(service.texts) == sorted(f"Hello late {n}" for n in range(30))
    assert (await verify(window, **places(messages))).complete
    late = await messages.database["messages_entities"].find_one({"_id": "late 0"})
    assert late["run_id"] == report.run_id
    assert report.run_id.endswith("-repair")


async def test_a_window_is_verified_within_its_ends(messages):
    """What lies outside is another run's."""
    found = await verify(Window("2020-01-01T00:00:10", "2020-01-01T00:00:20"), **places(messages))
    assert (found.read, found.missing) == (30, 30)


async def test_dead_letters_are_accounted_for_until_they_are_resolved(messages):
    """An unresolved one stands for its document; a resolved one without an extraction does not."""
    allowed = SMALL.model_copy(update={"max_dead_letters": 1})
    await run(Window(), extractor=Recorder(refused="Hello 7"), **places(messages, allowed))
    found = await verify(Window(), **places(messages))
    assert (found.complete, found.present, found.dead_lettered) == (True, 999, 1)
    letters = messages.database["messages_dead_letters"]
    await letters.update_one({"_id": 7}, {"$set": {"resolved_at": DAY}})
    found = await verify(Window(), **places(messages))
    assert (found.missing, found.first_missing) == (1, (Key((message(7, 2)["created_at"], 7)),))


async def test_what_a_repair_cannot_extract_becomes_a_dead_letter(messages):
    """As in a run: it is accounted for then, and limited by the same setting."""
    await run(Window(), extractor=first_word, **places(messages))
    await messages.insert_many([message("bad", 5), message("good", 5)])
    report = await repair(Window(), extractor=Recorder(refused="Hello bad"), **places(messages))
    assert (report.status, report.reconciled) == (Status.FAILED, True)
    assert (report.written, report.dead_lettered) == (1, 1)
    assert (await verify(Window(), **places(messages))).dead_lettered == 1


@pytest.mark.parametrize("order_field", ["created_at", "_id"])
async def test_trap_1_missing_documents_of_every_type_are_found(database, order_field):
    """Whatever the BSON type of `_id`, in both orders; the repaired ones keep it."""
    collection = await fill(database["messages"], [message(value, n) for n, value in enumerate(MIXED)])
    where = places(collection, Settings(order_field=order_field, page_documents=4))
    half = {"_id": {"$in": MIXED[::2]}}
    await run(
        Window(),
        extractor=first_word,
        source=collection,
        target=database,
        settings=Settings(order_field=order_field, filter=half),
    )
    found = await verify(Window(), **where)
    assert found.read == len(MIXED)
    assert {identity(k.values[-1]) for k in found.first_missing} == {identity(v) for v in MIXED[1::2]}
    report = await repair(Window(), extractor=first_word, **where)
    assert (report.read, report.written) == (len(MIXED) // 2, len(MIXED) // 2)
    found = await verify(Window(), **where)
    assert (found.complete, found.present) == (True, len(MIXED))
    stored = await ids_of(database["messages_entities"])
    assert [identity(v) for v in stored] == [identity(v) for v in await ids_of(collection)]


async def test_an_extraction_of_any_version_counts_as_present(messages):
    """Bringing them up to date is a rerun's work."""
    await run(Window(), extractor=first_word, **places(messages))
    newer = SMALL.model_copy(update={"extractor_version": "2"})
    assert (await verify(Window(), **places(messages, newer))).complete


async def test_documents_outside_the_type_are_counted(messages):
    """No window of this type reaches them: they are not missing, and not hidden."""
    await run(Window(), extractor=first_word, **places(messages))
    await messages.insert_many([{"_id": "a", "text": "x"}, {"_id": "b", "created_at": "x", "text": "x"}])
    found = await verify(Window(), **places(messages))
    assert (found.complete, found.outside) == (True, {"null or missing": 1, "string": 1})


async def test_trap_14_an_empty_window_is_complete_and_its_repair_reconciles(messages):
    """Nothing to do is done well."""
    window = Window("2030-01-01", "2030-01-02")
    assert (await verify(window, **places(messages))).complete
    report = await repair(window, extractor=first_word, **places(messages))
    assert (report.status, report.read) == (Status.SUCCEEDED, 0)


async def test_the_filter_of_the_run_is_that_of_the_verification(messages):
    """Other documents belong to nobody."""
    few = SMALL.model_copy(update={"filter": {"_id": {"$lt": 100}}})
    await run(Window(), extractor=first_word, **places(messages, few))
    assert (await verify(Window(), **places(messages, few))).read == 100
    await messages.database["messages_entities"].delete_many({"_id": {"$lt": 5}})
    service = Recorder()
    await repair(Window(), extractor=service, **places(messages, few))
    assert sorted(service.texts) == [f"Hello {n}" for n in range(5)]


async def test_a_view_is_verified_and_repaired(messages, database):
    """Through the filter form, where a server has no index bounds."""
    await database.create_collection("visible", viewOn="messages", pipeline=[])
    where = places(database["visible"])
    await run(Window(), extractor=first_word, **where)
    await messages.insert_one(message("late", 5))
    assert (await verify(Window(), **where)).missing == 1
    service = Recorder()
    await repair(Window(), extractor=service, **where)
    assert service.texts == ["Hello late"]
    assert (await verify(Window(), **where)).complete


# --- acceptance: a collection that changes during a run ---


class Churn(Recorder):
    """A service during whose calls documents are deleted and inserted all over the window."""

    def __init__(self, collection, seed):
        super().__init__()
        self.collection, self.random = collection, random.Random(seed)
        self.volatile = [n for n in range(1000) if n % 5 == 0]
        self.new = 0

    async def __call__(self, texts):
        """Deletes two of those that may go, inserts three anywhere, finds first words."""
        self.random.shuffle(self.volatile)
        gone, self.volatile = self.volatile[:2], self.volatile[2:]
        come = [message(f"n{self.new + i}", self.random.randrange(333)) for i in range(3)]
        self.new += len(come)
        await self.collection.delete_many({"_id": {"$in": gone}})
        await self.collection.insert_many(come)
        return await super().__call__(texts)


@pytest.mark.parametrize("seed", range(3))
async def test_trap_11_documents_present_throughout_are_neither_lost_nor_repeated(messages, seed):
    """While others come and go; `verify` names exactly the late ones, and `repair` leaves none."""
    settings = SMALL.model_copy(update={"max_concurrency": 1, "batch_texts": 20})
    where, churn = places(messages, settings), Churn(messages, seed)
    window = Window(DAY, datetime(2020, 1, 2, tzinfo=UTC))
    report = await run(window, extractor=churn, **where)
    while not report.reconciled:  # a range with documents left unread asks for another attempt
        report = await run(window, extractor=churn, **where)
    stayed = [f"Hello {n}" for n in range(1000) if n % 5]
    assert sorted(text for text in churn.texts if text in set(stayed)) == sorted(stayed)
    assert len(churn.texts) == len(set(churn.texts))
    there = {identity(v): v for v in await ids_of(messages)}
    late = set(there) - {identity(v) for v in await ids_of(messages.database["messages_entities"])}
    found = await verify(window, limit=10_000, **where)
    assert late
    assert {identity(key.values[-1]) for key in found.first_missing} == late
    service = Recorder()
    await repair(window, extractor=service, **where)
    assert sorted(service.texts) == sorted(f"Hello {there[v]}" for v in late)
    assert (await verify(window, **where)).missing == 0


async def test_differences_between_plan_and_run_are_in_the_report(messages):
    """A document that is not there any more and others that came between planning and reading."""
    where = places(messages, SMALL.model_copy(update={"range_concurrency": 1}))
    changed = []

    async def changing(texts):
        if not changed:
            changed.append(True)
            await messages.delete_one({"_id": 950})
            await messages.insert_many([message("x", 200), message("y", 200)])
        return await first_word(texts)

    report = await run(Window(), extractor=changing, **where)
    assert (report.reconciled, report.drift) == (True, (2, 1))
    assert report.differences == (
        "range 0006 read 2 more than planned: inserted since",
        "range 0009 read 1 fewer than planned: deleted since",
        "in all 2 more and 1 fewer: moved, or deleted and inserted",
    )


async def test_a_digest_survives_interruption_and_does_not_depend_on_ranges(messages):
    """Resumed, run again, in ranges and pages of other sizes: always that of the documents there are."""
    calls = []

    async def down_after_30_calls(texts):
        calls.append(texts)
        if len(calls) > 30:
            await asyncio.sleep(0.1)  # reading is over by then: PyMongo drops a socket if cancelled midway
            raise ConnectionError("down")
        return await first_word(texts)

    await run(Window(), extractor=down_after_30_calls, **places(messages))
    resumed = await run(Window(), extractor=first_word, **places(messages))
    assert max(r.attempts for r in resumed.ranges) == 2
    settings = SMALL.model_copy(update={"range_documents": 77, "page_documents": 9, "run_id": "other"})
    again = await run(Window(), extractor=first_word, **places(messages, settings))
    expected = (await verify(Window(), **places(messages))).digest
    assert {resumed.digest, again.digest, expected} == {expected}
    stored = await messages.database["engine_checkpoints"].find_one({"_id": "other/0000"})
    assert stored["digest"] == again.ranges[0].digest


# --- cost, memory and errors ---


async def test_trap_7_verifying_reads_indexes_only(pymongo_database):
    """No document is fetched, of the source or of the results, and nothing is sorted or skipped through."""
    collection = await fill(pymongo_database["messages"], [message(n, n // 3) for n in range(300)])
    await run(Window(), extractor=first_word, **places(collection))
    await pymongo_database.command("profile", 2)
    assert (await verify(Window(), **places(collection))).complete
    await pymongo_database.command("profile", 0)
    profile = driver.exact(pymongo_database["system.profile"])
    queries = await profile.find({"command.find": {"$exists": True}}).to_list(None)
    assert {q["ns"].partition(".")[2] for q in queries} == {"messages", "messages_entities"}
    assert {(q["docsExamined"], "hasSortStage" in q) for q in queries} == {(0, False)}


async def test_verifying_holds_one_page_at_a_time(messages):
    """Each page is looked up before the next is read, and none is larger than the setting."""
    read = []

    async def watched(pages):
        async for page in pages:
            read.append(len(page))
            yield page

    scan = await choose_scan(messages, SMALL)
    verifier = Verifier(messages.database, "messages", SMALL, limit=7)
    first = Order.of("created_at").first
    pages = keys_of(scan, first(DAY), first(datetime(2021, 1, 1, tzinfo=UTC)), SMALL.page_documents)
    async for keys in verifier.missing(watched(pages)):
        assert verifier.result({}).read == sum(read)
        assert len(keys) == read[-1] <= SMALL.page_documents
    assert len(verifier.result({}).first_missing) == 7
    assert sum(read) == 1000


async def test_trap_16_repair_reads_large_documents_a_reply_at_a_time(pymongo_database):
    """A page is a reply, 16 MiB at most, however many are missing."""
    big = "x" * 1_000_000
    collection = await fill(pymongo_database["messages"], [message(n, n, f"{n} {big}") for n in range(40)])
    keys = [Key((message(n, n)["created_at"], n)) for n in range(50)]  # ten were deleted meanwhile

    async def missing():
        yield keys

    reader = DocumentsByKey(missing(), await choose_scan(collection, SMALL), SMALL)
    pages = [page async for page in reader.pages(None)]
    assert all(sum(map(len, page.texts)) <= 16 << 20 for page in pages)
    assert sorted(id_ for page in pages for id_ in page.ids) == list(range(40))


async def test_a_target_that_cannot_be_read_is_an_error_of_ours(messages, database):
    """It names the collection; nothing is taken for missing."""
    broken = [{"$match": {"$expr": {"$toObjectId": "$text"}}}]
    await database.create_collection("messages_entities", viewOn="messages", pipeline=broken)
    with pytest.raises(WriteError, match="messages_entities could not be read"):
        await verify(Window(), **places(messages))


async def test_trap_12_a_source_that_cannot_be_read_is_never_the_end(messages, monkeypatch):
    """Documents that could not be fetched are not passed over."""

    async def missing():
        yield [Key((DAY, 1))]

    scan = await choose_scan(messages, SMALL)
    broken = DocumentsByKey(missing(), scan.limited_to({"$nonsense": 1}), SMALL)
    with pytest.raises(SourceError):
        _ = [page async for page in broken.pages(None)]


async def test_documents_that_changed_their_type_of_id_are_not_taken_for_others(messages):
    """`$in` takes 1 and 1.0 for one; they are different documents."""
    scan = await choose_scan(messages, SMALL)

    async def missing():
        yield [Key((DAY, 1.0)), Key((DAY, 2))]

    reader = DocumentsByKey(missing(), scan, SMALL)
    assert [page.texts async for page in reader.pages(None)] == [["Hello 2"]]
