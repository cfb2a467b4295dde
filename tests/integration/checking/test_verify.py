"""Verification after a run: missing documents are named, and a repair runs exactly those."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from engine import Key, Window, WriteError, run, verify
from engine.checking.verify import Verifier, keys_of
from engine.keys.key import Order
from engine.mongo import driver
from engine.storing.target import target_of
from tests.support.checking import SMALL, Recorder, places
from tests.support.samples import DAY, fill, first_word, message
from tests.support.scans import scan_of

pytestmark = pytest.mark.asyncio


async def test_after_a_run_nothing_is_missing(messages):
    """Everything is present, and the run has read exactly the documents that exist."""
    report = await run(Window(), extractor=first_word, **places(messages))
    found = await verify(Window(), **places(messages))
    assert (found.complete, found.read, found.present, found.missing) == (True, 1000, 1000, 0)
    assert found.digest == report.digest


async def test_a_window_is_verified_within_its_ends(messages):
    """Documents outside the window are not counted."""
    found = await verify(Window("2020-01-01T00:00:10", "2020-01-01T00:00:20"), **places(messages))
    assert (found.read, found.missing) == (30, 30)


async def test_dead_letters_are_accounted_for_until_they_are_resolved(messages):
    """An unresolved letter accounts for its document; a resolved one without an extraction does not."""
    allowed = SMALL.model_copy(update={"max_dead_letters": 1})
    await run(Window(), extractor=Recorder(refused="Hello 7"), **places(messages, allowed))
    found = await verify(Window(), **places(messages))
    assert (found.complete, found.present, found.dead_lettered) == (True, 999, 1)
    letters = messages.database["messages_dead_letters"]
    await letters.update_one({"_id": 7}, {"$set": {"resolved_at": DAY}})
    found = await verify(Window(), **places(messages))
    assert (found.missing, found.first_missing) == (1, (Key((message(7, 2)["created_at"], 7)),))


async def test_an_extraction_of_any_version_counts_as_present(messages):
    """Outdated extractions are the task of a rerun, not of verification."""
    await run(Window(), extractor=first_word, **places(messages))
    newer = SMALL.model_copy(update={"extractor_version": "2"})
    assert (await verify(Window(), **places(messages, newer))).complete


async def test_documents_outside_the_type_are_counted(messages):
    """No window of this type contains them: they are not missing, but they are reported."""
    await run(Window(), extractor=first_word, **places(messages))
    await messages.insert_many([{"_id": "a", "text": "x"}, {"_id": "b", "created_at": "x", "text": "x"}])
    found = await verify(Window(), **places(messages))
    assert (found.complete, found.outside) == (True, {"null or missing": 1, "string": 1})


async def test_trap_7_verifying_reads_indexes_only(pymongo_database):
    """No document is fetched from source or results, and nothing is sorted or skipped."""
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
    """Each page is checked before the next is read, and none is larger than the setting."""
    read = []

    async def watched(pages):
        async for page in pages:
            read.append(len(page))
            yield page

    scan = await scan_of(messages, SMALL)
    verifier = Verifier(target_of(messages.database, messages, SMALL), limit=7)
    first = Order.of("created_at").first
    pages = keys_of(scan, first(DAY), first(datetime(2021, 1, 1, tzinfo=UTC)), SMALL.tuning.page_documents)
    async for keys in verifier.missing(watched(pages)):
        assert verifier.result({}).read == sum(read)
        assert len(keys) == read[-1] <= SMALL.tuning.page_documents
    assert len(verifier.result({}).first_missing) == 7
    assert sum(read) == 1000


async def test_a_target_that_cannot_be_read_is_an_error_of_ours(messages, database):
    """The error names the collection; no document is reported as missing."""
    broken = [{"$match": {"$expr": {"$toObjectId": "$text"}}}]
    await database.create_collection("messages_entities", viewOn="messages", pipeline=broken)
    with pytest.raises(WriteError, match="messages_entities could not be read"):
        await verify(Window(), **places(messages))
