"""After a run: which documents of a window have neither an extraction nor an unresolved dead letter.

The source is read in the order of its keys, and of each page the target is asked which `_id`s it knows. Two
streams cannot be merged here, for results are in the order of `_id` and the source in that of
`(created_at, _id)`; asking page by page serves both orders, in the memory of one page, by covered queries.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pymongo.errors import PyMongoError

from engine.errors import SourceError, WriteError
from engine.keys.bson_values import digests_of, identity
from engine.keys.key import Key
from engine.model import Counts
from engine.mongo import driver
from engine.reading.scan import Scan
from engine.settings import Settings


@dataclass(frozen=True, slots=True)
class Verification:
    """What a verification found: `read = present + dead_lettered + missing`.

    Attributes:
        read: documents of the window.
        present: of these, how many have an extraction, of whatever extractor, version and text.
        dead_lettered: how many have none, but a dead letter that is not resolved.
        missing: how many have neither.
        first_missing: the Keys of the first of these, in order, up to the limit asked for.
        outside: documents outside the window's type, by type: no window of this type reaches them.
        digest: of the `_id`s read; a report with the same one has read the same documents.
    """

    read: int = 0
    present: int = 0
    dead_lettered: int = 0
    missing: int = 0
    first_missing: tuple[Key, ...] = ()
    outside: Mapping[str, int] = field(default_factory=dict)
    digest: str = "0" * 32

    @property
    def complete(self) -> bool:
        """Whether every document of the window is accounted for."""
        return self.missing == 0


async def keys_of(scan: Scan, start: Key, stop: Key, page_documents: int) -> AsyncIterator[list[Key]]:
    """The Keys of the documents in `[start, stop)`, in order, page by page, from the index alone.

    Raises:
        SourceError: the source could not be read; never taken for the end (TRAPS 12).
    """
    after: Key | None = None
    while True:
        try:
            found, after = await scan.page(start, stop, after, limit=page_documents)
        except PyMongoError as error:
            raise SourceError(f"{driver.namespace(scan.collection)} could not be read: {error}") from error
        if not found:
            return
        yield [Key(scan.order.values_of(document)) for document in found]


class Verifier:
    """Looks pages of documents up among the results, and counts what it finds.

    Types are exact: the `_id`s 1 and "1", or 1 and 1.0, are different documents.
    """

    def __init__(self, target: driver.Database, source_name: str, settings: Settings, limit: int = 0) -> None:
        self._entities = driver.exact(target[settings.entities_of(source_name)])
        self._dead_letters = driver.exact(target[settings.dead_letters_of(source_name)])
        self._limit = limit
        self._first: list[Key] = []
        self._read = self._dead_lettered = self._missing = 0
        self._counts = Counts()

    async def missing(self, pages: AsyncIterable[list[Key]]) -> AsyncIterator[list[Key]]:
        """Those Keys whose documents are missing, page by page, in order; pages without any are passed over.

        Raises:
            WriteError: the target could not be read.
        """
        async for page in pages:
            keys = await self._missing_of(page)
            if keys:
                yield keys

    def result(self, outside: Mapping[str, int]) -> Verification:
        """What was found so far."""
        return Verification(
            read=self._counts.read,
            present=self._counts.read - self._dead_lettered - self._missing,
            dead_lettered=self._dead_lettered,
            missing=self._missing,
            first_missing=tuple(self._first),
            outside=dict(outside),
            digest=self._counts.to_document()["digest"],
        )

    async def _missing_of(self, page: list[Key]) -> list[Key]:
        self._counts += Counts(len(page), digest=sum(digests_of(key.values[-1] for key in page)))
        without = await self._unknown_to(self._entities, page)
        lost = await self._unknown_to(self._dead_letters, without, {"resolved_at": None}) if without else []
        self._dead_lettered += len(without) - len(lost)
        self._missing += len(lost)
        self._first += lost[: self._limit - len(self._first)]
        return lost

    async def _unknown_to(
        self, results: driver.Collection, page: list[Key], also: Mapping[str, Any] | None = None
    ) -> list[Key]:
        """Those Keys of the page whose `_id` is not among the results that fulfil the condition."""
        condition = {"_id": {"$in": [key.values[-1] for key in page]}, **(also or {})}
        try:
            found = await results.find(condition, {"_id": 1}).batch_size(len(page)).to_list(length=None)
        except PyMongoError as error:
            raise WriteError(f"{driver.namespace(results)} could not be read: {error}") from error
        known = {identity(result["_id"]) for result in found}
        return [key for key in page if identity(key.values[-1]) not in known]
