"""Reads, counts and samples the documents between two Keys, in the query form that was chosen.

Index bounds give exactly `[start, stop)` for keys of any BSON types, in one index scan
(docs/decisions/0001-index-bounds.md). The filter form is for servers without `min()` and `max()`; it compares
`_id`s by `$expr`, which crosses types too. `engine.reading.index_choice` chooses the form once per run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bson import json_util
from bson.max_key import MaxKey
from bson.min_key import MinKey

from engine.errors import PlanError
from engine.keys.bson_values import bracket_of, identity, is_nan
from engine.keys.key import Key, Order
from engine.model import QueryForm
from engine.mongo import driver
from engine.reading.filters import filter_after_ties, range_filter

_COUNTABLE = frozenset({"date", "number", "string", "objectId"})
"""Types of which `$gte` and `$lt` find every document between two keys of the type."""


@dataclass(frozen=True)
class Scan:
    """Reads parts of one collection in one order, always in the same query form.

    Attributes:
        index: name of the index that serves the order; None on a view.
        filter: the user's extra filter.
        collation: the collation of the collection, which is the index's too; None for the simple collation.
        most_ties: how many documents may share one order value in the form `whole_ties`.
    """

    collection: driver.Collection
    order: Order
    form: QueryForm
    index: str | None
    filter: dict[str, Any] = field(default_factory=dict)
    collation: Mapping[str, Any] | None = None
    most_ties: int = 0

    @property
    def spec(self) -> list[tuple[str, int]]:
        """The fields of the index, by which every query sorts; without `_id` where the index lacks it."""
        return self.order.spec[:1] if self.form is QueryForm.WHOLE_TIES else self.order.spec

    @property
    def fingerprint(self) -> dict[str, str]:
        """What a position depends on. A checkpoint with another fingerprint cannot resume here."""
        collation = self.collation or {}
        return {
            "order": ", ".join(name for name, _ in self.spec),
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
        """At most `limit` documents of `[start, stop)`, in order; from the end backward if `backward`.

        The list is empty only if the range is. By index bounds it is one reply of at most 16 MiB, so it may
        be shorter than `limit` although the range goes on.

        Args:
            projection: the fields to read; by default the fields of the order, which the index covers.
            skip: how many documents to pass over first (a planner's hop, bounded by a range's size).
        """
        cursor = self._cursor(start, stop, projection or dict.fromkeys(("_id", *self.order.fields), 1))
        sort = [(name, -1 if backward else 1) for name, _ in self.spec]
        # The index gives this order already, but a sharded cluster merges the shards by the sort.
        cursor = cursor.sort(sort).skip(skip).batch_size(limit)
        # A negative limit asks for a single reply, which the server ends at 16 MiB. Views do not support it.
        cursor = cursor.limit(-limit if self.form is QueryForm.INDEX_BOUNDS else limit)
        documents: list[dict[str, Any]] = await cursor.to_list(length=None)
        return documents

    async def key_at(self, start: Key, stop: Key, skip: int = 0, *, backward: bool = False) -> Key | None:
        """The Key `skip` documents after the first of `[start, stop)`; None if the range ends before."""
        covered = {"_id": 0, self.order.fields[0]: 1} if self.form is QueryForm.WHOLE_TIES else None
        found = await self.fetch(start, stop, limit=1, projection=covered, skip=skip, backward=backward)
        if not found:
            return None
        key = self.order.values_of(found[0])
        return self.order.first(key[0]) if covered else Key(key)

    async def page(
        self,
        start: Key,
        stop: Key,
        after: Key | None,
        *,
        limit: int,
        projection: dict[str, int] | None = None,
    ) -> tuple[list[dict[str, Any]], Key | None]:
        """The next documents of `[start, stop)`, without those up to and including `after`.

        A short page may be a full reply; only an empty page is the end.

        Returns:
            About `limit` documents in order, and the Key after which the next page begins; None at the end.

        Raises:
            PlanError: more than `most_ties` documents share one order value, and the index has no `_id`.
        """
        if self.form is QueryForm.WHOLE_TIES:
            return await self._page_of_whole_ties(after or start, stop, limit, projection)
        # One more, because `min` is inclusive: the document at `after` comes again if it still exists.
        limit += after is not None
        found = await self.fetch(after or start, stop, limit=limit, projection=projection)
        if found and after is not None and identity(found[0]["_id"]) == identity(after.values[-1]):
            del found[0]
        return found, Key(self.order.values_of(found[-1])) if found else None

    def position(self, values: tuple[Any, ...], *, ends_page: bool) -> Key | None:
        """The Key to resume from once every document up to one with these key values is done.

        None inside a page of whole ties: this index does not order documents of equal value.
        """
        if self.form is not QueryForm.WHOLE_TIES:
            return Key(values)
        return Key((values[0], MaxKey())) if ends_page else None

    async def _page_of_whole_ties(
        self, start: Key, stop: Key, limit: int, projection: dict[str, int] | None
    ) -> tuple[list[dict[str, Any]], Key | None]:
        """A page that ends with all documents of its last order value, for which the server is asked."""
        found = await self.fetch(start, stop, limit=limit, projection=projection)
        if not found:
            return [], None
        value = self.order.values_of(found[-1])[0]
        if len(found) == limit:
            here = self.limited_to({self.order.fields[0]: {"$eq": value}})
            ties = await here.fetch(start, stop, limit=self.most_ties + 1, projection=projection)
            self.refuse_too_many(len(ties), value)
            there = {identity(document["_id"]) for document in found}
            found += [tie for tie in ties if identity(tie["_id"]) not in there]
        return found, self.position((value,), ends_page=True)

    def refuse_too_many(self, ties: int, value: Any) -> None:
        """Refuses a group of ties that is too large to be read as a whole.

        Raises:
            PlanError: names the value, and the index that would order its documents.
        """
        if ties > self.most_ties:
            reason = (
                f"more than {self.most_ties:,} documents (max_tied_documents) have {self.order.fields[0]} "
                f"{value!r}, and index {self.index!r} cannot tell them apart"
            )
            raise PlanError(missing_index(self.collection, self.order, [reason]))

    async def count(self, start: Key, stop: Key) -> int:
        """How many documents `[start, stop)` holds, exactly, for keys of any types."""
        if self.form is QueryForm.FILTER:
            return int(await self.collection.count_documents(self.condition(start, stop)))
        if self.form is QueryForm.WHOLE_TIES or self._is_plain(start, stop):
            return await self._count_covered(start, stop)
        return await self._count_by_hops(start, stop)

    def condition(self, start: Key, stop: Key) -> dict[str, Any]:
        """A filter that selects `[start, stop)`. Where both ends are plain, the index alone answers it."""
        if self.form is QueryForm.WHOLE_TIES and isinstance(start.values[-1], MaxKey):
            return _both(self.filter, filter_after_ties(self.order, start.values[0], stop))
        if not self._is_plain(start, stop):
            return _both(self.filter, range_filter(self.order, start, stop))
        between = {self.order.fields[0]: {"$gte": start.values[0], "$lt": stop.values[0]}}
        return _both(self.filter, between)

    def _is_plain(self, start: Key, stop: Key) -> bool:
        """Whether both ends are values of the first field alone, of one type that operators compare fully."""
        low, high = start.values[0], stop.values[0]
        whole = len(start.values) == 1 or all(isinstance(key.values[-1], MinKey) for key in (start, stop))
        kinds = {bracket_of(low), bracket_of(high)}
        return whole and len(kinds) == 1 and kinds <= _COUNTABLE and not (is_nan(low) or is_nan(high))

    async def _count_covered(self, start: Key, stop: Key) -> int:
        """Counts by the `count` command. Its COUNT_SCAN touches only index keys, and is the fastest way."""
        query = {"count": self.collection.name, "query": self.condition(start, stop), "hint": self.index}
        return int((await self.command(query))["n"])

    async def command(self, query: Mapping[str, Any]) -> Any:
        """Sends a reading command by the read preference of the collection, and returns the answer."""
        where = self.collection.read_preference
        return await self.collection.database.command(query, read_preference=where)

    async def _count_by_hops(self, start: Key, stop: Key) -> int:
        """Counts by hops that double until one passes the end, then halve: a logarithm of queries."""
        total, step, growing = 0, 256, True
        while step:
            key = await self.key_at(start, stop, step)
            growing = growing and key is not None
            if key is not None:
                total, start = total + step, key
            step = step * 2 if growing else step // 2
        return total + (await self.key_at(start, stop) is not None)

    async def sample(self, start: Key, stop: Key, size: int) -> list[Key]:
        """Draws `size` random documents of the collection; returns the Keys of those in the range, in order.

        `$sample` comes first, so that the server draws them by a random cursor. The server sorts them, too.
        """
        found = await driver.aggregate(
            self.collection,
            [
                {"$sample": {"size": size}},
                {"$match": self.condition(start, stop)},
                {"$sort": dict(self.order.spec)},
                {"$project": dict.fromkeys(("_id", *self.order.fields), 1)},
            ],
        )
        return [Key(self.order.values_of(document)) for document in found]

    async def compare(self, one: Any, other: Any) -> int:
        """-1, 0 or 1 if `one` sorts before, with or after `other` in the first field of the order.

        The server compares them, by the collection's collation (trap 8, docs/traps.md). The answer is 0 if
        the collection is empty. Without a server there is no collation, and Python compares.
        """
        if not driver.has_server(self.collection):
            return int(one > other) - int(one < other)
        compared = {"$cmp": [{"$literal": one}, {"$literal": other}]}
        first: list[dict[str, Any]] = [{"$sort": dict(self.spec)}, {"$limit": 1}]
        last = {"$project": {"_id": 0, "compared": compared}}
        found = await driver.aggregate(self.collection, [*first, last])
        return int(found[0]["compared"]) if found else 0

    def limited_to(self, condition: dict[str, Any]) -> Scan:
        """The same scan, limited to the documents that also fulfil the condition."""
        return replace(self, filter=_both(self.filter, condition))

    def _cursor(self, start: Key, stop: Key, projection: dict[str, int]) -> Any:
        if self.form is not QueryForm.INDEX_BOUNDS:
            return self.collection.find(self.condition(start, stop), projection).hint(self.spec)
        cursor = self.collection.find(self.filter, projection).hint(self.index)
        cursor = cursor.min(self.order.bounds(start))
        return cursor if isinstance(stop.values[0], MaxKey) else cursor.max(self.order.bounds(stop))


def _both(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    return {"$and": [one, other]} if one and other else one or other


def missing_index(collection: driver.Collection, order: Order, reasons: list[str]) -> str:
    """The message that the order has no usable index, with the reasons and the command that creates one."""
    spec = ", ".join(f'"{name}": 1' for name in order.fields)
    why = "".join(f"; {reason}" for reason in reasons)
    return (
        f"{driver.namespace(collection)} has no full index on ({', '.join(order.fields)}), and reading it in "
        f"order would sort the whole collection{why}. "
        f'Create it: db.getCollection("{collection.name}").createIndex({{{spec}}})'
    )
