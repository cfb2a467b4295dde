"""The three query forms: three ways to ask the server for the documents between two Keys."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from bson.binary import UUID_SUBTYPE, Binary
from bson.max_key import MaxKey
from bson.min_key import MinKey

from engine.errors import PlanError
from engine.keys.bson_values import lookup_key
from engine.keys.key import Key
from engine.keys.order_index import missing_index
from engine.model import QueryForm
from engine.mongo import calls, driver
from engine.reading import unreadable
from engine.reading.filters import both, filter_after_ties, interval_filter
from engine.reading.scan import Scan
from engine.reading.unreadable import not_moving


@dataclass(frozen=True)
class BoundsScan(Scan):
    """Asks by index bounds, which give exactly `[start, stop)` for keys of any BSON types in one index scan.

    See docs/decisions/0001-index-bounds.md. A page is one reply of at most 16 MiB.

    Attributes:
        names_uuid: each query names the UUID of the collection, and a server that knows this (MongoDB 6.0 and
            later) refuses it for any other collection. The drivers' `find` has no parameter for it.
    """

    form: ClassVar[QueryForm] = QueryForm.INDEX_BOUNDS

    names_uuid: bool = False

    def _find(
        self,
        start: Key,
        stop: Key,
        fields: Mapping[str, int],
        sort: list[tuple[str, int]],
        skip: int,
        limit: int,
    ) -> Awaitable[list[dict[str, Any]]]:
        """Sends the query as a command if it names the UUID, which is as fast."""
        if self.index.clustered and dict(sort)["_id"] < 0:  # the server refuses bounds there
            found = super()._cursor(start, stop, fields).sort(sort).skip(skip).limit(self.reply_limit(limit))
            return found.to_list(length=None)  # type: ignore[no-any-return]
        if not self.names_uuid:
            return super()._find(start, stop, fields, sort, skip, limit)
        bounds = {name: dict(bound) for name, bound in self._bounds(start, stop).items()}
        page = {"skip": skip, "limit": limit, "batchSize": limit, "singleBatch": True}
        query = {
            "filter": self._selected(start, stop),
            "projection": fields,
            "sort": dict(sort),
            "hint": self.index.hint,
        }
        return self.first_batch({**query, **bounds, **page})

    async def first_batch(self, query: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Sends a `find` that names the UUID, and returns the documents of its first reply."""
        collection, uuid = self.collection, Binary(bytes.fromhex(self.source_uuid or ""), UUID_SUBTYPE)
        concern = collection.read_concern.document
        command = {"find": collection.name, **query, "collectionUUID": uuid}
        answer = await collection.database.command(
            {**command, "readConcern": concern} if concern else command,
            read_preference=collection.read_preference,
            codec_options=collection.codec_options,
        )
        return answer["cursor"]["firstBatch"]  # type: ignore[no-any-return]

    def reply_limit(self, limit: int) -> int:
        """A negative limit asks for a single reply, which the server ends at 16 MiB. Views refuse it."""
        return -limit

    async def count(self, start: Key, stop: Key) -> int:
        """Counts by the `count` command where its filter finds every type, and by hops elsewhere."""
        if self.is_plain(start, stop):
            return await self.count_covered(start, stop)
        return await self._count_by_hops(start, stop)

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

    def _selected(self, start: Key, stop: Key) -> dict[str, Any]:
        """The filter. mongos looks at no bounds: it asks all shards unless a filter names the interval."""
        interval = interval_filter(self.order, start, stop) if self.behind_router else {}
        return both(self.filter, interval)

    def _cursor(self, start: Key, stop: Key, projection: Mapping[str, int]) -> Any:
        cursor = self.collection.find(self._selected(start, stop), projection).hint(self.index.hint)
        bounds = self._bounds(start, stop)
        cursor = cursor.min(bounds["min"]) if "min" in bounds else cursor
        return cursor.max(bounds["max"]) if "max" in bounds else cursor

    def _bounds(self, start: Key, stop: Key) -> dict[str, list[tuple[str, Any]]]:
        """`min` and, unless the range has no end, `max` of the query."""
        bounds = {"min": self.index.bound(start)}
        return bounds if isinstance(stop.values[0], MaxKey) else {**bounds, "max": self.index.bound(stop)}


