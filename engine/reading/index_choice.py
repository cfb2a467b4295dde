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
from engine.keys.order_index import OrderIndex, missing_index
from engine.keys.utf8 import is_encodable
from engine.mongo import calls, driver
from engine.mongo.calls import UNAUTHORIZED
from engine.mongo.collection_info import (
    UUID_MISMATCH,
    CollectionInfo,
    breaking_stage,
    identity_of,
    is_replaced,
    layers_of,
    source_replaced,
)
from engine.reading.query_forms import BoundsScan, DescendingScan, FilterScan, WholeTiesScan
from engine.reading.scan import Scan
from engine.reading.source import missing_collection, missing_field

_NO_BOUNDS = frozenset({9, 115, 168, 303, 323, 40415})
"""Server codes of a server that refuses `min` and `max`: FailedToParse, CommandNotSupported,
InvalidPipelineOperator (views), feature not supported (Amazon DocumentDB), APIStrictError, unknown field."""

_EQUAL_BOUNDS = 51175
"""Server code of `min` that is not before `max`: a server that says so looks at them."""

_CLUSTERED_BACKWARD = 6137402
"""Server code of bounds on a clustered collection that is read backward: it looks at them, too."""


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
    handler, collection = driver.utf8_handler(collection), driver.exact(collection)
    layers = await layers_of(collection)
    source_uuid = identity_of(layers)
    if is_replaced(planned, source_uuid):
        raise source_replaced(collection)
    _refuse_repeated_ids(collection, layers)
    if layers == [None]:
        raise PlanError(await missing_collection(collection))
    scan = await _chosen_scan(collection, Order.of(order_field), dict(filter_), layers, max_tied_documents)
    scan = replace(scan, source_uuid=source_uuid)
    if isinstance(scan, BoundsScan) and source_uuid:
        scan = replace(scan, names_uuid=await _takes_uuid(replace(scan, names_uuid=True)))
    behind_router = await calls.read_source(collection, lambda: driver.is_router(collection.database))
    return replace(scan, behind_router=behind_router, utf8_handler=handler)


async def _chosen_scan(
    collection: driver.Collection,
    order: Order,
    filter_: dict[str, Any],
    layers: list[CollectionInfo | None],
    max_tied: int,
) -> Scan:
    *views, base = layers
    collation = layers[0].options.get("collation") if layers[0] else None
    behind = (
        calls.named(collection.database, views[-1].options["viewOn"]) if views and views[-1] else collection
    )
    index = await _usable_index(collection, behind, order, collation)
    chosen, capped = (collection, order, index, filter_, collation), bool(base and base.options.get("capped"))
    if not index.serves(order):
        return WholeTiesScan(*chosen, most_ties=max_tied, capped=capped)
    if views or not await _takes_bounds(collection, order, index):
        return FilterScan(*chosen, capped=capped)
    return (DescendingScan if index.descending else BoundsScan)(*chosen, capped=capped)


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


async def _takes_bounds(collection: driver.Collection, order: Order, index: OrderIndex) -> bool:
    """Whether the server takes `min` and `max`, and obeys them.

    Some servers accept them and read everything all the same. So their answers are compared with known keys:
    with the second key as `min` the first document must not come, nor the last one with it as `max`. First
    and last mean those of the index, whatever its direction.
    """
    if not driver.has_server(collection):
        return False
    least, most = (Key((bound,) * len(order.fields)) for bound in (MinKey(), MaxKey()))
    least, most = (most, least) if index.descending else (least, most)

    async def ids(start: Key, stop: Key, *, backward: bool = False) -> list[Any]:
        found = await _between(collection, order, index, start, stop, limit=1, backward=backward)
        return [identity(document["_id"]) for document in found]

    try:
        known = await _between(collection, order, index, least, most, limit=2)
        if not known:  # an empty collection needs no bounds
            return True
        first, second = identity(known[0]["_id"]), Key(order.values_of(known[-1]))
        if not all(map(is_encodable, second.values)):  # see `refuse_unusable_keys`
            return True
        if len(known) > 1 and first in await ids(second, most):
            return False
        before = await ids(least, second, backward=True)
        return before in ([], [first][: len(known) - 1]) or before != await ids(least, most, backward=True)
    except SourceError as error:
        if error.code in (*_NO_BOUNDS, _EQUAL_BOUNDS, _CLUSTERED_BACKWARD):
            return error.code not in _NO_BOUNDS
        raise


