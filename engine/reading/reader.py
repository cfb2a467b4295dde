"""Reads a KeyRange page by page. No cursor outlives its page, so no cursor can time out or be lost.

The next page is fetched while the one before is processed, as long as both are expected to fit in memory.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import bson

from engine.keys.bson_values import EXACT_CODEC
from engine.keys.key import Key, KeyRange
from engine.keys.utf8 import is_encodable
from engine.model import Page
from engine.observing import metrics
from engine.reading.page_size import PageSize
from engine.reading.scan import Scan
from engine.settings import Settings


class DocumentSource(Protocol):
    """Yields the documents of a range: a Reader or, in a repair or a replay, DocumentsByKey."""

    @property
    def resumes_anywhere(self) -> bool:
        """Whether reading can resume after every document, or only after the last one of a page."""
        ...

    def pages(self, after: Key | None) -> AsyncGenerator[Page, None]:
        """Yields the documents after a Key, page by page, in the same order at every attempt."""
        ...

    def position(self, values: tuple[Any, ...], *, ends_page: bool) -> Key | None:
        """The Key to resume from after this document; None if a range cannot resume here."""
        ...

    async def count_unread(self, read: int) -> int:
        """How many documents remain beyond the `read` ones; 0 if that is not known."""
        ...


@dataclass(frozen=True, slots=True)
class _Fetched:
    """The new documents of one reply, and the Key after which the next page begins; None at the end."""

    page: Page
    last: Key | None


class Reader:
    """Yields the pages of one KeyRange, from its start or from a saved position."""

    def __init__(
        self,
        scan: Scan,
        key_range: KeyRange,
        settings: Settings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._metrics = metrics.current()
        self._scan = scan
        self._range = key_range
        self._text_field = settings.text_field
        self._read_ahead_bytes = settings.read_ahead_bytes
        self._paging = PageSize(
            settings.tuning.page_documents, settings.tuning.max_page_bytes, settings.tuning.page_target_s
        )
        self._projection = dict.fromkeys(_disjoint(["_id", *scan.order.fields, settings.text_field]), 1)

    async def pages(self, after: Key | None) -> AsyncGenerator[Page, None]:
        """Yields the documents of the range in order, without those up to and including `after`.

        While a page is processed, the next one is fetched if it is expected to fit `read_ahead_bytes`. Close
        the generator (`contextlib.aclosing`) to end that fetch, too.

        Raises:
            SourceError: the server could not be read. The pages before the error have been yielded by then.
                An error is never taken for the end of the range (trap 12, docs/traps.md).
        """
        fetched = await self._fetch(after)
        ahead: asyncio.Task[_Fetched] | None = None
        try:
            while fetched.last is not None:  # a short page may be a full reply: only an empty page is the end
                if self._paging.expected_bytes < self._read_ahead_bytes:
                    ahead = asyncio.create_task(self._fetch(fetched.last))
                    await asyncio.sleep(0)  # lets the request leave now, so that the server works meanwhile
                yield fetched.page
                fetched = await (ahead or self._fetch(fetched.last))
                ahead = None
        finally:
            await _ended(ahead)

    @property
    def resumes_anywhere(self) -> bool:
        """False in the form `whole_ties`, which resumes only between pages."""
        return self._scan.resumes_anywhere

    def position(self, values: tuple[Any, ...], *, ends_page: bool) -> Key | None:
        """See `Scan.position`."""
        return self._scan.position(values, ends_page=ends_page)

    async def count_unread(self, read: int) -> int:
        """How many documents the range holds beyond the `read` ones; 0 if as many as planned were read.

        Raises:
            SourceError: the server could not be read, or the collection was dropped or renamed.
        """
        expected, unread = self._range.expected, 0
        if expected is not None and read < expected:
            unread = max(0, await self._scan.count(self._range.start, self._range.stop) - read)
        await self._scan.refuse_replaced()
        return unread

    async def _fetch(self, after: Key | None) -> _Fetched:
        """Fetches the page after `after`, or the first page of the range."""
        began = self._clock()
        bounds, limit = (self._range.start, self._range.stop), self._paging.documents
        found, last = await self._scan.page(*bounds, after, limit=limit, projection=self._projection)
        elapsed_s = self._clock() - began
        page = self._scan.page_of(found, self._text_field)
        if found:
            text_bytes = _bytes_of(page.texts)
            self._paging.observe(len(found), text_bytes, elapsed_s)
            self._metrics.page(len(found), text_bytes, elapsed_s)
        return _Fetched(page, last)


async def _ended(task: asyncio.Task[Any] | None) -> None:
    """Cancels the read-ahead task and waits for it; its error, if any, is dropped."""
    if task is not None:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # asyncio logs an exception that was never retrieved


def _bytes_of(texts: Sequence[Any]) -> int:
    """The memory of the texts. `__sizeof__` takes 0.05 microseconds a text, a third of encoding it."""
    strings = [text for text in texts if type(text) is str]
    others = [] if len(strings) == len(texts) else [text for text in texts if type(text) is not str]
    return sum(map(str.__sizeof__, strings)) + sum(map(_encoded_bytes, others))


def _encoded_bytes(value: Any) -> int:
    return len(bson.encode({"": value}, codec_options=EXACT_CODEC)) if is_encodable(value) else 0


def _disjoint(paths: list[str]) -> list[str]:
    """The paths without those inside another path: a projection must not name both."""
    return [p for p in paths if not any(p.startswith(f"{other}.") for other in paths)]
