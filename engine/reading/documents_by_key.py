"""Reads the documents with given `_id`s. A repair and a replay run on it instead of a Reader."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Mapping
from typing import Any

from engine.keys.bson_values import lookup_key
from engine.keys.key import Key
from engine.model import Page
from engine.mongo import calls
from engine.reading import unreadable
from engine.reading.scan import Scan

AbsentCallback = Callable[[list[Any]], Awaitable[None]]


class DocumentsByKey:
    """Pages of the documents with these Keys. It can be iterated only once.

    Args:
        keys: pages of Keys; the `_id` is the last value of each.
        scan: the Scan of the source; a document that its filter excludes is not read.
        absent: called with the `_id`s of a page for which no document was found.
    """

    def __init__(
        self,
        keys: AsyncIterable[list[Key]],
        scan: Scan,
        text_field: str,
        absent: AbsentCallback | None = None,
    ) -> None:
        self._keys = keys
        self._scan = scan
        self._absent = absent
        self._text_field = text_field
        paths = ["_id", *scan.order.fields, text_field]
        # Without paths inside another one: a projection must not name both.
        self._projection = {p: 1 for p in paths if not any(p.startswith(f"{other}.") for other in paths)}

    async def pages(self, after: Key | None) -> AsyncGenerator[Page, None]:  # noqa: ARG002
        """Yields the documents. `after` is ignored: the keys already exclude what is done.

        Raises:
            SourceError: the source could not be read.
        """
        async for keys in self._keys:
            wanted = {lookup_key(key.values[-1]): key.values[-1] for key in keys}
            # A reply ends at 16 MiB: documents beyond it are asked for again, until nothing more comes.
            while page := await self._fetch(wanted):
                yield page
                for document_id in page.ids:
                    del wanted[lookup_key(document_id)]
            if wanted and self._absent:
                await self._absent(list(wanted.values()))

    @property
    def resumes_anywhere(self) -> bool:
        """Returns True: a repair or replay keeps no checkpoint."""
        return True

    def position(self, values: tuple[Any, ...], *, ends_page: bool) -> Key | None:  # noqa: ARG002
        """Returns the Key of the document; the checkpoint that takes it is not kept."""
        return Key(values)

    async def count_unread(self, read: int) -> int:  # noqa: ARG002
        """Returns 0: the documents were not counted before.

        Raises:
            SourceError: the collection was dropped or renamed, so documents may be absent for this reason.
        """
        await self._scan.refuse_replaced()
        return 0

    async def _fetch(self, wanted: Mapping[Any, Any]) -> Page | None:
        """Reads a page of these documents; None if none of them exists."""
        if not wanted:
            return None
        collection, most = self._scan.collection, len(wanted)
        chosen = self._scan.limited_to({"_id": {"$in": list(wanted.values())}}).filter
        limit = self._scan.reply_limit(most)

        def find(fields: Mapping[str, int]) -> Awaitable[list[dict[str, Any]]]:
            cursor = collection.find(chosen, fields).batch_size(most).limit(limit)
            return cursor.to_list(length=None)

        def read() -> Awaitable[list[dict[str, Any]]]:
            return unreadable.documents(collection, self._scan.order, find, self._projection)

        found = await calls.read_source(collection, read)
        found = [stored for stored in found if lookup_key(stored["_id"]) in wanted]
        unreadable.refuse_repeated(collection, self._scan.order, found)
        return self._scan.page_of(found, self._text_field) if found else None
