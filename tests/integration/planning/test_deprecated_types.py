"""Values of deprecated BSON types are counted where they order, and refused within an `_id`."""

from __future__ import annotations

import asyncio
import struct

import pytest
from bson import DBRef

from engine import EngineError, PlanError, Status, Window, plan_ranges, run, verify
from engine.planning import planner
from tests.support.checking import SMALL, places
from tests.support.index_shapes import DOWN
from tests.support.raw_documents import (
    ARRAY,
    CODE,
    DB_POINTER,
    DOCUMENT,
    STRING,
    SYMBOL,
    UNDEFINED,
    element,
    embedded,
    raw,
    string,
)
from tests.support.samples import DAY, INDEX, fill, first_word, message
from tests.support.settings import settings_with

pytestmark = pytest.mark.asyncio

POINTER = string(b"a.b") + b"1" * 12
SCOPED = struct.pack("<i", 4 + 8 + 5) + string(b"f()") + embedded()
TEXT = element(STRING, "text", string(b"a"))
ORDER_VALUES = {
    "undefined": (element(UNDEFINED, "created_at", b""), "undefined"),
    "DBPointer": (element(DB_POINTER, "created_at", POINTER), "dbPointer"),
    "symbol": (element(SYMBOL, "created_at", string(b"a")), "string"),
    "code": (element(CODE, "created_at", string(b"f()")), "javascript"),
    "code with scope": (element(15, "created_at", SCOPED), "javascript"),
    "regex": (element(11, "created_at", b"a\0i\0"), "regex"),
    "MinKey": (element(255, "created_at", b""), "minKey"),
    "MaxKey": (element(127, "created_at", b""), "maxKey"),
    "null": (element(10, "created_at", b""), "null or missing"),
}


@pytest.mark.parametrize("case", ORDER_VALUES)
@pytest.mark.parametrize("index", ["whole", "ties", "none"])
async def test_an_order_value_of_a_deprecated_type_is_counted(pymongo_database, case, index):
    """It is outside the window, and the plan, the run and the verification say so in each query form."""
    value, name = ORDER_VALUES[case]
    collection = source = pymongo_database["messages"]
    documents = [message(n, n) for n in range(20)]
    if index == "ties":
        await collection.create_index([("created_at", 1)])
        await collection.insert_many(documents)
        name = {"symbol": "symbol", "code with scope": "javascriptWithScope"}.get(case, name)
    else:
        await fill(collection, documents)
    if index == "none":
        source = await pymongo_database.create_collection("view", viewOn="messages", pipeline=[])
        name = "other types"
    await collection.insert_one(raw(value, TEXT, _id="odd"))
    plan = await plan_ranges(source, Window(), SMALL)
    assert (plan.documents, plan.outside) == (20, {name: 1})
    report = await run(Window(), extractor=first_word, **places(source))
    assert (report.status, report.written) == (Status.SUCCEEDED, 20)
    assert (await verify(Window(), **places(source))).outside == {name: 1}


async def test_all_of_them_together_are_counted_apart(pymongo_database):
    """Those that share the bounds of another type are not counted twice."""
    collection = await fill(pymongo_database["messages"], [message(n, n) for n in range(20)])
    for n, (value, _) in enumerate(ORDER_VALUES.values()):
        await collection.insert_many([raw(value, TEXT, _id=f"{n}-{again}") for again in range(n + 1)])
    plan = await plan_ranges(collection, Window(), SMALL)
    assert plan.documents == 20
    assert plan.outside == {
        "undefined": 1, "dbPointer": 2, "string": 3, "javascript": 4 + 5, "regex": 6,
        "minKey": 7, "maxKey": 8, "null or missing": 9,
    }  # fmt: skip


