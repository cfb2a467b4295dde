"""How a stretch of the order is read: by index bounds, or by a filter where a server has no `min()`/`max()`.

One probe decides. Index bounds give exactly `[start, stop)` for keys of any BSON types, in one index scan
(docs/decisions/0001-index-bounds.md). The filter form compares `_id`s by `$expr`, which crosses types too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bson import json_util
from bson.max_key import MaxKey
from bson.min_key import MinKey
from pymongo.errors import OperationFailure

from engine import driver
from engine.config import Settings
from engine.errors import PlanError
from engine.keyset import Key, Order, range_filter
from engine.model import Form
from engine.values import bracket_of, is_nan

_NO_BOUNDS = frozenset({9, 115, 168, 303, 323, 40415})
"""Server codes for "no min/max here": FailedToParse, CommandNotSupported, InvalidPipelineOperator (views),
feature not supported (Amazon DocumentDB), APIStrictError, unknown field."""

_COUNTABLE = frozenset({"date", "number", "string", "objectId"})
"""Types whose operators `$gte` and `$lt` see all that lies between two keys of the type."""


@dataclass(frozen=True)
class Scan:
    """Reads stretches of one collection in one order; makes no decisions.

    Attributes:
        index: name of the index that serves the order; None on a view.
        filter: the user's extra filter.
        collation: that of the collection, and so of the index; None is the simple one.
    """

    collection: driver.Collection
    order: Order
    form: Form
    index: str | None
    filter: dict[str, Any] = field(default_factory=dict)
    collation: Mapping[str, Any] | None = None

    @property
    def fingerprint(self) -> dict[str, str]:
        """What a position depends on: a checkpoint made under another one does not resume here."""
        collation = self.collation or {}
        return {
            "order": ", ".join(self.order.fields),
            "collation": f"{collation.get('locale', 'simple')}, strength {collation.get('strength', 3)}",
            "filter": json_util.dumps(self.filter),
        }

    async def fetch(
        self,
        start: Key,
        stop: Key,
        *,
        limit: int,
        projection: dict[str, int] | None = None,
        skip: int = 0,
        backward: bool = False,
    ) -> list[dict[str, Any]]:
        """At most `limit` documents of `[start, stop)`, in order; from its end if `backward`.

        At least one if there is one; by index bounds, never more than 16 MiB of them.

        Args:
            projection: the fields to read; by default those of the order, which the index covers.
            skip: documents to pass over first (a planner's hop, bounded by a range's size).
        """
        cursor = self._cursor(start, stop, projection or dict.fromkeys(("_id", *self.order.fields), 1))
        sort = [(name, -1 if backward else 1) for name in self.order.fields]
        # Sorted even though the index gives this order: a sharded cluster merges its shards by the sort.
        cursor = cursor.sort(sort).skip(skip).batch_size(limit)
        # A negative limit asks for a single reply, which the server ends at 16 MiB; views know none.
        cursor = cursor.limit(-limit if self.form is Form.INDEX_BOUNDS else limit)
        documents: list[dict[str, Any]] = await cursor.to_list(length=None)
        return documents

    async def key_at(self, start: Key, stop: Key, skip: int = 0, *, backward: bool = False) -> Key | None:
        """The Key that stands `skip` documents after the first of `[start, stop)`, if there are that many."""
        found = await self.fetch(start, stop, limit=1, skip=skip, backward=backward)
        return Key(self.order.values_of(found[0])) if found else None

    async def count(self, start: Key, stop: Key) -> int:
        """How many documents `[start, stop)` holds, exactly, for keys of any types."""
        if self.form is Form.FILTER:
            condition = _both(self.filter, range_filter(self.order, start, stop))
            return int(await self.collection.count_documents(condition))
        if self._is_plain(start, stop):
            return await self._count_covered(start, stop)
        return await self._count_by_hops(start, stop)

    def _is_plain(self, start: Key, stop: Key) -> bool:
        """Whether both ends are values of the first field alone, of a type that operators compare as keys."""
        low, high = start.values[0], stop.values[0]
        whole = len(start.values) == 1 or all(isinstance(key.values[-1], MinKey) for key in (start, stop))
        kinds = {bracket_of(low), bracket_of(high)}
        return whole and len(kinds) == 1 and kinds <= _COUNTABLE and not (is_nan(low) or is_nan(high))

    async def _count_covered(self, start: Key, stop: Key) -> int:
        """By the `count` command: COUNT_SCAN touches index keys alone, and is the fastest there is."""
        between = {self.order.fields[0]: {"$gte": start.values[0], "$lt": stop.values[0]}}
        query = _both(self.filter, between)
        counted = await self.collection.database.command(
            "count", self.collection.name, query=query, hint=self.index
        )
        return int(counted["n"])

    async def _count_by_hops(self, start: Key, stop: Key) -> int:
        """Hops that double until one falls off the end, then halve: a logarithmic number of round trips."""
        total, step, growing = 0, 256, True
        while step:
            key = await self.key_at(start, stop, step)
            growing = growing and key is not None
            if key is not None:
                total, start = total + step, key
            step = step * 2 if growing else step // 2
        return total + (await self.key_at(start, stop) is not None)

    async def sample(self, start: Key, stop: Key, size: int) -> list[Key]:
        """Those of `size` random documents of the collection that `[start, stop)` holds, in order.

        `$sample` comes first, so that the server draws them with a random cursor, and sorts them itself.
        """
        condition = _both(self.filter, range_filter(self.order, start, stop))
        found = await driver.aggregate(
            self.collection,
            [
                {"$sample": {"size": size}},
                {"$match": condition},
                {"$sort": dict(self.order.spec)},
                {"$project": dict.fromkeys(("_id", *self.order.fields), 1)},
            ],
        )
        return [Key(self.order.values_of(document)) for document in found]

    def limited_to(self, condition: dict[str, Any]) -> Scan:
        """The same scan of those documents only that fulfil the condition too."""
        return replace(self, filter=_both(self.filter, condition))

    def _cursor(self, start: Key, stop: Key, projection: dict[str, int]) -> Any:
        if self.form is Form.FILTER:
            condition = _both(self.filter, range_filter(self.order, start, stop))
            return self.collection.find(condition, projection).hint(self.order.spec)
        cursor = self.collection.find(self.filter, projection).hint(self.index)
        cursor = cursor.min(self.order.bounds(start))
        return cursor if isinstance(stop.values[0], MaxKey) else cursor.max(self.order.bounds(stop))


async def open_scan(collection: driver.Collection, settings: Settings) -> Scan:
    """Finds the index of the order and the form of its range queries.

    Raises:
        PlanError: there is no full index on the order; the message holds the `createIndex` to run.
    """
    order = Order.of(settings.order_field)
    collection = driver.exact(collection)
    collation = await driver.default_collation(collection)
    index = await _usable_index(collection, order, collation)
    form = await _probe(collection, order, index) if index else Form.FILTER
    return Scan(collection, order, form, index, settings.filter, collation)


def _both(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    return {"$and": [one, other]} if one and other else one or other


async def _probe(collection: driver.Collection, order: Order, index: str) -> Form:
    least, most = (Key((bound,) * len(order.fields)) for bound in (MinKey(), MaxKey()))
    try:
        cursor = collection.find({}, {"_id": 1}).hint(index)
        await cursor.min(order.bounds(least)).max(order.bounds(most)).limit(1).to_list(length=None)
    except AttributeError:  # mongomock's cursor has no min()
        return Form.FILTER
    except OperationFailure as error:
        if error.code in _NO_BOUNDS:
            return Form.FILTER
        raise
    return Form.INDEX_BOUNDS


async def _usable_index(collection: driver.Collection, order: Order, collation: Any) -> str | None:
    """The name of a full index on exactly the order's fields; None for a view.

    A partial or sparse index as a hint silently leaves documents out; one with another collation has another
    order: both are refused with their reason.
    """
    indexes = await driver.indexes(collection)
    if indexes is None:
        return None
    reasons = []
    for name, index in indexes.items():
        if list(index["key"]) == order.spec:
            reason = _why_not(index, collation, is_id=name == "_id_")
            if reason is None:
                return name
            reasons.append(f"index {name!r} cannot be used: {reason}")
    if not indexes:  # the collection does not exist yet: an empty window
        reasons.append("the collection does not exist or has no documents")
    raise PlanError(missing_index(collection, order, reasons))


def _why_not(index: dict[str, Any], default_collation: Any, *, is_id: bool) -> str | None:
    for option in ("partialFilterExpression", "sparse", "hidden"):
        if index.get(option):
            return f"it is {option.removesuffix('FilterExpression')}, and documents would be missed"
    if not is_id and index.get("collation") != default_collation:
        return "its collation is not the collection's"
    return None


def missing_index(collection: driver.Collection, order: Order, reasons: list[str]) -> str:
    """What is missing, why, and the command that creates it."""
    spec = ", ".join(f'"{name}": 1' for name in order.fields)
    why = "".join(f"; {reason}" for reason in reasons)
    return (
        f"{driver.namespace(collection)} has no full index on ({', '.join(order.fields)}), and reading it in "
        f"order would sort the whole collection{why}. "
        f'Create it: db.getCollection("{collection.name}").createIndex({{{spec}}})'
    )
