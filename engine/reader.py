"""Reads a KeyRange page by page. No cursor outlives its page, so none can time out or be lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from pymongo.errors import AutoReconnect, PyMongoError
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from engine.config import Settings
from engine.errors import SourceError
from engine.keyset import Key, KeyRange
from engine.model import Document
from engine.retry import Sleep
from engine.scan import Scan
from engine.values import identity, value_at

T = TypeVar("T")

FIRST_PAGE_DOCUMENTS = 64
"""The first page is small: nothing is known yet about the sizes of documents."""

READ_ATTEMPTS = 6
"""With waits of up to 0.5, 1, 2, 4 and 8 s: a replica set elects a new primary within about 12 s."""


class Reader:
    """Pages of one KeyRange, from its start or after a Key already finished."""

    def __init__(
        self, scan: Scan, key_range: KeyRange, settings: Settings, sleep: Sleep = asyncio.sleep
    ) -> None:
        self._sleep = sleep
        self._scan = scan
        self._range = key_range
        self._text_field = settings.text_field
        self._most_documents = settings.page_documents
        self._most_bytes = settings.max_page_bytes
        self._projection = dict.fromkeys(_disjoint(["_id", *scan.order.fields, settings.text_field]), 1)

    async def pages(self, after: Key | None) -> AsyncIterator[list[Document]]:
        """The documents of the range in order, page by page; those up to and including `after` are left out.

        Raises:
            SourceError: the server could not be read; never taken for the end of the range (TRAPS 12).
        """
        limit = min(FIRST_PAGE_DOCUMENTS, self._most_documents)
        while True:
            # One more than a page, because `min` is inclusive: the anchor comes again, if it still exists.
            found = await self._fetch(after or self._range.start, limit + (after is not None))
            page = [self._document(d) for d in found]
            if page and after is not None and identity(page[0].id) == identity(after.values[-1]):
                del page[0]
            if not page:  # a short page may be a full reply: only an empty one is the end
                return
            yield page
            after = Key(page[-1].values)
            limit = self._next_limit(page)

    async def count_unread(self, read: int) -> int:
        """How many documents the range holds beyond those read; counted if fewer were read than planned."""
        expected = self._range.expected
        if expected is None or read >= expected:
            return 0
        return max(0, await self._retried(self._scan.count, self._range.start, self._range.stop) - read)

    async def _fetch(self, start: Key, limit: int) -> list[dict[str, Any]]:
        stop = self._range.stop
        return await self._retried(self._scan.fetch, start, stop, limit=limit, projection=self._projection)

    async def _retried(self, read: Callable[..., Awaitable[T]], *args: Any, **options: Any) -> T:
        retrying = AsyncRetrying(
            sleep=self._sleep,
            retry=retry_if_exception_type(AutoReconnect),
            wait=wait_random_exponential(multiplier=0.5, max=8),
            stop=stop_after_attempt(READ_ATTEMPTS),
            reraise=True,
        )
        try:
            return await retrying(read, *args, **options)
        except PyMongoError as error:
            raise SourceError(
                f"range {self._range.range_id} could not be read: {error}",
                range_id=self._range.range_id,
            ) from error

    def _document(self, found: dict[str, Any]) -> Document:
        return Document(self._scan.order.values_of(found), value_at(found, self._text_field))

    def _next_limit(self, page: list[Document]) -> int:
        """As many documents as fill a page by count or bytes, growing at most fourfold at a time."""
        chars = sum(len(d.text) for d in page if isinstance(d.text, str))
        by_bytes = self._most_bytes * len(page) // max(1, chars)
        return max(1, min(self._most_documents, by_bytes, 4 * len(page)))


def _disjoint(paths: list[str]) -> list[str]:
    """The paths without those inside another one: a projection must not name both."""
    return [p for p in paths if not any(p.startswith(f"{other}.") for other in paths)]
