"""Trap 50: look-ups compare `_id`s as a unique index does, whatever the BSON types of their numbers."""

from __future__ import annotations

import decimal
import uuid

import pytest
from bson import Code, Decimal128, Int64, Timestamp
from hypothesis import example, given
from hypothesis import strategies as st
from pymongo import MongoClient
from pymongo.errors import DuplicateKeyError

from engine import KeyRange, Status, Window, repair, replay, run, verify
from engine.keys.bson_values import identity, lookup_key
from engine.keys.key import Key
from tests.support.bson_strategies import values
from tests.support.checking import SMALL, Recorder, places
from tests.support.samples import DAY, fill, first_word, message
from tests.support.scans import scan_of
from tests.support.settings import settings_with

CHANGES = [
    (3, 3.0),
    (3.0, 3),
    (3, Decimal128("3")),
    (Decimal128("3.00"), Int64(3)),
    (-0.0, 0),
    (0.0, -0.0),
    (float("nan"), Decimal128("NaN")),
    (float("inf"), Decimal128("Infinity")),
    (2.5, Decimal128("2.50")),
    ({"n": 3}, {"n": 3.0}),
    ({"n": {"deep": [1, 2.0]}}, {"n": {"deep": [1.0, 2]}}),
    ({"at": [Decimal128("-0"), float("nan")]}, {"at": [0, Decimal128("NaN")]}),
    (Code("f()", {"x": 1}), Code("f()", {"x": 1.0})),
]
"""An `_id`, and one of other bytes that the server takes for the same."""

forms = st.sampled_from(
    [int, Int64, float, lambda n: Decimal128(str(n)), lambda n: Decimal128(f"{n}.00"), bool]
)
wholes = st.builds(lambda form, n: form(n), forms, st.integers(-3, 3))
fractions = st.floats(-1e9, 1e9).flatmap(
    lambda x: st.sampled_from([x, Decimal128(decimal.Context(prec=34).create_decimal(x)), Decimal128(str(x))])
)
numbers = (
    wholes | fractions | st.sampled_from([float("nan"), Decimal128("NaN"), -0.0, Decimal128("-0"), 5e-324])
)
alike = st.recursive(
    numbers | st.sampled_from([None, "3", "", b"", Timestamp(3, 0)]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2)
    ),
    max_leaves=4,
)
"""Values of which many differ in their bytes alone."""


@pytest.fixture(scope="module")
def unique(mongod_uri):
    """An empty collection, through a synchronous client."""
    with MongoClient(mongod_uri) as client:
        name = f"test_{uuid.uuid4().hex[:12]}"
        yield client[name]["unique"]
        client.drop_database(name)


def refused(unique, one, other):
    """Whether the unique index on `_id` refuses the second of the two values."""
    unique.delete_many({})
    unique.insert_one({"_id": {"v": one}})
    try:
        unique.insert_one({"_id": {"v": other}})
    except DuplicateKeyError:
        return True
    return False


@given(one=alike, other=alike)
@example(one=2**53, other=float(2**53))
@example(one=Int64(2**53 + 1), other=float(2**53))
@example(one=Int64(2**63 - 1), other=float(2**63))
@example(one=0.1, other=Decimal128("0.1"))
@example(one=0.1, other=Decimal128("0.1000000000000000055511151231257827"))
@example(one=1e300, other=Decimal128("1E+300"))
@example(one={"a": 1, "b": 2}, other={"b": 2, "a": 1})
@example(one=Code("f()"), other="f()")
@example(one=[1], other={"0": 1})
def test_two_ids_are_equal_exactly_if_a_unique_index_refuses_the_second(unique, one, other):
    """The server itself decides, for numbers of every type, alone and inside documents and arrays."""
    assert (lookup_key(one) == lookup_key(other)) == refused(unique, one, other)


@given(one=values, other=values)
def test_values_of_any_types_are_compared_as_a_unique_index_does(unique, one, other):
    """Most of these differ; a look-up key that joined two of them would hide a document."""
    assert (lookup_key(one) == lookup_key(other)) == refused(unique, one, other)
    assert lookup_key(one) == lookup_key(one)


