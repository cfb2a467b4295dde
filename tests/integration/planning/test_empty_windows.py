"""A window that holds nothing says what there is: about how many documents, and from which key to which."""

from __future__ import annotations

from datetime import timedelta

import pytest
from bson import ObjectId, Timestamp

from engine import PlanError, Status, Window, load_plan, plan_ranges, run, verify
from engine.planning import planner
from tests.support.index_shapes import DOWN
from tests.support.samples import DAY, INDEX, fill, first_word, message
from tests.support.settings import settings_with

pytestmark = pytest.mark.asyncio

SETTINGS = settings_with(run_id="none", page_documents=10)
LATER = Window(DAY + timedelta(days=1), DAY + timedelta(days=2))
OIDS = [ObjectId.from_datetime(DAY + timedelta(hours=n)) for n in range(4)]
TYPES = {
    "number": ([17, 3.5, 20], Window(100, 200), "3.5 to 20"),
    "string": (["b", "a", "c"], Window("x", "y"), "a to c"),
    "objectId": (OIDS, LATER, f"{OIDS[0]} to {OIDS[-1]}"),
    "timestamp": ([Timestamp(60, 1), Timestamp(120, 1)], LATER, "1970-01-01 00:01 to 1970-01-01 00:02"),
}


async def empty(source, window=LATER, settings=SETTINGS):
    """What plan, run, status and verify say; all succeed and say the same."""
    where = {"source": source, "target": source.database, "settings": settings}
    plan = await plan_ranges(source, window, settings)
    report = await run(window, extractor=first_word, **where)
    assert (plan.ranges, report.status, report.reconciled) == ((), Status.SUCCEEDED, True)
    found = await verify(window, **where)
    assert (found.complete, found.empty) == (True, plan.empty)
    assert report.notes == (() if plan.empty is None else (plan.empty,))
    assert (await load_plan("none", source.database, settings)).empty == plan.empty
    return plan.empty


@pytest.mark.parametrize("keys", [INDEX, DOWN, INDEX[:1]])
@pytest.mark.parametrize(
    "window", [LATER, Window(None, DAY), Window(DAY + timedelta(days=1)), Window(DAY, DAY)]
)
async def test_dates_with_each_index(pymongo_database, keys, window):
    """Before, after and within the documents; those of other types are not among the keys."""
    messages = pymongo_database["messages"]
    await messages.insert_many([message(n, 60 * n) for n in range(20)] + [{"_id": "odd", "created_at": "x"}])
    await messages.create_index(keys)
    said = (
        "the window holds none of about 21 documents; their keys go from 2020-01-01 00:00 to 2020-01-01 00:19"
    )
    assert await empty(messages, window) == said


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("order_field", ["created_at", "_id"])
async def test_each_type_of_key(pymongo_database, kind, order_field):
    """Keys alone are told, never a text."""
    values, window, keys = TYPES[kind]
    documents = [{"_id": value, "created_at": value, "text": "secret"} for value in values]
    messages = await fill(pymongo_database["messages"], documents)
    said = await empty(messages, window, settings_with(SETTINGS, order_type=kind, order_field=order_field))
    assert said == f"the window holds none of about {len(values)} documents; their keys go from {keys}"


async def test_a_filter_that_selects_nothing(pymongo_database):
    """The keys are those of all documents."""
    messages = await fill(pymongo_database["messages"], [message(n, n) for n in range(3)])
    said = await empty(messages, Window(), settings_with(SETTINGS, filter={"text": "other"}))
    keys = "from 2020-01-01 00:00 to 2020-01-01 00:00:02"
    assert said == f"the window and the filter hold none of about 3 documents; their keys go {keys}"


async def test_a_view_is_not_counted(pymongo_database):
    """Counting would read all of it."""
    await fill(pymongo_database["messages"], [message(n, n) for n in range(3)])
    view = await pymongo_database.create_collection("view", viewOn="messages", pipeline=[])
    assert (await empty(view)).startswith("the window holds none of the documents; their keys go from 2020")


async def test_an_empty_collection_says_nothing(pymongo_database):
    """There is nothing to say."""
    assert await empty(await fill(pymongo_database["messages"], [])) is None


async def test_a_window_with_documents_asks_for_nothing_more(pymongo_database, monkeypatch):
    """The look-ups are for an empty one only."""
    messages = await fill(pymongo_database["messages"], [message(n, n) for n in range(3)])
    monkeypatch.delattr(planner, "_what_there_is")
    assert (await plan_ranges(messages, Window(), SETTINGS)).empty is None


@pytest.mark.parametrize("keys", [INDEX, DOWN, INDEX[:1]])
async def test_an_index_on_a_field_that_no_document_has(pymongo_database, keys):
    """The fields that there are come instead of an advice about the type."""
    await pymongo_database["messages"].insert_many([{"sent_at": DAY, "text": "x"} for _ in range(3)])
    await pymongo_database["messages"].create_index(keys)
    with pytest.raises(
        PlanError, match=r"no document of .* has a field created_at: documents have sent_at\."
    ):
        await plan_ranges(pymongo_database["messages"], Window(), SETTINGS)


@pytest.mark.parametrize(
    ("values", "advice"),
    [
        ([None], "1 of type null or missing: check order_field and order_type"),
        (["2020", None], "set order_type='string'"),
        ([True, {"a": 1}], "1 of type object, 1 of type bool: check order_field and order_type"),
    ],
)
async def test_an_index_on_a_field_of_other_types(pymongo_database, values, advice):
    """No index is advised: there is one."""
    messages = await fill(pymongo_database["messages"], [{"created_at": value} for value in values])
    with pytest.raises(PlanError, match="created_at has no value of type date, but ") as raised:
        await plan_ranges(messages, Window(), SETTINGS)
    assert advice in str(raised.value)
    assert "createIndex" not in str(raised.value)
