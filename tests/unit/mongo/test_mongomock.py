"""The engine on mongomock-motor: the filter form, without a server."""

from __future__ import annotations

import pytest
from mongomock_motor import AsyncMongoMockClient

from engine import PlanError, Settings, Status, Tuning, Window, plan_ranges, repair, run, verify
from tests.support.samples import fill, first_word, ids_of, message

pytestmark = pytest.mark.asyncio

SMALL = Settings(range_documents=7, batch_texts=2, tuning=Tuning(page_documents=3))


async def collection_of(documents):
    """A collection with these documents and the index."""
    return await fill(AsyncMongoMockClient()["db"]["messages"], documents)


async def test_a_run_reconciles_and_says_that_it_read_by_filters():
    """The documents have ties larger than a range, and `_id`s of mixed types."""
    documents = [message(n, n // 10) for n in range(40)] + [message(f"s{n}", 1) for n in range(5)]
    collection = await collection_of(documents)
    plan = await plan_ranges(collection, Window(), SMALL)
    assert (plan.form, plan.documents) == ("filter", 45)
    report = await run(
        Window(), source=collection, extractor=first_word, target=collection.database, settings=SMALL
    )
    assert (report.status, report.reconciled, report.written) == (Status.SUCCEEDED, True, 45)
    assert len(await ids_of(collection.database["messages_entities"])) == 45


async def test_a_rerun_replaces_only_what_changed():
    """Documents are replaced one by one, because mongomock refuses bulk replacements."""
    collection = await collection_of([message(n, n) for n in range(20)])
    arguments = {"source": collection, "extractor": first_word, "target": collection.database}
    await run(Window(), settings=SMALL, **arguments)
    await collection.update_one({"_id": 5}, {"$set": {"text": "Changed"}})
    report = await run(Window(), settings=SMALL, **arguments)
    assert (report.written, report.unchanged) == (1, 19)
    assert (await collection.database["messages_entities"].find_one({"_id": 5}))["entities"][0][
        "text"
    ] == "Changed"


async def test_trap_7_without_an_index_nothing_starts():
    """The plan is refused with the same message as on a server."""
    collection = AsyncMongoMockClient()["db"]["messages"]
    await collection.insert_one(message(1))
    with pytest.raises(PlanError, match="createIndex"):
        await plan_ranges(collection, Window(), Settings())


async def test_trap_11_what_came_late_is_found_and_repaired():
    """Verification and repair work through the filter form too."""
    collection = await collection_of([message(n, n) for n in range(20)])
    where = {"source": collection, "target": collection.database, "settings": SMALL}
    await run(Window(), extractor=first_word, **where)
    await collection.insert_many([message("late", 3), message("too", 4)])
    found = await verify(Window(), **where)
    assert [key.values[-1] for key in found.first_missing] == ["late", "too"]
    report = await repair(Window(), extractor=first_word, **where)
    assert (report.reconciled, report.written) == (True, 2)
    assert (await verify(Window(), **where)).complete
