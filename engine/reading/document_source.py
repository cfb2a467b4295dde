"""Where a range gets its documents, as the pipeline sees it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, Protocol

from engine.keys.key import Key
from engine.model import Page


class DocumentSource(Protocol):
    """Where a range gets its documents: a Reader, or what stands in its place."""

    @property
    def resumes_anywhere(self) -> bool:
        """Whether there is a Key to go on after for every document; if not, for the last ones of pages."""
        ...

    def pages(self, after: Key | None) -> AsyncGenerator[Page, None]:
        """The documents after that Key, page by page, in an order that is the same at every attempt."""
        ...

    def position(self, values: tuple[Any, ...], *, ends_page: bool) -> Key | None:
        """The Key to go on after once all up to this document is done, if there is one."""
        ...

    async def count_unread(self, read: int) -> int:
        """How many documents there are beyond that many read, as far as it is known."""
        ...
