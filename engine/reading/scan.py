"""Reads, counts and samples the documents between two Keys.

How the query forms differ is in `query_forms.py`; `index_choice.py` chooses one, once per run.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from bson.min_key import MinKey

from engine.errors import SourceError
from engine.keys.bson_values import STRICT, bracket_of, is_nan
from engine.keys.key import Key
from engine.keys.utf8 import decoded
from engine.model import Page, QueryForm
from engine.mongo import calls, driver
from engine.mongo.collection_info import UUID_MISMATCH, source_replaced
from engine.reading import unreadable
from engine.reading.filters import COUNTABLE, both, range_filter
from engine.reading.source import BAD_HINT, Source
from engine.reading.unreadable import not_moving, same_id


@dataclass(frozen=True)
class Scan(Source, ABC):
    """Reads parts of one collection in one order, always in the same query form.

    Attributes:
        form: the query form of the class.
        resumes_anywhere: whether a range can resume after any document, and not only at the end of a page.
    """

    form: ClassVar[QueryForm]
    resumes_anywhere: ClassVar[bool] = True

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
            SourceError: a key holds bytes that are not UTF-8, an array, or a value that no driver gives back;
                the message names the document.
        """
        found = await self._fetch(
            start, stop, limit=limit, projection=projection, skip=skip, backward=backward
        )
        place = driver.namespace(self.collection)
        unreadable.refuse_arrays(self.order, found, place)
        unreadable.refuse_unusable_keys(self.order, found, place)
        if driver.has_server(self.collection) and unreadable.may_be_inexact(found):
            await self._refuse_inexact_ids(start, stop, limit, skip, backward=backward)
        return found

    async def _refuse_inexact_ids(
        self, start: Key, stop: Key, limit: int, skip: int, *, backward: bool
    ) -> None:
        """Reads the `_id`s of documents once more, as bytes, and refuses those that a driver changes."""
        find = replace(self, collection=driver.undecoded(self.collection))._find  # noqa: SLF001  (its own)
        sort = [(name, -1 if backward else 1) for name, _ in self.spec]
        stored = await calls.read_source(
            self.collection, lambda: find(start, stop, {"_id": 1}, sort, skip, limit)
        )
        unreadable.refuse_inexact_ids(self.collection, stored)

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

        The list is empty only if the range is, and the collection is the one that the scan was made for. It
        may be shorter than `limit` although the range goes on.

        Args:
            projection: the fields to read; by default the fields of the order, which the index covers.
            skip: how many documents to pass over first (a planner's hop, bounded by a range's size).

        Raises:
            SourceError: the server could not be read, or the collection was dropped or renamed.
            PlanError: the index was dropped or hidden.
        """
        fields = projection or dict.fromkeys(("_id", *self.order.fields), 1)
        # The index gives this order already, but a sharded cluster merges the shards by the sort.
        sort = [(name, -1 if backward else 1) for name, _ in self.spec]

        def find(chosen: Mapping[str, int]) -> Awaitable[list[dict[str, Any]]]:
            return self._find(start, stop, chosen, sort, skip, limit)

        def read() -> Awaitable[list[dict[str, Any]]]:
            return unreadable.documents(self.collection, self.order, find, fields)

        try:
            found = await calls.read_source(self.collection, read)
        except SourceError as error:
            if error.code == UUID_MISMATCH:
                raise source_replaced(self.collection) from error
            if error.code in (BAD_HINT, unreadable.QUERY_PLAN_KILLED):
                await self.refuse_replaced()
            await self.refuse_lost_index(error)
            await unreadable.refuse_stored_array(self.collection, self.order, error)
            raise
        if not found:
            await self.refuse_replaced()
        return found

    def _find(
        self,
        start: Key,
        stop: Key,
        fields: Mapping[str, int],
        sort: list[tuple[str, int]],
        skip: int,
        limit: int,
    ) -> Awaitable[list[dict[str, Any]]]:
        """Sends the query of `fetch`."""
        most = self.reply_limit(limit)
        cursor = self._cursor(start, stop, fields).sort(sort).skip(skip).batch_size(limit).limit(most)
        return cursor.to_list(length=None)  # type: ignore[no-any-return]

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

        Raises:
            SourceError: as in `fetch`; or reading would not move on (trap 45, docs/traps.md).
        """
        # One more, because `min` is inclusive: the document at `after` comes again if it still exists.
        limit += after is not None
        found = await self.fetch(after or start, stop, limit=limit, projection=projection)
        if after is not None:
            if found and same_id(found[0], after):
                del found[0]
                while not found and projection is not None and (beyond := await self._key_after(after, stop)):
                    found = await self.fetch(beyond, stop, limit=limit, projection=projection)
            else:
                await self._refuse_elsewhere(after, stop, projection)
        last = Key(self.order.values_of(found[-1])) if found else None
        if after is not None and found and (last == after or same_id(found[0], after)):
            raise not_moving(self.collection, self.order, after.values[-1])
        return found, last

    async def _refuse_elsewhere(self, after: Key, stop: Key, projection: dict[str, int] | None) -> None:
        """Refuses a Key that its own document, which still exists, does not have in the index.

        The document at `after` comes first on the page after it, unless it was deleted or changed meanwhile.
        One that holds its order field twice is there, but elsewhere: reading on from the Key that was decoded
        would lose the documents between, or repeat them.
        """
        if not await self.still_has(after.values[-1], after.values, projection):
            return
        again = await self.fetch(after, stop, limit=1)
        if not again or not same_id(again[0], after):
            raise not_moving(self.collection, self.order, after.values[-1])

    async def still_has(self, document_id: Any, values: Sequence[Any], projection: Any) -> bool:
        """Whether the document is there, and its Key, as it is decoded, begins with these values."""
        wanted = self.limited_to({"_id": {"$in": [document_id]}}).filter
        fields = projection or dict.fromkeys(("_id", *self.order.fields), 1)
        found = await calls.read_source(self.collection, lambda: self.collection.find_one(wanted, fields))
        return found is not None and Key(self.order.values_of(found)[: len(values)]) == Key(tuple(values))

    async def _key_after(self, after: Key, stop: Key) -> Key | None:
        """The Key that follows `after`; None at the end. Its document may fill a reply alone."""
        found = await self.fetch(after, stop, limit=2)
        keys = [self.order.values_of(each) for each in found if not same_id(each, after)]
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
        query = {"count": self.collection.name, "query": condition, "hint": self.index.hint}
        return int((await self.command(query))["n"])

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

    def _cursor(self, start: Key, stop: Key, projection: Mapping[str, int]) -> Any:
        return self.collection.find(self.condition(start, stop), projection).hint(self.index.hint)