@pytest.mark.parametrize("order_field", ["created_at", "_id"])
@pytest.mark.parametrize(
    "bad",
    [
        element(DOCUMENT, "_id", embedded(element(UNDEFINED, "a", b""))),
        element(DOCUMENT, "_id", embedded(element(STRING, "a", string(b"x")), element(UNDEFINED, "b", b""))),
        element(DOCUMENT, "_id", embedded(element(DB_POINTER, "a", POINTER))),
        element(DB_POINTER, "_id", POINTER),
    ],
)
async def test_an_id_that_no_driver_gives_back_is_refused(pymongo_database, bad, order_field):
    """Reading could not go on after it; the line names it."""
    collection = await fill(pymongo_database["messages"], [message(n, n) for n in range(20)])
    await collection.insert_one(raw(bad, TEXT, created_at=DAY))
    settings = settings_with(SMALL, order_field=order_field)
    with pytest.raises(PlanError, match="the _id .* deprecated type undefined or DBPointer"):
        await run(Window(), extractor=first_word, **places(collection, settings))
    with pytest.raises(PlanError, match="the _id .* deprecated type undefined or DBPointer"):
        await verify(Window(), **places(collection, settings))


DEEP = {
    "two levels": embedded(element(DOCUMENT, "a", embedded(element(UNDEFINED, "b", b"")))),
    "three levels": embedded(
        element(DOCUMENT, "a", embedded(element(DOCUMENT, "b", embedded(element(DB_POINTER, "c", POINTER)))))
    ),
    "in an array": embedded(element(ARRAY, "a", embedded(element(UNDEFINED, "0", b"")))),
    "one level": embedded(element(UNDEFINED, "a", b"")),
    "a DBPointer": embedded(element(DB_POINTER, "a", POINTER)),
}


@pytest.mark.parametrize("order_field", ["created_at", "_id"])
@pytest.mark.parametrize("index", ["whole", "descending", "ties", "view"])
@pytest.mark.parametrize("case", DEEP)
async def test_an_id_that_planning_does_not_look_into_is_named_by_its_page(
    pymongo_database, monkeypatch, case, index, order_field
):
    """In a large collection, in a view, or deeper: the run and the verification end and name it."""
    monkeypatch.setattr(planner, "WALKED_DOCUMENTS", 5)
    collection = source = pymongo_database["messages"]
    await collection.insert_many([message(n, n) for n in range(20)])
    twin = element(DOCUMENT, "_id", embedded(DEEP[case][4:-1], element(STRING, "z", string(b"x"))))
    for bad in (element(DOCUMENT, "_id", DEEP[case]), twin):
        await collection.insert_one(raw(bad, TEXT, created_at=DAY))
    await collection.create_index({"descending": DOWN, "ties": INDEX[:1]}.get(index, INDEX))
    if index == "view":
        source = await pymongo_database.create_collection("view", viewOn="messages", pipeline=[])
    settings = settings_with(SMALL, order_field=order_field, page_documents=1, range_documents=100)
    for done in (
        run(Window(), extractor=first_word, **places(source, settings)),
        verify(Window(), **places(source, settings)),
    ):
        assert "the deprecated type undefined or DBPointer" in await told(done)


async def told(done):
    """The error or the problems that the call ends with."""
    try:
        async with asyncio.timeout(60):
            return " ".join((await done).problems)
    except EngineError as error:
        return str(error)


@pytest.mark.parametrize(
    "id_", [{"a": None}, {"a": {"b": None}}, DBRef("a", 1), {"a": DBRef("a", {"b": None})}]
)
@pytest.mark.parametrize("order_field", ["created_at", "_id"])
async def test_ids_that_only_look_like_them_are_read(pymongo_database, id_, order_field):
    """Null and documents that are written like references come back as they are; so do symbols."""
    collection = await fill(pymongo_database["messages"], [message(n, n) for n in range(5)])
    await collection.insert_one(message(id_))
    symbol = embedded(element(SYMBOL, "a", string(b"x")), element(10, "b", b""))
    await collection.insert_one(raw(element(DOCUMENT, "_id", symbol), TEXT, created_at=DAY))
    settings = settings_with(SMALL, order_field=order_field, page_documents=1)
    report = await run(Window(), extractor=first_word, **places(collection, settings))
    assert (report.status, report.written) == (Status.SUCCEEDED, 7)
