"""The readers that are compared: ways of reading a whole collection in pages.

All read the same fields, one reply of the server per page, and in the same order if they have one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.objectid import ObjectId

from benchmarks.common.documents import ORDER, PROJECTION
from engine.keys.key import Key, KeyRange
from engine.mongo.driver import exact
from engine.reading.index_choice import choose_scan
from engine.reading.reader import Reader
from engine.settings import Settings

Page: TypeAlias = Sequence[Any]


class PageReader(Protocol):
    """Reads a whole collection in pages of some number of documents."""

    def pages(self, documents: int) -> AsyncIterator[Page]:
        """Yields the pages; none of them is empty."""

    def ids(self, page: Page) -> Iterable[ObjectId]:
        """Returns the `_id`s of the documents of a page."""


class _Documents:
    """Pages are documents as the driver returns them."""

    def ids(self, page: Page) -> Iterable[ObjectId]:
        """Returns the `_id`s of the documents of a page."""
        return (document["_id"] for document in page)


@dataclass(frozen=True)
class SkipReader(_Documents):
    """Reads chunks by offset, planned from a count beforehand, as one mapped task per chunk would do.

    Attributes:
        size: the number of counted documents.
        order: the sort order; None reads in natural order, as `find()` without a sort does.
    """

    collection: Any
    size: int
    order: list[tuple[str, int]] | None

    async def pages(self, documents: int) -> AsyncIterator[Page]:
        """Yields every planned chunk, unless it has become empty."""
        for offset in range(0, self.size, documents):
            if page := await self.page_at(offset, documents):
                yield page

    async def page_at(self, offset: int, documents: int) -> Page:
        """Reads one chunk."""
        cursor = self.collection.find({}, PROJECTION)
        cursor = cursor.sort(self.order) if self.order else cursor
        return await _one_reply(cursor.skip(offset), documents)


@dataclass(frozen=True)
class OrReader(_Documents):
    """Reads keyset pages by the usual filter: a later timestamp, or the same one and a greater `_id`."""

    collection: Any

    async def pages(self, documents: int) -> AsyncIterator[Page]:
        """Yields pages until one is empty."""
        beyond: dict[str, Any] = {}
        while page := await _one_reply(self.collection.find(beyond, PROJECTION).sort(ORDER), documents):
            yield page
            at, last = page[-1]["created_at"], page[-1]["_id"]
            beyond = {"$or": [{"created_at": {"$gt": at}}, {"created_at": at, "_id": {"$gt": last}}]}


@dataclass(frozen=True)
class CursorReader(_Documents):
    """Reads everything by one cursor, a page per reply: as fast as this driver can read documents."""

    collection: Any

    async def pages(self, documents: int) -> AsyncIterator[Page]:
        """Yields the replies of the cursor."""
        cursor = self.collection.find({}, PROJECTION).sort(ORDER).batch_size(documents)
        while page := await cursor.to_list(length=documents):
            yield page


@dataclass(frozen=True)
class EngineReader:
    """Reads one range that contains everything, with the engine's own Reader."""

    collection: Any
    settings: Mapping[str, Any] = field(default_factory=dict)

    async def pages(self, documents: int) -> AsyncIterator[Page]:
        """Yields pages by bounds of the index; the first few are smaller."""
        settings = Settings(
            **{**self.settings, "tuning": {**self.settings.get("tuning", {}), "page_documents": documents}}
        )
        tied = settings.tuning.max_tied_documents
        scan = await choose_scan(self.collection, settings.order_field, settings.filter, tied)
        whole = KeyRange(Key((MinKey(), MinKey())), Key((MaxKey(), MaxKey())))
        async for page in Reader(scan, whole, settings).pages(after=None):
            yield page

    def ids(self, page: Page) -> Iterable[ObjectId]:
        """Returns the `_id`s of the documents of a page."""
        return page.ids


async def _one_reply(cursor: Any, documents: int) -> Page:
    """Reads at most this number of documents in one reply.

    A negative limit closes the cursor with its first reply, which would have 101 documents without a batch
    size.
    """
    page: Page = await cursor.limit(-documents).batch_size(documents).to_list(length=None)
    return page


ReaderFactory: TypeAlias = Callable[[Any, int, Mapping[str, Any]], PageReader]
"""Makes a reader from the collection, its size, and settings of the engine.

The engine decodes documents so that every BSON value survives a round trip, which takes additional time; the
reader `cursor_exact` decodes in the same way, to show how much. All others decode as the driver does by
default.
"""

READERS: dict[str, ReaderFactory] = {
    "skip_sorted": lambda collection, size, _: SkipReader(collection, size, ORDER),
    "skip_natural": lambda collection, size, _: SkipReader(collection, size, None),
    "or_keyset": lambda collection, _, __: OrReader(collection),
    "engine": lambda collection, _, settings: EngineReader(collection, settings),
    "cursor_exact": lambda collection, _, __: CursorReader(exact(collection)),
    "cursor": lambda collection, _, __: CursorReader(collection),
}

LABELS = {
    "skip_sorted": "skip, sorted",
    "skip_natural": "skip, natural order",
    "or_keyset": "keyset by $or",
    "engine": "keyset by engine",
    "cursor_exact": "cursor, exact types",
    "cursor": "one cursor",
}

KEYSET = ("or_keyset", "engine")
"""Readers that must read each document exactly once, even while other documents are changed."""
