"""Documents chosen by their `_id`s, in place of a Reader: what a repair or a replay runs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Mapping
from typing import Any

from pymongo.errors import PyMongoError

from engine.errors import SourceError
from engine.keys.bson_values import identity
from engine.keys.key import Key
from engine.model import Page, QueryForm
from engine.reading.scan import Scan
from engine.settings import Settings

AbsentCallback = Callable[[list[Any]], Awaitable[None]]


class DocumentsByKey:
    """Pages of the documents with these Keys; what it is asked for a second time, it does not have.

    Args:
        keys: pages of Keys; the `_id` is the last value of each.
        scan: of the source; a document that its filter leaves out is not read.
        absent: told the `_id`s of each page that no document read has.
    """

    def __init__(
        self,
        keys: AsyncIterable[list[Key]],
        scan: Scan,
        settings: Settings,
        absent: AbsentCallback | None = None,
    ) -> None:
        self._keys = keys
        self._scan = scan
        self._absent = absent
        self._text_field = settings.text_field
        paths = ["_id", *scan.order.fields, settings.text_field]
        # Without those inside another one: a projection must not name both.
        self._projection = {p: 1 for p in paths if not any(p.startswith(f"{other}.") for other in paths)}

    async def pages(self, after: Key | None) -> AsyncGenerator[Page, None]:  # noqa: ARG002
        """The documents; there is no checkpoint to begin after: what is done is not chosen again.

        Raises:
            SourceError: the source could not be read.
        """
        async for keys in self._keys:
            wanted = {identity(key.values[-1]): key.values[-1] for key in keys}
            # A reply ends at 16 MiB: what it leaves out is asked for again, until nothing more is there.
            while page := await self._fetch(wanted):
                yield page
                for document_id in page.ids:
                    del wanted[identity(document_id)]
            if wanted and self._absent:
                await self._absent(list(wanted.values()))

    @property
    def resumes_anywhere(self) -> bool:
        """Nothing is resumed."""
        return True

    def position(self, values: tuple[Any, ...], *, ends_page: bool) -> Key | None:  # noqa: ARG002
        """Any document's Key: nothing is resumed from it."""
        return Key(values)

    async def count_unread(self, read: int) -> int:  # noqa: ARG002
        """None: nothing was counted before."""
        return 0

    async def _fetch(self, wanted: Mapping[Any, Any]) -> Page | None:
        """Those of them that are there; None if none is."""
        if not wanted:
            return None
        chosen = self._scan.limited_to({"_id": {"$in": list(wanted.values())}}).filter
        limit = -len(wanted) if self._scan.form is QueryForm.INDEX_BOUNDS else len(wanted)
        try:
            cursor = self._scan.collection.find(chosen, self._projection).batch_size(len(wanted)).limit(limit)
            found = await cursor.to_list(length=None)
        except PyMongoError as error:
            raise SourceError(f"chosen documents could not be read: {error}") from error
        found = [stored for stored in found if identity(stored["_id"]) in wanted]
        return self._scan.order.page_of(found, self._text_field) if found else None
