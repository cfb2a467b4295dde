"""Reads, counts and samples the documents between two Keys.

What all query forms share is here; how they differ is in `query_forms.py`, a class for each.
`index_choice.py` chooses the form once per run.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

from bson import json_util
from bson.min_key import MinKey

from engine.errors import SourceError
from engine.keys.bson_values import EXACT_CODEC, STRICT, bracket_of, is_nan, lookup_key
from engine.keys.key import Key, Order
from engine.keys.utf8 import decoded
from engine.model import Page, QueryForm
from engine.mongo import calls, driver
from engine.reading import unreadable
from engine.reading.filters import COUNTABLE, both, range_filter


@dataclass(frozen=True)
class Scan(ABC):
    """Reads parts of one collection in one order, always in the same query form.

    Attributes:
        form: the query form of the class.
        resumes_anywhere: whether a range can resume after any document, and not only at the end of a page.
        index: name of the index that serves the order; None on a view.
        filter: the user's extra filter.
        collation: the collation of the collection, which is the index's too; None for the simple collation.
        behind_router: whether `mongos` answers, behind which the collection may be spread over shards.
        utf8_handler: what the client has chosen for texts that are not UTF-8; keys are always exact.
    """

    form: ClassVar[QueryForm]
    resumes_anywhere: ClassVar[bool] = True

    collection: driver.Collection
    order: Order
    index: str | None
    filter: dict[str, Any] = field(default_factory=dict)
    collation: Mapping[str, Any] | None = None
    behind_router: bool = field(default=False, kw_only=True)
    utf8_handler: str = field(default=STRICT, kw_only=True)

    @property
    def spec(self) -> list[tuple[str, int]]:
        """The fields of the index, by which every query sorts."""
        return self.order.spec

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
        """Returns what `_fetch` does, if a query can name each key.

        Raises:
            SourceError: a key holds bytes that are not UTF-8, or an array; the message names the document.
        """
        found = await self._fetch(
            start, stop, limit=limit, projection=projection, skip=skip, backward=backward
        )
        place = driver.namespace(self.collection)
        unreadable.refuse_arrays(self.order, found, place)
        unreadable.refuse_unusable_keys(self.order, found, place)
        return found

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
        """At most `limit` documents of `[start, stop)`, in order; from the end backward if `backward`.

        The list is empty only if the range is. It may be shorter than `limit` although the range goes on.

        Args:
            projection: the fields to read; by default the fields of the order, which the index covers.
            skip: how many documents to pass over first (a planner's hop, bounded by a range's size).
        """
        fields = projection or dict.fromkeys(("_id", *self.order.fields), 1)
        sort = [(name, -1 if backward else 1) for name, _ in self.spec]
        most = self.reply_limit(limit)

        def find(chosen: Mapping[str, int]) -> Awaitable[list[dict[str, Any]]]:
            # The index gives this order already, but a sharded cluster merges the shards by the sort.
            cursor = self._cursor(start, stop, chosen).sort(sort).skip(skip).batch_size(limit).limit(most)
            return cursor.to_list(length=None)  # type: ignore[no-any-return]

        def read() -> Awaitable[list[dict[str, Any]]]:
            return unreadable.documents(self.collection, self.order, find, fields)

        try:
            return await calls.read_source(self.collection, read)
        except SourceError as error:
            await unreadable.refuse_stored_array(self.collection, self.order, error)
            raise

    async def key_at(self, start: Key, stop: Key, skip: int = 0, *, backward: bool = False) -> Key | None:
        """The Key `skip` documents after the first of `[start, stop)`; None if the range ends before."""
        found = await self.fetch(start, stop, limit=1, skip=skip, backward=backward)
        return Key(self.order.values_of(found[0])) if found else None

    async def bracket_at(self, start: Key, stop: Key) -> str | None:
        """The type bracket of the first value of the order in `[start, stop)`; None if there is none."""
        found = await self._fetch(start, stop, limit=1)
        return bracket_of(self.order.values_of(found[0])[0]) if found else None

    def page_of(self, documents: Sequence[dict[str, Any]], text_field: str) -> Page:
        """The Page of these documents. Texts that are not UTF-8 are as the client has chosen."""
        page = self.order.page_of(documents, text_field)
        if self.utf8_handler == STRICT:
            return page
        return replace(page, texts=[decoded(text, self.utf8_handler) for text in page.texts])

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
        """
        # One more, because `min` is inclusive: the document at `after` comes again if it still exists.
        limit += after is not None
        found = await self.fetch(after or start, stop, limit=limit, projection=projection)
        if found and after is not None and lookup_key(found[0]["_id"]) == lookup_key(after.values[-1]):
            del found[0]
            while not found and projection is not None and (beyond := await self._key_after(after, stop)):
                found = await self.fetch(beyond, stop, limit=limit, projection=projection)
        return found, Key(self.order.values_of(found[-1])) if found else None

    async def _key_after(self, after: Key, stop: Key) -> Key | None:
        """The Key that follows `after`; None at the end. Its document may fill a reply alone."""
        found = await self.fetch(after, stop, limit=2)
        here = lookup_key(after.values[-1])
        keys = [self.order.values_of(each) for each in found if lookup_key(each["_id"]) != here]
        return Key(keys[0]) if keys else None

    def position(self, values: tuple[Any, ...], *, ends_page: bool) -> Key | None:
        """Returns the Key to resume from once every document up to one with these key values is done.

        Returns None if the range cannot resume after that document.
        """
        del ends_page  # only WholeTiesScan needs it
        return Key(values)

    @abstractmethod
    async def count(self, start: Key, stop: Key) -> int:
        """How many documents `[start, stop)` holds, exactly, for keys of any types."""

    def reply_limit(self, limit: int) -> int:
        """The limit of a cursor that returns at most this many documents."""
        return limit

    def condition(self, start: Key, stop: Key) -> dict[str, Any]:
        """A filter that selects `[start, stop)`. Where both ends are plain, the index alone answers it."""
        if not self.is_plain(start, stop):
            return both(self.filter, range_filter(self.order, start, stop))
        between = {self.order.fields[0]: {"$gte": start.values[0], "$lt": stop.values[0]}}
        return both(self.filter, between)

    def is_plain(self, start: Key, stop: Key) -> bool:
        """Whether both ends are values of the first field alone, of one type that operators compare fully."""
        low, high = start.values[0], stop.values[0]
        whole = len(start.values) == 1 or all(isinstance(key.values[-1], MinKey) for key in (start, stop))
        kinds = {bracket_of(low), bracket_of(high)}
        return whole and len(kinds) == 1 and kinds <= COUNTABLE and not (is_nan(low) or is_nan(high))

    async def count_covered(self, start: Key, stop: Key) -> int:
        """Counts by the `count` command. Its COUNT_SCAN touches only index keys, and is the fastest way.

        Through `mongos` it would count documents that a migration has left behind; an aggregation does not.
        """
        condition = self.condition(start, stop)
        if self.behind_router:
            return await self.count_matching(condition)
        query = {"count": self.collection.name, "query": condition, "hint": self.index}
        return int((await self.command(query))["n"])

    async def command(self, query: dict[str, Any]) -> Any:
        """Sends a reading command by the read preference of the collection, and returns the answer."""
        database = self.collection.database
        how: dict[str, Any] = {
            "read_preference": self.collection.read_preference,
            "codec_options": EXACT_CODEC,
        }
        return await calls.read_source(self.collection, lambda: database.command(query, **how))

    async def first_id(self, condition: Mapping[str, Any]) -> Any:
        """A document that fulfils the condition, with its `_id` alone; None if there is none."""
        collection = self.collection
        return await calls.read_source(collection, lambda: collection.find_one(condition, {"_id": 1}))

    async def find_ids(self, ids: Sequence[Any]) -> list[Any]:
        """Those of the `_id`s that the collection has, whatever the filter."""
        wanted = {"_id": {"$in": list(ids)}}
        found = await calls.read_source(
            self.collection, lambda: self.collection.find(wanted, {"_id": 1}).to_list(length=None)
        )
        return [document["_id"] for document in found]

    async def count_matching(self, condition: Mapping[str, Any]) -> int:
        """How many documents fulfil the condition, by an aggregation, which any server and view answers."""
        found = await calls.read_source(self.collection, lambda: self.collection.count_documents(condition))
        return int(found)

    async def estimated_total(self) -> int:
        """How many documents the collection holds, from its metadata (trap 15, docs/traps.md)."""
        return int(await calls.read_source(self.collection, self.collection.estimated_document_count))

    async def _aggregate(self, pipeline: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return await calls.read_source(self.collection, lambda: driver.aggregate(self.collection, pipeline))

    async def sample(self, start: Key, stop: Key, size: int) -> list[Key]:
        """Draws `size` random documents of the collection; returns the Keys of those in the range, in order.

        `$sample` comes first, so that the server draws them by a random cursor. The server sorts them, too.
        """
        found = await self._aggregate(
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
        found = await self._aggregate([*first, last])
        return int(found[0]["compared"]) if found else 0

    def limited_to(self, condition: dict[str, Any]) -> Self:
        """The same scan, limited to the documents that also fulfil the condition."""
        return replace(self, filter=both(self.filter, condition))

    def _cursor(self, start: Key, stop: Key, projection: Mapping[str, int]) -> Any:
        return self.collection.find(self.condition(start, stop), projection).hint(self.spec)


def missing_index(collection: driver.Collection, order: Order, reasons: list[str]) -> str:
    """The message that the order has no usable index, with the reasons and the command that creates one."""
    spec = ", ".join(f'"{name}": 1' for name in order.fields)
    why = "".join(f"; {reason}" for reason in reasons)
    return (
        f"{driver.namespace(collection)} has no full index on ({', '.join(order.fields)}), and reading it in "
        f"order would sort the whole collection{why}. "
        f'Create it: db.getCollection("{collection.name}").createIndex({{{spec}}})'
    )
