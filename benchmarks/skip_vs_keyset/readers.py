"""The ways of reading a whole collection in pages that are compared.

All read the same fields in the same order, where they have one, one reply of the server a page.
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
        """The pages, none of them empty."""

    def ids(self, page: Page) -> Iterable[ObjectId]:
        """The `_id`s of the documents of a page."""


class _Documents:
    """Pages of documents as the driver gives them."""

    def ids(self, page: Page) -> Iterable[ObjectId]:
        """The `_id`s of the documents of a page."""
        return (document["_id"] for document in page)


@dataclass(frozen=True)
class SkipReader(_Documents):
    """Chunks by offset, planned from a count before anything is read: one mapped task a chunk.

    Attributes:
        size: documents counted.
        order: None reads in natural order, as a `find()` without a sort does.
    """

    collection: Any
    size: int
    order: list[tuple[str, int]] | None

    async def pages(self, documents: int) -> AsyncIterator[Page]:
        """Every chunk that was planned, unless it has become empty."""
        for offset in range(0, self.size, documents):
            if page := await self.page_at(offset, documents):
                yield page

    async def page_at(self, offset: int, documents: int) -> Page:
        """One chunk."""
        cursor = self.collection.find({}, PROJECTION)
        cursor = cursor.sort(self.order) if self.order else cursor
        return await _one_reply(cursor.skip(offset), documents)


@dataclass(frozen=True)
class OrReader(_Documents):
    """Keyset pages by the usual filter: beyond the last timestamp, or tied with it and of a greater `_id`."""

    collection: Any

    async def pages(self, documents: int) -> AsyncIterator[Page]:
        """Pages until one comes back empty."""
        beyond: dict[str, Any] = {}
        while page := await _one_reply(self.collection.find(beyond, PROJECTION).sort(ORDER), documents):
            yield page
            at, last = page[-1]["created_at"], page[-1]["_id"]
            beyond = {"$or": [{"created_at": {"$gt": at}}, {"created_at": at, "_id": {"$gt": last}}]}


@dataclass(frozen=True)
class CursorReader(_Documents):
    """One cursor over everything, a page a reply: as fast as documents can be had through this driver."""

    collection: Any

    async def pages(self, documents: int) -> AsyncIterator[Page]:
        """What one cursor yields."""
        cursor = self.collection.find({}, PROJECTION).sort(ORDER).batch_size(documents)
        while page := await cursor.to_list(length=documents):
            yield page


@dataclass(frozen=True)
class EngineReader:
    """The engine's own Reader over one range that holds everything."""

    collection: Any
    settings: Mapping[str, Any] = field(default_factory=dict)

    async def pages(self, documents: int) -> AsyncIterator[Page]:
        """Pages by the bounds of the index; the first few are smaller."""
        settings = Settings(**{**self.settings, "page_documents": documents})
        scan = await choose_scan(self.collection, settings)
        whole = KeyRange(Key((MinKey(), MinKey())), Key((MaxKey(), MaxKey())))
        async for page in Reader(scan, whole, settings).pages(after=None):
            yield page

    def ids(self, page: Page) -> Iterable[ObjectId]:
        """The `_id`s of the documents of a page."""
        return page.ids


async def _one_reply(cursor: Any, documents: int) -> Page:
    """At most that many documents.

    A negative limit closes the cursor with its first reply, which without a batch size would hold 101.
    """
    page: Page = await cursor.limit(-documents).batch_size(documents).to_list(length=None)
    return page


ReaderFactory: TypeAlias = Callable[[Any, int, Mapping[str, Any]], PageReader]
"""Takes the collection, its size, and settings of the engine.

All but the engine decode as the driver does by default; the engine decodes so that every BSON value survives
a round trip, which costs time of its own: a second cursor, that decodes likewise, shows how much.
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
"""Readers that must read each document exactly once, whatever happens to the others."""
