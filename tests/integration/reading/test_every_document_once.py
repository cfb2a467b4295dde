"""No document is lost or read twice, whatever the collection holds: Hypothesis on a real server.

The ranges of a plan, each interrupted and resumed through JSON, together read exactly the documents that one
plain query of the window finds, in its order.
"""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.datetime_ms import DatetimeMS
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pymongo import AsyncMongoClient

from engine import Key, KeyRange, PlanError, Settings, Window, plan_ranges
from engine.keys.bson_values import identity
from engine.reading.reader import Reader
from tests.support.bson_strategies import values
from tests.support.index_shapes import SHAPES, TIED, Server, form_of
from tests.support.samples import DAY, INDEX
from tests.support.scans import scan_of
from tests.support.settings import settings_with

LARGEST = 30
"""The most documents of a case: a reader that repeats documents fails at more, and does not run forever."""

PROFILE = settings(
    max_examples=12,
    deadline=None,  # the time of an example depends on the server and on other work
    derandomize=True,  # the same examples wherever the tests run
    print_blob=True,
    # All examples share the server and its collections on purpose; each empties the one it takes.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

# --- what a collection may hold ---

_ms = timedelta(milliseconds=1)
_edges = [DAY, DAY + _ms, DAY - _ms, DAY + 999 * _ms, DAY + 1000 * _ms, datetime(1970, 1, 1, tzinfo=UTC)]
dates = st.sampled_from(
    [
        *_edges,
        datetime(1969, 12, 31, 23, 59, 59, 999000, UTC),
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999000, UTC),
        *(DatetimeMS(ms) for ms in (-(2**63), -(10**15), 10**15, 2**63 - 1)),
    ]
)
numbers = st.sampled_from(
    [float("nan"), Decimal128("NaN"), float("-inf"), -1, 0, -0.0, 1, 1.5, Int64(2**60), Decimal128("1.5")]
)
strings = st.sampled_from(["", "a", "A", "b", "B", "2020-01-01", "ä", "z", "\x00"])
moments = st.sampled_from([DAY, DAY + timedelta(seconds=1), datetime(1970, 1, 1, tzinfo=UTC)])
object_ids = st.builds(
    lambda at, end: ObjectId(ObjectId.from_datetime(at).binary[:11] + end),
    moments,
    st.sampled_from([b"\0", b"\1", b"\xff"]),
)
stamps = st.builds(
    lambda at, inc: Timestamp(int(at.timestamp()), inc), moments, st.sampled_from([0, 1, 2**32 - 1])
)
OF_TYPE = {"date": dates, "number": numbers, "string": strings, "objectId": object_ids, "timestamp": stamps}
others = st.sampled_from([None, MinKey(), MaxKey(), {}, {"x": 1}, True, ObjectId("0" * 24), Timestamp(1, 1)])

ids = st.one_of(
    st.integers(0, 9),
    st.sampled_from(["a", "A", "b", "B", "", "é", "\x00"]),
    st.integers(0, 30).map(lambda n: ObjectId.from_datetime(DAY + timedelta(seconds=n))),
    st.sampled_from([MinKey(), None, float("nan"), True, False, Code("f"), {"a": 1}, {"a": 1.5}, {}]),
    values.filter(lambda value: not isinstance(value, list | Regex | MaxKey)),
)
"""Every BSON type that MongoDB allows in `_id`; many small values, so that types meet in one page."""


@dataclass(frozen=True)
class Case:
    """A collection, the window and settings it is read with, and where reading is interrupted.

    Attributes:
        cuts: the documents of each range that are read before each interruption.
        deleting: whether the last document read is deleted before reading resumes.
    """

    documents: list[dict[str, Any]]
    window: Window
    settings: Settings
    collated: bool
    cuts: list[int]
    deleting: bool


@st.composite
def documents_of(draw, order_type):
    """Documents with few values of the order's type, so that there are ties, and some of other types."""
    of_type = OF_TYPE[order_type]
    few = draw(st.lists(of_type, min_size=1, max_size=3))
    value = st.one_of(*[st.sampled_from(few)] * 3, st.one_of(of_type, others, dates, numbers, strings))
    # Most documents have the field; some lack it.
    fields = st.one_of(*[value.map(lambda v: {"created_at": v})] * 5, st.just({}))
    documents = st.builds(lambda id_, found: {"_id": id_, "text": "x", **found}, ids, fields)
    return draw(st.lists(documents, min_size=draw(st.sampled_from([0, 8, 12, 16])), max_size=LARGEST))


