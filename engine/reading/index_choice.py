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
from engine.mongo.collection_info import (
    UUID_MISMATCH,
    CollectionInfo,
    breaking_stage,
    identity_of,
    is_replaced,
    layers_of,
    source_replaced,
)
from engine.reading.query_forms import BoundsScan, FilterScan, WholeTiesScan
from engine.reading.scan import Scan
from engine.reading.unreadable import missing_index

_NO_BOUNDS = frozenset({9, 115, 168, 303, 323, 40415})
"""Server codes of a server that refuses `min` and `max`: FailedToParse, CommandNotSupported,
InvalidPipelineOperator (views), feature not supported (Amazon DocumentDB), APIStrictError, unknown field."""

_EQUAL_BOUNDS = 51175
"""Server code of `min` that is not before `max`: a server that says so looks at them."""


async def choose_scan(
    collection: driver.AnyCollection,
    order_field: str,
    filter_: Mapping[str, Any],
    max_tied_documents: int,
    planned: str | None = None,
) -> Scan:
    """Returns the Scan of a collection: chooses the index that serves the order, and the query form.

    Args:
        filter_: selects the documents; an empty one selects all.
        max_tied_documents: most documents with one value of the order field, if no index has `_id` too.
        planned: the `source_uuid` of the plan; None if there is no plan, or an old one without it.

    Raises:
        PlanError: there is no full index on the order, and the message holds the `createIndex` to run; or it
            is a collection of a kind of which `_id`s may repeat.
        SourceError: the server could not be read, or the collection is not the planned one.
    """
    collection = driver.exact(collection)
    layers = await layers_of(collection)
    source_uuid = identity_of(layers)
    if is_replaced(planned, source_uuid):
        raise source_replaced(collection)
    _refuse_repeated_ids(collection, layers)
    collation = layers[0].options.get("collation") if layers[0] else None
    order = Order.of(order_field)
    scan = await _chosen_scan(collection, order, dict(filter_), collation, max_tied_documents)
    scan = replace(scan, source_uuid=source_uuid)
    if isinstance(scan, BoundsScan) and source_uuid:
        scan = replace(scan, names_uuid=await _takes_uuid(replace(scan, names_uuid=True)))
    behind_router = await calls.read_source(collection, lambda: driver.is_router(collection.database))
    return replace(scan, behind_router=behind_router, utf8_handler=driver.utf8_handler(collection))


async def _chosen_scan(
    collection: driver.Collection, order: Order, filter_: dict[str, Any], collation: Any, max_tied: int
) -> Scan:
    index, spec = await _usable_index(collection, order, collation)
    chosen = collection, order, index, filter_, collation
    if index is None:
        return FilterScan(*chosen)
    if spec != order.spec:
        return WholeTiesScan(*chosen, most_ties=max_tied)
    return BoundsScan(*chosen) if await _takes_bounds(collection, order, index) else FilterScan(*chosen)


def _refuse_repeated_ids(collection: driver.Collection, layers: list[CollectionInfo | None]) -> None:
    """Refuses what may show several documents with one `_id`, which then neither orders nor names a result.

    Raises:
        PlanError: it is a time series, or a view that may repeat or hide `_id`s; the message says what to do.
    """
    name, views = driver.namespace(collection), [info for info in layers[:-1] if info]
    base = layers[-1]
    if base is None and views:
        raise PlanError(
            f"{name} is a view, and there is no collection {views[-1].options['viewOn']!r} below it"
        )
    series = base is not None and base.kind == "timeseries"
    stage = breaking_stage([info.options.get("pipeline", []) for info in reversed(views)])
    if not series and stage is None:
        return
    kind = "a time series" if series and not views else "a view on a time series" if series else "a view"
    into = "$out" if series else "$merge"
    why = "its _ids are neither unique nor indexed" if series else f"after {stage} an _id may repeat"
    raise PlanError(
        f"{name} is {kind}: {why}, so no plan can promise to read each document once. Copy it to a "
        f'collection with new _ids and read that: db.getCollection("{collection.name}").aggregate('
        f'[{{"$unset": "_id"}}, {{"{into}": "{collection.name}_copy"}}])'
    )


async def _takes_uuid(scan: BoundsScan) -> bool:
    """Whether the server lets a query name the UUID of the collection, tried by one query."""
    one = {"filter": {"_id": {"$in": []}}, "limit": 1, "singleBatch": True}
    try:
        await calls.read_source(scan.collection, lambda: scan.first_batch(one))
    except SourceError as error:
        if error.code == UUID_MISMATCH:
            raise source_replaced(scan.collection) from error
        if error.code in _NO_BOUNDS:
            return False
        raise
    return True


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
