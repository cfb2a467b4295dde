"""Filters that select a range of keys, for views and for servers without `min()` and `max()`. Pure."""

from __future__ import annotations

import math
from typing import Any

from bson.max_key import MaxKey
from bson.min_key import MinKey

from engine.keys.bson_values import bracket_of, is_nan
from engine.keys.key import Key, Order

COUNTABLE = frozenset({"date", "number", "string", "objectId", "timestamp"})
"""Types of which `$gte` and `$lt` find every document between two keys of the type."""


def range_filter(order: Order, start: Key, stop: Key) -> dict[str, Any]:
    """A filter that selects `[start, stop)`, for `_id`s of any BSON types.

    Query operators compare within one BSON type only (trap 1, docs/traps.md). On the first of two fields that
    is right: a window holds values of one type, and plain bounds keep the scan of the index tight. On `_id`,
    `$expr` compares across types in the order of the index.
    """
    if len(order.fields) == 1:
        open_end = isinstance(stop.values[0], MaxKey)
        clauses = [_id_clause("$gte", start.values[0]), {} if open_end else _id_clause("$lt", stop.values[0])]
    else:
        clauses = _bounds_of(order.fields[0], start, stop) + _ties_of(order.fields[0], start, stop)
    clauses = [clause for clause in clauses if clause]
    return {"$and": clauses} if len(clauses) > 1 else (clauses[0] if clauses else {})


def interval_filter(order: Order, start: Key, stop: Key) -> dict[str, Any]:
    """A filter that every document of `[start, stop)` fulfils, and by which `mongos` chooses the shards.

    Empty if the ends are not of one type that operators compare fully: then all shards are asked.
    """
    low, high = start.values[0], stop.values[0]
    if bracket_of(low) != bracket_of(high) or bracket_of(low) not in COUNTABLE:
        return {}
    return {} if is_nan(low) or is_nan(high) else {order.fields[0]: {"$gte": low, "$lte": high}}


def filter_after_ties(order: Order, value: Any, stop: Key) -> dict[str, Any]:
    """A filter that selects the documents before `stop` whose first field is greater than `value`."""
    return {"$and": [_above(order.fields[0], value), range_filter(order, order.first(value), stop)]}


def _bounds_of(name: str, start: Key, stop: Key) -> list[dict[str, Any]]:
    """Plain bounds on the first field. They include both ends where `_ties_of` then compares the `_id`s."""
    low, high = start.values[0], stop.values[0]
    lower = {} if isinstance(low, MinKey) else {name: {"$gte": low}}
    if is_nan(low):  # NaN is the least number as a key, and operators compare it to nothing
        lower = {name: {"$type": "number"}}
    # With ends of two types, `$lt` would find nothing; the lower bound alone already ends with its type.
    if isinstance(high, MaxKey) or (lower and bracket_of(low) != bracket_of(high)):
        return [lower]
    operator = "$lt" if isinstance(stop.values[1], MinKey) else "$lte"
    return [lower, _below(name, operator, high, low)]


def _ties_of(name: str, start: Key, stop: Key) -> list[dict[str, Any]]:
    """Conditions on `_id` for the documents whose first field equals one of the ends."""
    (low, first_id), (high, last_id) = start.values, stop.values
    clauses = []
    if not isinstance(first_id, MinKey):
        clauses.append({"$or": [_above(name, low), _id_clause("$gte", first_id)]})
    if not isinstance(high, MaxKey) and not isinstance(last_id, MinKey):
        before = _below(name, "$lt", high, low)
        clauses.append({"$or": [before, _id_clause("$lt", last_id)]})
    return clauses


def _above(name: str, low: Any) -> dict[str, Any]:
    """A clause for values above `low`; NaN is the least number."""
    return {name: {"$gte": -math.inf}} if is_nan(low) else {name: {"$gt": low}}


def _below(name: str, operator: str, high: Any, low: Any) -> dict[str, Any]:
    """A clause for values below `high`. If the range begins at NaN, it adds NaN, which no operator finds."""
    clause = {name: {operator: high}}
    return {"$or": [clause, {name: low}]} if is_nan(low) and not is_nan(high) else clause


def _id_clause(operator: str, value: Any) -> dict[str, Any]:
    """A clause that compares `_id` to a value of any type in the index's order; empty for MinKey."""
    if isinstance(value, MinKey):
        return {}
    return {"$expr": {operator: ["$_id", {"$literal": value}]}}


def both(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """A filter that selects what both select; an empty one selects everything."""
    return {"$and": [one, other]} if one and other else one or other
