"""Reads unresolved dead letters page by page, and resolves those of deleted documents."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from datetime import UTC, datetime
from typing import Any

from bson.max_key import MaxKey
from bson.min_key import MinKey

from engine.checking.verify import keys_of
from engine.errors import SourceError, WriteError
from engine.keys.bson_values import lookup_key
from engine.keys.key import Key
from engine.mongo import calls, driver
from engine.mongo.collection_info import UUID_MISMATCH
from engine.reading.index_choice import choose_scan
from engine.reading.scan import Scan

DELETED = "deleted"
"""The `resolution` of a dead letter that was resolved because its document is gone."""


class UnresolvedLetters:
    """The unresolved dead letters of one source, of all classes or only of some.

    Args:
        page_documents: letters in a page of `pages`.
        kinds: classes of dead letters (`permanent`, `transient`, `invalid_text`); empty means all.
    """

    def __init__(self, letters: driver.Collection, page_documents: int, kinds: Collection[str] = ()) -> None:
        self._letters = letters
        self._page_documents = page_documents
        self._condition: dict[str, Any] = {"resolved_at": None}
        if kinds:
            self._condition["kind"] = {"$in": sorted(kinds)}

    async def count(self, limit: int | None = None) -> int:
        """Returns their number, or `limit` if there are more.

        Raises:
            WriteError: the target could not be read.
        """
        most: dict[str, Any] = {} if limit is None else {"limit": limit}
        letters = self._letters
        return int(await calls.read_target(letters, lambda: letters.count_documents(self._condition, **most)))

    async def pages(self, limit: int | None = None) -> AsyncIterator[list[Key]]:
        """Yields the `_id`s of the first of them, as Keys in the order of `_id`, page by page.

        Each comes once: a dead letter that is updated meanwhile keeps its place, and one that is resolved is
        skipped. So the iteration ends, however many documents fail again.

        Raises:
            WriteError: the target could not be read.
        """
        left, letters = limit, self._letters
        if await calls.read_target(letters, lambda: driver.indexes(letters)) == {}:
            return  # there is no such collection: nothing has ever failed
        try:
            # The index on _id is unique: two letters never tie.
            scan = await choose_scan(letters, "_id", self._condition, max_tied_documents=1)
            whole = Key((MinKey(),)), Key((MaxKey(),))
            async for page in keys_of(scan, *whole, self._page_documents):
                taken = page if left is None else page[:left]
                if taken:
                    yield taken
                left = left if left is None else left - len(taken)
                if left == 0:
                    return
        except SourceError as error:
            raise as_target_error(error) from error

    async def resolve_deleted(self, ids: Sequence[Any], source: Scan, run_id: str) -> None:
        """Resolves the dead letters of those `_id`s that no document of the source has; they stay as history.

        Raises:
            SourceError, WriteError: the source or the target could not be used.
        """
        existing = set(map(lookup_key, await source.find_ids(ids)))
        gone = [id_ for id_ in ids if lookup_key(id_) not in existing]
        if not gone:
            return
        resolved = {"resolved_at": datetime.now(UTC), "resolved_by": run_id, "resolution": DELETED}
        theirs = {"_id": {"$in": gone}, "resolved_at": None}
        letters = self._letters
        await calls.write_target(letters, lambda: letters.update_many(theirs, {"$set": resolved}))


def as_target_error(error: SourceError) -> WriteError:
    """The same error for a scan of dead letters, which are in the target."""
    raised = WriteError(str(error))
    if error.code == UUID_MISMATCH:
        raised = WriteError("the collection of dead letters was dropped or renamed meanwhile; run it again")
    raised.code = error.code
    return raised