def ordered_pairs(ends):
    """Windows with both ends, one end or none."""
    pairs = st.tuples(ends, ends).map(sorted).map(lambda pair: Window(*pair))
    return st.one_of(st.just(Window()), pairs, ends.map(lambda end: Window(end, None)))


WINDOWS = {
    "date": ordered_pairs(st.sampled_from(_edges)),
    "number": ordered_pairs(st.sampled_from([-1, 0, 1, 1.5, 2, 2**60])),
    "string": ordered_pairs(st.sampled_from(["a", "b", "z"])),
    "objectId": ordered_pairs(object_ids),
    "timestamp": ordered_pairs(stamps),
    "_id": ordered_pairs(st.integers(0, 30).map(lambda n: DAY + timedelta(seconds=n))),
}


@st.composite
def cases(draw, order_field):
    """Cases with pages and ranges of 1 to 11 documents."""
    types = ["date", "date", *(kind for kind in OF_TYPE if kind != "date")]
    order_type = draw(st.sampled_from(types))
    sizes = st.integers(1, 11)
    return Case(
        draw(documents_of(order_type)),
        draw(WINDOWS["_id" if (order_field, order_type) == ("_id", "date") else order_type]),
        settings_with(
            order_field=order_field,
            order_type=order_type,
            range_documents=draw(sizes),
            max_ranges=draw(st.sampled_from([200, 3])),
            page_documents=draw(sizes),
            strategy=draw(st.sampled_from(["auto", "exact", "counted", "sample"])),
            read_ahead_bytes=draw(st.sampled_from([0, 1 << 20])),
        ),
        draw(st.booleans()),
        draw(st.lists(st.integers(0, 11), max_size=3)),
        draw(st.booleans()),
    )


def known(documents, *, collated=False, window=Window(), cuts=(), deleting=False, **chosen):
    """A case that once lost a document, or easily could."""
    settings = settings_with(**{"range_documents": 1, "page_documents": 1, **chosen})
    documents = [{"_id": id_, "text": "x", "created_at": at} for id_, at in documents]
    return Case(documents, window, settings, collated, list(cuts), deleting)


FIVE = [(n, DAY) for n in range(5)]

SAME = [(n, "aA"[n % 2]) for n in range(20)]
"""Values that are equal under the collation, but have different bytes."""

# --- the server ---


@pytest.fixture(scope="module")
def server(mongod_uri):
    """A server with an event loop of its own, because Hypothesis calls synchronous functions."""
    with asyncio.Runner() as runner:
        shared = Server(runner, AsyncMongoClient(mongod_uri))
        runner.run(shared.prepare())
        yield shared
        runner.run(shared.client.drop_database(shared.database.name))
        runner.run(shared.client.close())


# --- the plain query, and the engine ---


def of_type(case):
    """A filter for the documents with the type of the case's window."""
    if case.settings.order_field != "_id":
        return {"created_at": {"$type": case.settings.order_type}}
    kind = "objectId" if case.settings.order_type == "date" else case.settings.order_type
    return {} if case.window == Window() else {"_id": {"$type": kind}}


def in_window(case):
    """A filter for the documents of the window."""
    ends = {"$gte": case.window.start, "$lt": case.window.end}
    ends = {operator: end for operator, end in ends.items() if end is not None}
    if (case.settings.order_field, case.settings.order_type) == ("_id", "date"):
        ends = {operator: ObjectId.from_datetime(end) for operator, end in ends.items()}
    return {"$and": [of_type(case), {case.settings.order_field: ends}]} if ends else of_type(case)