@dataclass(frozen=True)
class DescendingScan(BoundsScan):
    """Asks by the bounds of a descending index, which the server reads backward.

    The server includes the bound that comes first in the index, and excludes the other. In ascending order,
    a descending index so gives the documents after `start`, up to and including `stop`. The document at
    `start` is therefore looked up, and the one at `stop` is taken out.
    """

    async def _fetch(
        self,
        start: Key,
        stop: Key,
        *,
        limit: int,
        projection: dict[str, int] | None = None,
        skip: int = 0,
        backward: bool = False,
    ) -> list[dict[str, Any]]:
        """Reads as `Scan._fetch` does."""
        first = await self._at(start, projection)
        if backward:
            return await self._fetch_backward(
                first, start, stop, limit=limit, projection=projection, skip=skip
            )
        if first and not skip and limit == 1:
            return first
        taken = first if not skip else []
        more, after = limit - len(taken), max(0, skip - len(first))
        found = await super()._fetch(start, stop, limit=more, projection=projection, skip=after)
        if found and await self._is_at(found[-1], stop):
            del found[-1]
        return taken + found

    async def _fetch_backward(
        self, first: list[dict[str, Any]], start: Key, stop: Key, *, skip: int, **part: Any
    ) -> list[dict[str, Any]]:
        """The documents of `[start, stop)` from the end; `first` is the one at `start`, if there is one."""
        last = [] if isinstance(stop.values[0], MaxKey) else await self._at(stop, None)
        at = skip + len(last)
        found = await super()._fetch(start, stop, skip=at, backward=True, **part)
        if found or not skip:
            return found or first
        before = await super()._fetch(start, stop, limit=1, skip=at - 1, backward=True)
        return first if before else []

    async def _is_at(self, document: dict[str, Any], key: Key) -> bool:
        """Whether the document is the one at a Key; the server compares the values."""
        between = isinstance(key.values[-1], MinKey) and not isinstance(document["_id"], MinKey)
        if between or isinstance(key.values[0], MaxKey):
            return False
        there = [lookup_key(found["_id"]) for found in await self._at(key, None)]
        return there == [lookup_key(document["_id"])]

    async def _at(self, key: Key, projection: dict[str, int] | None) -> list[dict[str, Any]]:
        """The document with exactly these key values, if there is one."""
        here = {name: {"$eq": value} for name, value in zip(self.order.fields, key.values, strict=True)}
        fields = projection or dict.fromkeys(("_id", *self.order.fields), 1)
        collection, condition = self.collection, both(self.filter, here)

        def find(chosen: Mapping[str, int]) -> Awaitable[list[dict[str, Any]]]:
            return collection.find(condition, chosen).limit(1).to_list(length=None)

        return await calls.read_source(
            collection, lambda: unreadable.documents(collection, self.order, find, fields)
        )

    def _bounds(self, start: Key, stop: Key) -> dict[str, list[tuple[str, Any]]]:
        bounds = {"max": self.index.bound(start)}
        return bounds if isinstance(stop.values[0], MaxKey) else {**bounds, "min": self.index.bound(stop)}


@dataclass(frozen=True)
class FilterScan(Scan):
    """Asks by a filter, for servers without `min()` and `max()`; `$expr` compares `_id`s of any types."""

    form: ClassVar[QueryForm] = QueryForm.FILTER

    async def count(self, start: Key, stop: Key) -> int:
        """Counts by an aggregation."""
        return await self.count_matching(self.condition(start, stop))


@dataclass(frozen=True)
class WholeTiesScan(Scan):
    """Asks by a filter on the order field alone, because the index does not order ties by `_id`.

    A page ends with all documents of its last order value, because the index does not order them.

    Attributes:
        most_ties: how many documents may share one order value.
    """

    form: ClassVar[QueryForm] = QueryForm.WHOLE_TIES
    resumes_anywhere: ClassVar[bool] = False

    most_ties: int = 0

    @property
    def spec(self) -> list[tuple[str, int]]:
        """The index on the order field alone."""
        return self.order.spec[:1]

    async def key_at(self, start: Key, stop: Key, skip: int = 0, *, backward: bool = False) -> Key | None:
        """Returns the Key before all documents with the order value that is found there."""
        covered = {"_id": 0, self.order.fields[0]: 1}
        found = await self.fetch(start, stop, limit=1, projection=covered, skip=skip, backward=backward)
        return self.order.first(self.order.values_of(found[0])[0]) if found else None

    async def page(
        self,
        start: Key,
        stop: Key,
        after: Key | None,
        *,
        limit: int,
        projection: dict[str, int] | None = None,
    ) -> tuple[list[dict[str, Any]], Key | None]:
        """Reads a page and completes it with all documents that have its last order value.

        Raises:
            PlanError: more than `most_ties` documents share one order value.
            SourceError: as in `Scan.page`.
        """
        start = after or start
        found = await self.fetch(start, stop, limit=limit, projection=projection)
        if not found:
            return [], None
        value = self.order.values_of(found[-1])[0]
        if len(found) == limit:
            here = self.limited_to({self.order.fields[0]: {"$eq": value}})
            ties = await here.fetch(start, stop, limit=self.most_ties + 1, projection=projection)
            self.refuse_too_many(len(ties), value)
            last_id, tied = found[-1]["_id"], {lookup_key(tie["_id"]) for tie in ties}
            if lookup_key(last_id) not in tied and await self.still_has(last_id, (value,), projection):
                raise not_moving(self.collection, self.order, last_id)
            there = {lookup_key(document["_id"]) for document in found}
            found += [tie for tie in ties if lookup_key(tie["_id"]) not in there]
        last = self.position((value,), ends_page=True)
        if last == after:
            raise not_moving(self.collection, self.order, found[-1]["_id"])
        return found, last

    def position(self, values: tuple[Any, ...], *, ends_page: bool) -> Key | None:
        """Returns the Key after all documents with this order value; None inside a page."""
        return Key((values[0], MaxKey())) if ends_page else None

    def refuse_too_many(self, ties: int, value: Any) -> None:
        """Refuses a group of ties that is too large to be read as a whole.

        Raises:
            PlanError: names the value, and the index that would order its documents.
        """
        if ties > self.most_ties:
            reason = (
                f"more than {self.most_ties:,} documents (tuning.max_tied_documents) have "
                f"{self.order.fields[0]} {value!r}, and index {self.index.name!r} cannot tell them apart"
            )
            where, behind = driver.namespace(self.collection), self.index.collection
            raise PlanError(missing_index(where, self.order, [reason], behind=behind))

    async def count(self, start: Key, stop: Key) -> int:
        """Counts by the `count` command: both ends lie between two values."""
        return await self.count_covered(start, stop)

    def condition(self, start: Key, stop: Key) -> dict[str, Any]:
        """Returns the usual filter, or one for the documents after all those of an order value."""
        if isinstance(start.values[-1], MaxKey):
            return both(self.filter, filter_after_ties(self.order, start.values[0], stop))
        return super().condition(start, stop)
