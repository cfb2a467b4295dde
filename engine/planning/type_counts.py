"""The BSON type of a window: its ends as values of the type, the documents of other types, and arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bson.max_key import MaxKey
from bson.min_key import MinKey

from engine.errors import ConfigError, PlanError, SourceError
from engine.keys.bson_values import BRACKETS
from engine.keys.key import Key
from engine.keys.window import Window, window_bound
from engine.model import QueryForm
from engine.mongo.calls import EXECUTION_TIMEOUT
from engine.reading.scan import Scan
from engine.reading.source import missing_field
from engine.reading.unreadable import inexact_id


def bracket_bounds(scan: Scan, kind: str | None) -> tuple[Key, Key]:
    """The first Key of a type bracket and the first Key after it; the ends of the order for None.

    A filter on the first of two fields compares within one type anyway, so its ends are those of the order.
    Index bounds, and a filter on `_id` alone, go through all types.
    """
    within_type = scan.form is not QueryForm.INDEX_BOUNDS and len(scan.order.fields) > 1
    if kind is None or within_type:
        return scan.order.first(MinKey()), Key((MaxKey(),) * len(scan.order.fields))
    at = [name for name, _ in BRACKETS].index(kind)
    return scan.order.first(BRACKETS[at][1]), scan.order.first(BRACKETS[at + 1][1])


def of_type(scan: Scan, kind: str | None) -> Scan:
    """The scan, limited to one type by its filter where the bounds do not limit it already."""
    if kind is None or scan.form is QueryForm.INDEX_BOUNDS:
        return scan
    return scan.limited_to({scan.order.fields[0]: {"$type": kind}})


@dataclass(frozen=True, slots=True)
class WindowEnds:
    """The ends of a window as values of the order's first field; None for an open end.

    Attributes:
        kind: the type bracket of the window; None if documents of every type are asked for.
    """

    kind: str | None
    start: Any
    end: Any


async def window_ends(scan: Scan, window: Window, order_type: str, order_unit: str | None) -> WindowEnds:
    """Returns the ends of a window; two that are equal for the server are the same value.

    Raises:
        ConfigError: an end has the wrong type, or the start is after the end.
    """
    kind = await _kind(scan, window, order_type)
    ends = {"start": window.start, "end": window.end}
    start, end = (
        window_bound(value, kind, name, order_unit) if kind and value is not None else None
        for name, value in ends.items()
    )
    if start is None or end is None:
        return WindowEnds(kind, start, end)
    order = await scan.compare(start, end)
    if order > 0:
        raise ConfigError(f"window start={window.start!r} is after end={window.end!r}")
    # Equal ends may differ in bytes under a collation, and the server refuses them as bounds.
    return WindowEnds(kind, start, end if order else start)


async def _kind(scan: Scan, window: Window, order_type: str) -> str | None:
    """The type of the window. Times over `_id` are those in ObjectIds; of dates, if none is an ObjectId."""
    if scan.order.fields != ("_id",):
        return order_type
    if window.start is None and window.end is None:
        return None
    if order_type != "date":
        return order_type
    return "objectId" if await _has(scan, "objectId") or not await _has(scan, "date") else "date"


async def _has(scan: Scan, kind: str) -> bool:
    return await of_type(scan, kind).key_at(*bracket_bounds(scan, kind)) is not None


SEARCH_MS = 10_000
"""The longest search for a document with an array, which reads the whole collection if there is none."""


async def refuse_arrays(scan: Scan, *, multikey: bool) -> None:
    """Refuses arrays in the order field: they put one document in several ranges (trap 6, docs/traps.md).

    Args:
        multikey: whether the index is multikey in the order field. If not, no document has an array there,
            and none is searched. The filter form may have no index of its own, and always searches.

    Raises:
        PlanError: a document has an array, which the message names; or the index is still multikey.
    """
    name = scan.order.fields[0]
    if name == "_id" or (scan.form is not QueryForm.FILTER and not multikey):
        return
    index = f"index {scan.index.name!r} is multikey: " if multikey else ""
    where = f"{name} or a field above it" if "." in name else name
    found = await _with_array(scan)
    if found is not None:
        raise PlanError(
            f"{index}{where} holds an array in the document with _id {found['_id']!r}, which would be in "
            "several ranges. Give it a single value, then drop the index and create it again; or choose "
            "another order_field",
            document_id=found["_id"],
        )
    if scan.form is not QueryForm.FILTER:
        raise PlanError(
            f"{index}{where} holds, or once held, an array. Remove it, then drop the index and create it "
            "again; or choose another order_field"
        )


async def _with_array(scan: Scan) -> Any:
    """A document that has an array in the order field or above it; None if none was found in time."""
    parts = scan.order.fields[0].split(".")
    paths = [".".join(parts[: n + 1]) for n in range(len(parts))]
    try:
        return await scan.first_id({"$or": [{path: {"$type": "array"}} for path in paths]}, SEARCH_MS)
    except SourceError as error:
        if error.code == EXECUTION_TIMEOUT and scan.form is not QueryForm.FILTER:
            return None
        raise


async def refuse_inexact_ids(scan: Scan, most: int) -> None:
    """Refuses an `_id` that no driver can give back: it is or holds a value of a deprecated type.

    Args:
        most: in a collection of more documents, only the `_id`s themselves are looked at, not their fields.
            What is not found here, deeper or in a view, is found on its page (`Scan.fetch`).

    Raises:
        PlanError: there is such an `_id`; the message names it.
    """
    if scan.form is QueryForm.FILTER or not await scan.first_id({"_id": {"$type": ["object", "dbPointer"]}}):
        return
    found = await scan.first_id({"_id": {"$type": "dbPointer"}})
    if found is None and await scan.estimated_total() <= most:
        fields = {"$cond": [{"$eq": [{"$type": "$_id"}, "object"]}, "$_id", {}]}
        types = {"$map": {"input": {"$objectToArray": fields}, "in": {"$type": "$$this.v"}}}
        inexact = {"$setIntersection": [types, list(_HIDDEN)]}
        found = await scan.first_id({"_id": {"$type": "object"}, "$expr": {"$ne": [inexact, []]}})
    if found is not None:
        raise PlanError(inexact_id(found["_id"]), document_id=found["_id"])


async def count_outside(scan: Scan, kind: str | None) -> dict[str, int]:
    """Counts, by type, the documents outside the window's type (trap 2, docs/traps.md).

    Raises:
        PlanError: no document has the window's type, but some have another (trap 9) or no such field; or
            everything is asked for and a document has the `_id` MaxKey, which index bounds do not reach
            (trap 7).
    """
    if kind is None:
        await _refuse_maxkey(scan)
        return {}
    found = await _COUNTERS[scan.form](scan, kind)
    if found and await of_type(scan, kind).key_at(*bracket_bounds(scan, kind)) is None:
        name = scan.order.fields[0]
        raise PlanError(await missing_field(scan.collection, name) or _wrong_type(name, kind, found))
    return found


async def _by_seeks(scan: Scan, kind: str) -> dict[str, int]:
    """Jumps along the index from type to type: one seek for each type that occurs."""
    counts = {hidden: await _count_type(scan, hidden) for hidden in _HIDDEN}
    at, end = bracket_bounds(scan, None)
    order, next_place = [name for name, _ in BRACKETS], 0
    while at != end and (found := await scan.bracket_at(at, end)) is not None:
        if found == "maxKey":
            counts[found] = await scan.count(scan.order.first(MaxKey()), end)
            break
        if order.index(found) < next_place:  # a DBPointer, which is decoded like a document
            found = _HIDDEN["dbPointer"]
        next_place = order.index(found) + 1
        start, at = bracket_bounds(scan, found)
        if found in _COUNTED_BY_TYPE and found != kind:
            counts[found] = await _count_type(scan, *_COUNTED_BY_TYPE[found])
        elif found != kind:
            counts[_shown(found)] = await scan.count(start, at)
    return {other: count for other, count in counts.items() if count}


async def _count_type(scan: Scan, *types: str) -> int:
    return await scan.count_matching(scan.limited_to({scan.order.fields[0]: {"$type": list(types)}}).filter)


_HIDDEN = {"undefined": "minKey", "dbPointer": "regex"}
"""Deprecated types that no value of a driver stands for, and the bracket whose bounds hold them, too."""


_COUNTED_BY_TYPE = {
    "minKey": ["minKey"],
    "string": ["string", "symbol"],
    "object": ["object"],
    "regex": ["regex"],
    "javascript": ["javascript", "javascriptWithScope"],
}
"""Brackets that are not counted from key to key: a query cannot name a key that is not UTF-8 or of a hidden
type, and the bounds of the last one reach to the end."""


async def _by_type(scan: Scan, kind: str) -> dict[str, int]:
    """Counts each other type by a covered count."""
    name, everything = scan.order.fields[0], bracket_bounds(scan, None)
    counts: dict[str, int] = {}
    for other in (*(bracket for bracket, _ in BRACKETS), *_HIDDEN, "symbol", "javascriptWithScope"):
        condition: dict[str, Any] = {name: {"$type": other}}
        if other == "null":
            condition = {"$and": [{name: None}, {name: {"$not": {"$type": "undefined"}}}]}
        if other != kind:
            counts[_shown(other)] = await scan.limited_to(condition).count(*everything)
    return {other: count for other, count in counts.items() if count}


def _shown(bracket: str) -> str:
    return "null or missing" if bracket == "null" else bracket


async def _by_count(scan: Scan, kind: str) -> dict[str, int]:
    """Counts all other types as one number: without index bounds, counting each type would be slow."""
    inside = of_type(scan, kind).filter
    others = await scan.count_matching(scan.filter)
    others -= await scan.count_matching(inside)
    return {"other types": others} if others else {}


_COUNTERS = {QueryForm.INDEX_BOUNDS: _by_seeks, QueryForm.WHOLE_TIES: _by_type, QueryForm.FILTER: _by_count}


async def _refuse_maxkey(scan: Scan) -> None:
    """Refuses a document with the `_id` MaxKey: index bounds end before it, and it would be lost silently."""
    if scan.form is QueryForm.INDEX_BOUNDS and await scan.first_id({"_id": MaxKey()}):
        raise PlanError("the document with _id MaxKey lies beyond every range: give it another _id")


_ENDS = {
    "string": "strings in the collection's own form",
    "number": "numbers",
    "date": "dates",
    "objectId": "times or ObjectIds",
    "timestamp": "times or seconds",
}
"""The types that a window may have, and what its ends then are."""


def _wrong_type(name: str, kind: str, found: Mapping[str, int]) -> str:
    listed = ", ".join(f"{count:,} of type {other}" for other, count in found.items())
    advice = "check order_field and order_type"
    fitting = next((other for other in _ENDS if other in found), None)
    if fitting is not None:
        advice = f"set order_type={fitting!r} and give the window's ends as {_ENDS[fitting]}"
    return f"{name} has no value of type {kind}, but {listed}: {advice}"
