"""The protocol by which the pipeline gets the documents of a range."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, Protocol

from engine.keys.key import Key
from engine.model import Page


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
