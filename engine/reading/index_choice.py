"""Chooses the index and the query form (bounds, filter or whole ties) for a collection, once per run."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import replace
from typing import Any

from bson.max_key import MaxKey
from bson.min_key import MinKey

from engine.errors import PlanError, SourceError
from engine.keys.bson_values import identity
from engine.keys.key import Key, Order
from engine.mongo import calls, driver
from engine.reading.query_forms import BoundsScan, FilterScan, WholeTiesScan
from engine.reading.scan import Scan, missing_index

_NO_BOUNDS = frozenset({9, 115, 168, 303, 323, 40415})
"""Server codes of a server that refuses `min` and `max`: FailedToParse, CommandNotSupported,
InvalidPipelineOperator (views), feature not supported (Amazon DocumentDB), APIStrictError, unknown field."""

_EQUAL_BOUNDS = 51175
"""Server code of `min` that is not before `max`: a server that says so looks at them."""


async def choose_scan(
    collection: driver.AnyCollection, order_field: str, filter_: Mapping[str, Any], max_tied_documents: int
) -> Scan:
    """Returns the Scan of a collection: chooses the index that serves the order, and the query form.

    Args:
        filter_: selects the documents; an empty one selects all.
        max_tied_documents: most documents with one value of the order field, if no index has `_id` too.

    Raises:
        PlanError: there is no full index on the order; the message holds the `createIndex` to run.
        SourceError: the server could not be read.
    """
    collection = driver.exact(collection)
    scan = await _chosen_scan(collection, Order.of(order_field), dict(filter_), max_tied_documents)
    behind_router = await calls.read_source(collection, lambda: driver.is_router(collection.database))
    return replace(scan, behind_router=behind_router, utf8_handler=driver.utf8_handler(collection))


async def _chosen_scan(
    collection: driver.Collection, order: Order, filter_: dict[str, Any], max_tied_documents: int
) -> Scan:
    collation = await calls.read_source(collection, lambda: driver.default_collation(collection))
    index, spec = await _usable_index(collection, order, collation)
    chosen = collection, order, index, filter_, collation
    if index is None:
        return FilterScan(*chosen)
    if spec != order.spec:
        return WholeTiesScan(*chosen, most_ties=max_tied_documents)
    return BoundsScan(*chosen) if await _takes_bounds(collection, order, index) else FilterScan(*chosen)


async def _takes_bounds(collection: driver.Collection, order: Order, index: str) -> bool:
    """Whether the server takes `min` and `max`, and obeys them.

    Some servers accept them and read everything all the same. So their answers are compared with known keys:
    with the second key as `min` the first document must not come, nor the last one with it as `max`.
    """
    if not driver.has_server(collection):
        return False
    least, most = (Key((bound,) * len(order.fields)) for bound in (MinKey(), MaxKey()))

    async def ids(start: Key, stop: Key, *, backward: bool = False) -> list[Any]:
        found = await _between(collection, order, index, start, stop, limit=1, backward=backward)
        return [identity(document["_id"]) for document in found]

    try:
        known = await _between(collection, order, index, least, most, limit=2)
        if not known:  # an empty collection needs no bounds
            return True
        first, second = identity(known[0]["_id"]), Key(order.values_of(known[-1]))
        if len(known) > 1 and first in await ids(second, most):
            return False
        before = await ids(least, second, backward=True)
        return before in ([], [first][: len(known) - 1]) or before != await ids(least, most, backward=True)
    except SourceError as error:
        if error.code in _NO_BOUNDS or error.code == _EQUAL_BOUNDS:
            return error.code == _EQUAL_BOUNDS
        raise


async def _between(
    collection: driver.Collection,
    order: Order,
    index: str,
    start: Key,
    stop: Key,
    *,
    limit: int,
    backward: bool = False,
) -> list[dict[str, Any]]:
    """The first documents between two Keys in the order of the index, or the last ones."""

    def find() -> Awaitable[Any]:
        cursor = collection.find({}, dict.fromkeys(("_id", *order.fields), 1)).hint(index)
        cursor = cursor.min(order.bounds(start)).max(order.bounds(stop)).limit(limit)
        # Without a sort the index gives its own order, even if it is multikey and would need one.
        cursor = cursor.sort([(name, -1) for name in order.fields]) if backward else cursor
        return cursor.to_list(length=None)

    found: list[dict[str, Any]] = await calls.read_source(collection, find)
    return found


async def _usable_index(
    collection: driver.Collection, order: Order, collation: Any
) -> tuple[str | None, list[tuple[str, int]]]:
    """The name and fields of a full index on the order's fields or, if none, on the first; None for a view.

    A partial or sparse index would leave documents out without an error, and an index with another collation
    has another order (trap 7, docs/traps.md). Such an index is not taken, and the message says why.

    Raises:
        PlanError: there is no such index.
    """
    indexes = await calls.read_source(collection, lambda: driver.indexes(collection))
    if indexes is None:
        return None, []
    reasons = []
    for spec in (order.spec, order.spec[:1]):
        for name, index in indexes.items():
            if list(index["key"]) == spec:
                reason = _why_not(index, collation, is_id=name == "_id_")
                if reason is None:
                    return name, spec
                reasons.append(f"index {name!r} cannot be used: {reason}")
    if not indexes:  # even an empty collection has the index on _id
        reasons.append("the collection does not exist or has no documents")
    raise PlanError(missing_index(collection, order, list(dict.fromkeys(reasons))))


def _why_not(index: dict[str, Any], default_collation: Any, *, is_id: bool) -> str | None:
    for option in ("partialFilterExpression", "sparse", "hidden"):
        if index.get(option):
            return f"it is {option.removesuffix('FilterExpression')}, and documents would be missed"
    if not is_id and index.get("collation") != default_collation:
        return "its collation is not the collection's"
    return None