async def _between(
    collection: driver.Collection,
    order: Order,
    index: OrderIndex,
    start: Key,
    stop: Key,
    *,
    limit: int,
    backward: bool = False,
) -> list[dict[str, Any]]:
    """The first documents between two Keys in the order of the index, or the last ones."""

    def find() -> Awaitable[Any]:
        cursor = collection.find({}, dict.fromkeys(("_id", *order.fields), 1)).hint(index.hint)
        cursor = cursor.min(index.bound(start)).max(index.bound(stop)).limit(limit)
        # Without a sort the index gives its own order, even if it is multikey and would need one.
        cursor = (
            cursor.sort([(name, -to) for name, to in index.keys[: len(order.fields)]]) if backward else cursor
        )
        return cursor.to_list(length=None)

    found: list[dict[str, Any]] = await calls.read_source(collection, find)
    return found


async def _usable_index(
    collection: driver.Collection, behind: driver.Collection, order: Order, collation: Any
) -> OrderIndex:
    """A full index that begins with the order's fields or, if there is none, with the first.

    The exact index is taken before a longer one. One that leaves documents out would lose them without an
    error, and one with another collation has another order (trap 7, docs/traps.md). Such an index is not
    taken, and the message says why.

    Raises:
        PlanError: there is no such index.
    """
    indexes = await _indexes(behind, is_view=behind.name != collection.name)
    if indexes is None:
        return OrderIndex(behind.name, None, tuple(order.spec))
    concerned = {name: index for name, index in indexes.items() if _concerns(index, order)}
    refused = {name: _why_not(index, collation) for name, index in concerned.items()}
    usable = [_ordered(behind.name, name, index) for name, index in concerned.items() if not refused[name]]
    if usable:
        return min(usable, key=lambda i: (not i.serves(order), len(i.keys), i.descending, i.name))
    if absent := await missing_field(collection, order.fields[0]):
        raise PlanError(absent)
    reasons = [f"index {name!r} cannot be used: {why}" for name, why in refused.items()]
    ways = [way for name, index in concerned.items() if (way := _way(behind.name, name, index))]
    raise PlanError(
        missing_index(
            driver.namespace(collection), order, reasons, behind=behind.name, ways=ways, taken=indexes
        )
    )


async def _indexes(collection: driver.Collection, *, is_view: bool) -> dict[str, dict[str, Any]] | None:
    """The indexes by name; None if only the view of this collection may be read."""
    try:
        return await calls.read_source(collection, lambda: driver.indexes(collection))
    except SourceError as error:
        if is_view and error.code == UNAUTHORIZED:
            return None
        raise


def _ordered(collection: str, name: str, index: Mapping[str, Any]) -> OrderIndex:
    keys = tuple((field, 1 if to > 0 else -1) for field, to in index["key"])
    return OrderIndex(collection, name, keys, clustered=bool(index.get("clustered")))


def _concerns(index: Mapping[str, Any], order: Order) -> bool:
    """Whether the index begins with the order field, or holds its values in another form."""
    first, name = index["key"][0][0], order.fields[0]
    return first == name or name in index.get("weights", {}) or (first.endswith("$**") and name != "_id")


_SPECIAL = {"text": "a text index", "hashed": "hashed"}


def _why_not(index: Mapping[str, Any], collation: Any) -> str | None:
    """Why an index does not serve the order; None if it does."""
    for field, to in index["key"]:
        if isinstance(to, str):
            return f"it is {_SPECIAL.get(to, f'a {to} index')}, which has no order"
        if field.endswith("$**"):
            return "it is a wildcard index, and documents would be missed"
    for option in ("partialFilterExpression", "sparse"):
        if index.get(option):
            return f"it is {option.removesuffix('FilterExpression')}, and documents would be missed"
    if index.get("hidden"):
        return "it is hidden"
    if index.get("buildUUID"):
        return "it is still being built"
    is_id = [name for name, _ in index["key"]] == ["_id"]
    return None if is_id or index.get("collation") == collation else "its collation is not the collection's"


def _way(collection: str, name: str, index: Mapping[str, Any]) -> str | None:
    """What makes the index usable, if it need not be created anew."""
    usable = {**index, "hidden": False, "buildUUID": None}
    if _why_not(usable, index.get("collation")):
        return None
    if index.get("hidden"):
        return f'Unhide it: db.getCollection("{collection}").unhideIndex("{name}")'
    return "Wait until it is built, then try again" if index.get("buildUUID") else None
