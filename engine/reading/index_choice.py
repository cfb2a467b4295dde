"""Which index serves an order, and in which form its stretches are asked for: decided once, at the start."""

from __future__ import annotations

from typing import Any

from bson.max_key import MaxKey
from bson.min_key import MinKey
from pymongo.errors import OperationFailure, PyMongoError

from engine.errors import PlanError, SourceError
from engine.keys.key import Key, Order
from engine.model import QueryForm
from engine.mongo import driver
from engine.reading.scan import Scan, missing_index
from engine.settings import Settings

_NO_BOUNDS = frozenset({9, 115, 168, 303, 323, 40415})
"""Server codes for "no min/max here": FailedToParse, CommandNotSupported, InvalidPipelineOperator (views),
feature not supported (Amazon DocumentDB), APIStrictError, unknown field."""


async def choose_scan(collection: driver.Collection, settings: Settings) -> Scan:
    """Finds the index of the order and the form of its range queries.

    Raises:
        PlanError: there is no full index on the order; the message holds the `createIndex` to run.
        SourceError: the server could not be read.
    """
    try:
        return await _opened(collection, settings)
    except PyMongoError as error:
        raise SourceError(f"{driver.namespace(collection)} cannot be read: {error}") from error


async def _opened(collection: driver.Collection, settings: Settings) -> Scan:
    order = Order.of(settings.order_field)
    collection = driver.exact(collection)
    collation = await driver.default_collation(collection)
    index, spec = await _usable_index(collection, order, collation)
    form = QueryForm.FILTER
    if index is not None:
        form = await _probe(collection, order, index) if spec == order.spec else QueryForm.WHOLE_TIES
    most = settings.max_tied_documents
    return Scan(collection, order, form, index, settings.filter, collation, most)


async def _probe(collection: driver.Collection, order: Order, index: str) -> QueryForm:
    least, most = (Key((bound,) * len(order.fields)) for bound in (MinKey(), MaxKey()))
    try:
        cursor = collection.find({}, {"_id": 1}).hint(index)
        await cursor.min(order.bounds(least)).max(order.bounds(most)).limit(1).to_list(length=None)
    except AttributeError:  # mongomock's cursor has no min()
        return QueryForm.FILTER
    except OperationFailure as error:
        if error.code in _NO_BOUNDS:
            return QueryForm.FILTER
        raise
    return QueryForm.INDEX_BOUNDS


async def _usable_index(
    collection: driver.Collection, order: Order, collation: Any
) -> tuple[str | None, list[tuple[str, int]]]:
    """The name and fields of a full index on the order's fields, or else on the first alone; None for a view.

    A partial or sparse index as a hint silently leaves documents out; one with another collation has another
    order: both are refused with their reason.
    """
    indexes = await driver.indexes(collection)
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
    if not indexes:  # the collection does not exist yet: an empty window
        reasons.append("the collection does not exist or has no documents")
    raise PlanError(missing_index(collection, order, list(dict.fromkeys(reasons))))


def _why_not(index: dict[str, Any], default_collation: Any, *, is_id: bool) -> str | None:
    for option in ("partialFilterExpression", "sparse", "hidden"):
        if index.get(option):
            return f"it is {option.removesuffix('FilterExpression')}, and documents would be missed"
    if not is_id and index.get("collation") != default_collation:
        return "its collation is not the collection's"
    return None