async def take(reader, after, most):
    """Reads at most so many Keys after a Key, and returns them with the Key to resume from.

    Closes the reader then, as if the process had died. Keys beyond the one to resume from are read again.
    """
    done, taken = [], []
    async with aclosing(reader.pages(after)) as pages:
        async for page in pages:
            part = list(zip(*page.keys, strict=True))[: None if most is None else most - len(taken)]
            taken += part
            assert len(taken) <= LARGEST, "the range never ends"
            if part and (key := reader.position(part[-1], ends_page=len(part) == len(page))):
                done, after = list(taken), key
            if most is not None and len(taken) >= most:
                break
    return done, after


async def read_range(source, collection, key_range, case):
    """The identities of a range's documents, read in pieces; positions and ranges pass through JSON."""
    scan = await scan_of(source, case.settings)
    found, after = [], None
    for most in [*case.cuts, None]:
        reader = Reader(scan, KeyRange.from_json(json.loads(json.dumps(key_range.to_json()))), case.settings)
        taken, after = await take(reader, after, most)
        found += [identity(values[-1]) for values in taken]
        if taken:
            after = Key.from_json(json.loads(json.dumps(after.to_json())))
            if case.deleting:
                await collection.delete_one({"$expr": {"$eq": ["$_id", {"$literal": taken[-1][-1]}]}})
    return found


async def covers(server, case, shape):
    """Checks that planning and reading a case finds what one query finds, and that counts by type agree."""
    collection = await server.holding(case, shape)
    source = server.database[f"{collection.name} view"] if shape == "filter" else collection
    by_key = [("_id", 1)] if case.settings.order_field == "_id" else INDEX
    everything = await collection.find(in_window(case), {"_id": 1}).sort(by_key).to_list()
    total, inside = [await collection.count_documents(f) for f in ({}, of_type(case))]
    try:
        plan = await plan_ranges(source, case.window, case.settings)
    except PlanError as error:
        assert re.search("has no value of type|no document .* has a field", str(error))  # noqa: PT017 - a refusal is right only then
        assert inside == 0 < total
        return
    assert plan.form == form_of(shape)
    assert inside + sum(plan.outside.values()) == total
    assert plan.documents == len(everything) or not plan.exact
    found = [i for r in plan.ranges for i in await read_range(source, collection, r, case)]
    wanted = [identity(document["_id"]) for document in everything]
    if shape in TIED:
        assert len(found) == len(wanted)
        found, wanted = set(found), set(wanted)
    assert found == wanted


@pytest.mark.parametrize("shape", ["index_bounds", "filter", "whole_ties"])
@given(case=cases("created_at"))
@example(known(FIVE, range_documents=5, page_documents=2, cuts=(2, 1), deleting=True))
@example(known([(0, float("nan")), (1, float("nan"))], order_type="number"))
@example(known([(0, "")], order_type="string", collated=True))
@example(known(SAME, order_type="string", collated=True, strategy="sample", window=Window(None, "z")))
@example(known(SAME, order_type="string", collated=True, strategy="counted", window=Window(None, "z")))
@example(known([(0, datetime(9999, 12, 31, 23, 59, 59, 999000, UTC))]))
@example(known([(0, DatetimeMS(2**63 - 1))]))
@PROFILE
def test_ranges_read_what_one_query_finds_in_the_order_of_a_field(server, shape, case):
    """Dates, numbers or strings are the order; `_id`s of any type break ties."""
    server.run(covers(server, case, shape))


@pytest.mark.parametrize("shape", SHAPES)
@given(case=cases("created_at"))
@settings(PROFILE, max_examples=3)
def test_ranges_read_what_one_query_finds_by_any_index_that_begins_with_the_field(server, shape, case):
    """Descending and longer indexes serve the order, and those without `_id` its values."""
    server.run(covers(server, case, shape))


@pytest.mark.parametrize("shape", ["index_bounds", "filter", "clustered"])
@given(case=cases("_id"))
@example(known(FIVE, order_field="_id", range_documents=5, page_documents=2, cuts=(2, 1), deleting=True))
@example(known([(Code("f"), DAY)], order_field="_id", window=Window(DAY, DAY)))
@example(known([("a", DAY)], order_field="_id", collated=True))
@PROFILE
def test_ranges_read_what_one_query_finds_in_the_order_of_the_id(server, shape, case):
    """Without a window `_id`s have any type; a window of times contains ObjectIds."""
    server.run(covers(server, case, shape))
