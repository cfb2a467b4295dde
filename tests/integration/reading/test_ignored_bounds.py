"""Servers that accept `hint`, `min` and `max` and ignore them are noticed, and read by filters."""

from __future__ import annotations

import pytest

from engine import Settings, Tuning, Window, plan_ranges, run, verify
from tests.support.samples import INDEX, fill, first_word, message
from tests.support.scans import scan_of

pytestmark = pytest.mark.asyncio

SETTINGS = Settings(range_documents=30, tuning=Tuning(page_documents=8))
SERVERS = {"bounds": {"min", "max"}, "min": {"min"}, "max": {"max"}, "all": {"hint", "min", "max"}}


class Cursor:
    """A cursor that drops what the server ignores."""

    def __init__(self, cursor, ignored):
        self._cursor, self._ignored = cursor, ignored

    def __getattr__(self, name):
        def called(*arguments, **options):
            if name in self._ignored:
                return self
            if name == "limit" and "singleBatch" in self._ignored:
                arguments = [abs(arguments[0])]
            made = getattr(self._cursor, name)(*arguments, **options)
            return Cursor(made, self._ignored) if hasattr(made, "max_await_time_ms") else made

        return called


class Careless:
    """A collection of a server that accepts these options of a query, and ignores them."""

    def __init__(self, collection, ignored):
        self._collection, self._ignored = collection, ignored

    def __getattr__(self, name):
        return getattr(self._collection, name)

    def with_options(self, **options):
        """The same collection with other options."""
        return Careless(self._collection.with_options(**options), self._ignored)

    def find(self, *arguments, **options):
        """A query of which the options do nothing."""
        return Cursor(self._collection.find(*arguments, **options), self._ignored)


@pytest.mark.parametrize("ignored", SERVERS.values(), ids=SERVERS)
@pytest.mark.parametrize("count", [2, 3, 100])
async def test_what_is_ignored_is_not_used(pymongo_database, ignored, count):
    """Planning, reading and verifying are then by filters, and nothing is lost or read twice."""
    messages = await fill(pymongo_database["messages"], [message(n, n // 3) for n in range(count)])
    careless = Careless(messages, ignored)
    plan = await plan_ranges(careless, Window(), SETTINGS)
    assert (plan.form, plan.documents) == ("filter", count)
    where = {"source": careless, "target": pymongo_database, "settings": SETTINGS}
    report = await run(Window(), extractor=first_word, **where)
    assert (report.reconciled, report.read, report.written) == (True, count, count)
    found = await verify(Window(), **where)
    assert (found.complete, found.read) == (True, count)


@pytest.mark.parametrize("ignored", [{"max"}, {"min", "max"}], ids=["max", "bounds"])
async def test_one_document_is_enough(pymongo_database, ignored):
    """It must not come before itself."""
    messages = await fill(pymongo_database["messages"], [message(1, 1)])
    assert (await scan_of(Careless(messages, ignored), SETTINGS)).form == "filter"


async def test_a_page_in_several_replies_is_read_all_the_same(pymongo_database):
    """A server that ignores `singleBatch` obeys the bounds, and loses nothing."""
    messages = await fill(pymongo_database["messages"], [message(n, n // 3) for n in range(100)])
    where = {"source": Careless(messages, {"singleBatch"}), "target": pymongo_database, "settings": SETTINGS}
    assert (await plan_ranges(where["source"], Window(), SETTINGS)).form == "index_bounds"
    report = await run(Window(), extractor=first_word, **where)
    assert (report.reconciled, report.written) == (True, 100)


async def test_an_empty_collection_needs_no_bounds(pymongo_database):
    """It cannot be decided there, and nothing will be read."""
    await pymongo_database["messages"].create_index(INDEX)
    plan = await plan_ranges(Careless(pymongo_database["messages"], {"min", "max"}), Window(), SETTINGS)
    assert plan.ranges == ()


FIRST_VALUES = {
    "dates": [1, 2, 3],
    "ties": [7, 7, 7],
    "missing": [None, None, 5],
    "mixed": [None, 1, "a"],
    "one": [5],
    "nan": [float("nan"), float("nan"), 1.5],
    "objects": [{"a": 1}, {"a": 2}],
}


@pytest.mark.parametrize("values", FIRST_VALUES.values(), ids=FIRST_VALUES)
async def test_a_server_that_obeys_is_read_by_bounds(database, values):
    """Whatever stands first in the order, through both drivers."""
    await database["messages"].insert_many([{"_id": n, "at": value} for n, value in enumerate(values)])
    await database["messages"].create_index([("at", 1), ("_id", 1)])
    scan = await scan_of(database["messages"], Settings(order_field="at"))
    assert scan.form == "index_bounds"


@pytest.mark.parametrize("ids", [[1], [1, 2], ["a", "b", "c"], [{"a": 1}, {"b": 1}]])
async def test_by_id_too(pymongo_database, ids):
    """The order of `_id` alone, on a server that obeys and on one that does not."""
    await pymongo_database["messages"].insert_many([{"_id": n} for n in ids])
    by_id = Settings(order_field="_id")
    assert (await scan_of(pymongo_database["messages"], by_id)).form == "index_bounds"
    careless = Careless(pymongo_database["messages"], {"min", "max"})
    assert (await scan_of(careless, by_id)).form == "filter"