@pytest.mark.asyncio
@pytest.mark.parametrize(("before", "now"), CHANGES)
async def test_a_document_whose_id_changed_its_type_is_the_same(pymongo_database, before, now):
    """It is present for `verify`, unchanged for a run, and its text is not sent again."""
    collection = await fill(pymongo_database["messages"], [message(before)])
    await run(Window(), extractor=first_word, **places(collection))
    await collection.delete_many({})
    await collection.insert_one(message(now, text=f"Hello {before}"))
    found = await verify(Window(), **places(collection))
    assert (found.read, found.present, found.missing) == (1, 1, 0)
    assert (await repair(Window(), extractor=first_word, **places(collection))).read == 0
    service = Recorder()
    report = await run(
        Window(), extractor=service, **places(collection, settings_with(SMALL, run_id="again"))
    )
    assert (report.status, report.unchanged, service.texts) == (Status.SUCCEEDED, 1, [])


@pytest.mark.asyncio
@pytest.mark.parametrize(("before", "now"), CHANGES)
async def test_the_letter_of_a_document_whose_id_changed_its_type_is_replayed(pymongo_database, before, now):
    """The document lives: it is sent, and its letter is resolved as such and not as deleted."""
    collection = await fill(pymongo_database["messages"], [message(now)])
    letters = pymongo_database["messages_dead_letters"]
    await letters.insert_one({"_id": before, "kind": "permanent", "resolved_at": None, "first_at": DAY})
    report = await replay(Window(), extractor=first_word, **places(collection))
    assert (report.status, report.read, report.written) == (Status.SUCCEEDED, 1, 1)
    assert (await verify(Window(), **places(collection))).present == 1
    letter = await letters.find_one({})
    assert (letter["resolved_at"] is not None, letter.get("resolution")) == (True, None)


@pytest.mark.asyncio
@pytest.mark.parametrize(("before", "now"), CHANGES)
async def test_a_letter_and_a_changed_text_are_found_under_either_type(pymongo_database, before, now):
    """A text that changed too is replaced; one that fails now keeps one letter, which counts for `verify`."""
    collection = await fill(pymongo_database["messages"], [message(before)])
    await run(Window(), extractor=first_word, **places(collection))
    await collection.delete_many({})
    await collection.insert_one(message(now, text="Other"))
    settings = settings_with(SMALL, run_id="again")
    report = await run(Window(), extractor=first_word, **places(collection, settings))
    assert (report.status, report.written) == (Status.SUCCEEDED, 1)
    assert await pymongo_database["messages_entities"].count_documents({"entities.text": "Other"}) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize(("before", "now"), CHANGES)
async def test_the_document_at_the_anchor_comes_again_as_another_type(pymongo_database, before, now):
    """A page begins at the last document of the page before, which is known under its new type, too."""
    collection = await fill(pymongo_database["messages"], [message(now), message("later")])
    scan = await scan_of(collection, SMALL)
    whole = KeyRange(scan.order.first(DAY), scan.order.first(message(0, 1)["created_at"]))
    found, _ = await scan.page(whole.start, whole.stop, Key((DAY, before)), limit=5)
    assert identity(now) not in [identity(document["_id"]) for document in found]


@pytest.mark.asyncio
async def test_order_values_of_one_number_in_several_types_are_one_tie(pymongo_database):
    """No boundary lies between 3 and 3.0, which are one value of the index."""
    forms = [3, 3.0, Int64(3), Decimal128("3.0")]
    documents = [{"_id": n, "n": forms[n % 4], "text": f"Hello {n}"} for n in range(200)]
    collection = pymongo_database["messages"]
    await collection.create_index([("n", 1), ("_id", 1)])
    await collection.insert_many(documents)
    settings = settings_with(SMALL, order_field="n", order_type="number", range_documents=10)
    for strategy in ("exact", "counted", "sample"):
        chosen = settings_with(settings, run_id=strategy, strategy=strategy)
        report = await run(Window(), extractor=first_word, **places(collection, chosen))
        assert (report.status, report.read) == (Status.SUCCEEDED, 200)
