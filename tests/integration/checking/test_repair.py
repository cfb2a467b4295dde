"""A repair runs exactly the documents that verification names, and then nothing is missing."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from engine import Key, Settings, SourceError, Status, Tuning, Window, repair, run, verify
from engine.keys.bson_values import identity
from engine.reading.documents_by_key import DocumentsByKey
from tests.support.checking import MIXED, SMALL, Recorder, places
from tests.support.samples import DAY, fill, first_word, ids_of, message
from tests.support.scans import scan_of

pytestmark = pytest.mark.asyncio


async def test_trap_11_back_dated_documents_are_named_and_repaired(messages):
    """Documents that came into a window after its run are named; only they are sent to the service."""
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


async def test_what_a_repair_cannot_extract_becomes_a_dead_letter(messages):
    """As in a run, it then counts as accounted for, and the same setting limits the number."""
    await run(Window(), extractor=first_word, **places(messages))
    await messages.insert_many([message("bad", 5), message("good", 5)])
    report = await repair(Window(), extractor=Recorder(refused="Hello bad"), **places(messages))
    assert (report.status, report.reconciled) == (Status.FAILED, True)
    assert (report.written, report.dead_lettered) == (1, 1)
    assert (await verify(Window(), **places(messages))).dead_lettered == 1


@pytest.mark.parametrize("order_field", ["created_at", "_id"])
async def test_trap_1_missing_documents_of_every_type_are_found(database, order_field):
    """They are found whatever the BSON type of their `_id`, in both orders; repaired ones keep the type."""
    collection = await fill(database["messages"], [message(value, n) for n, value in enumerate(MIXED)])
    where = places(collection, Settings(order_field=order_field, tuning=Tuning(page_documents=4)))
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


async def test_trap_14_an_empty_window_is_complete_and_its_repair_reconciles(messages):
    """A repair with nothing to do succeeds."""
    window = Window("2030-01-01", "2030-01-02")
    assert (await verify(window, **places(messages))).complete
    report = await repair(window, extractor=first_word, **places(messages))
    assert (report.status, report.read) == (Status.SUCCEEDED, 0)


async def test_the_filter_of_the_run_is_that_of_the_verification(messages):
    """Documents outside the filter are not missing."""
    few = SMALL.model_copy(update={"filter": {"_id": {"$lt": 100}}})
    await run(Window(), extractor=first_word, **places(messages, few))
    assert (await verify(Window(), **places(messages, few))).read == 100
    await messages.database["messages_entities"].delete_many({"_id": {"$lt": 5}})
    service = Recorder()
    await repair(Window(), extractor=service, **places(messages, few))
    assert sorted(service.texts) == [f"Hello {n}" for n in range(5)]


async def test_a_view_is_verified_and_repaired(messages, database):
    """It works through the filter form, because a view has no index bounds."""
    await database.create_collection("visible", viewOn="messages", pipeline=[])
    where = places(database["visible"])
    await run(Window(), extractor=first_word, **where)
    await messages.insert_one(message("late", 5))
    assert (await verify(Window(), **where)).missing == 1
    service = Recorder()
    await repair(Window(), extractor=service, **where)
    assert service.texts == ["Hello late"]
    assert (await verify(Window(), **where)).complete


async def test_trap_16_repair_reads_large_documents_a_reply_at_a_time(pymongo_database):
    """A page is one reply of at most 16 MiB, however many documents are missing."""
    big = "x" * 1_000_000
    collection = await fill(pymongo_database["messages"], [message(n, n, f"{n} {big}") for n in range(40)])
    keys = [Key((message(n, n)["created_at"], n)) for n in range(50)]  # ten were deleted meanwhile

    async def missing():
        yield keys

    reader = DocumentsByKey(missing(), await scan_of(collection, SMALL), "text")
    pages = [page async for page in reader.pages(None)]
    assert all(sum(map(len, page.texts)) <= 16 << 20 for page in pages)
    assert sorted(id_ for page in pages for id_ in page.ids) == list(range(40))


async def test_trap_12_a_source_that_cannot_be_read_is_never_the_end(messages, monkeypatch):
    """Documents that could not be read are an error, and are not skipped."""

    async def missing():
        yield [Key((DAY, 1))]

    scan = await scan_of(messages, SMALL)
    broken = DocumentsByKey(missing(), scan.limited_to({"$nonsense": 1}), "text")
    with pytest.raises(SourceError):
        _ = [page async for page in broken.pages(None)]


async def test_trap_50_a_document_that_changed_its_type_of_id_is_the_same(messages):
    """The server takes 1 and 1.0 for one `_id`, so the document is there; True is another one."""
    scan = await scan_of(messages, SMALL)

    async def missing():
        yield [Key((DAY, 1.0)), Key((DAY, 2)), Key((DAY, True))]

    reader = DocumentsByKey(missing(), scan, "text")
    assert [page.texts async for page in reader.pages(None)] == [["Hello 1", "Hello 2"]]
