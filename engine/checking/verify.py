"""Finds the documents of a window with neither an extraction nor an unresolved dead letter."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from engine.keys.bson_values import digests_of, lookup_key
from engine.keys.key import Key
from engine.keys.window import Window
from engine.model import Counts
from engine.mongo import calls, driver, privileges
from engine.mongo.collection_info import refuse_replaced_target, target_identity
from engine.planning.plan import Plan
from engine.planning.planner import make_plan
from engine.reading.index_choice import choose_scan
from engine.reading.scan import Scan
from engine.settings import Settings
from engine.storing.target import Target, target_of


@dataclass(frozen=True, slots=True)
class Verification:
    """The counts of a verification: `read = present + dead_lettered + missing`.

    Attributes:
        read: documents in the window.
        present: documents with an extraction, by any extractor, of any version and text.
        dead_lettered: documents without an extraction, but with an unresolved dead letter.
        missing: documents with neither.
        first_missing: the Keys of the first missing documents, in order, up to the `limit` of `verify`.
        outside: documents whose order field has another type than the window, by type; no window of this
            type contains them.
        empty: what the collection holds, if the window holds nothing of it; else None.
        digest: digest of the `_id`s read. A report with the same digest has read the same documents.
    """

    read: int = 0
    present: int = 0
    dead_lettered: int = 0
    missing: int = 0
    first_missing: tuple[Key, ...] = ()
    outside: Mapping[str, int] = field(default_factory=dict)
    empty: str | None = None
    digest: str = "0" * 32

    @property
    def complete(self) -> bool:
        """Whether no document of the window is missing."""
        return self.missing == 0


async def verify(
    window: Window,
    *,
    source: driver.AnyCollection,
    target: driver.AnyDatabase,
    settings: Settings | None = None,
    limit: int = 20,
) -> Verification:
    """Finds the documents of a window that have neither an extraction nor an unresolved dead letter.

    An extraction counts as present whatever its extractor, version and text; to bring old ones up to date,
    run the window again. An open end of the window is fixed at the first or last document there is now, as in
    a plan, so documents inserted after a run's last one are missing too. Memory is bounded by one page.

    Args:
        source: Motor or PyMongo asynchronous collection.
        target: database with the results.
        limit: largest number of Keys in `first_missing`.

    Raises:
        ConfigError, PlanError, SourceError, WriteError: as in `plan_ranges`; or the target could not be
            read, or the source or a collection of results was dropped or renamed meanwhile.
    """
    settings = settings or Settings()
    places = target_of(target, source, settings)
    await privileges.check_source(source)
    await places.check_verification()
    plan = await make_plan(source, window, settings, "")
    verifier = Verifier(places, limit)
    if plan.ranges:
        order = settings.order_field, settings.filter, settings.tuning.max_tied_documents
        scan = await choose_scan(source, *order, plan.source_uuid)
        await verifier.look()
        async for _ in verifier.missing(window_keys(scan, plan, settings.tuning.page_documents)):
            pass
        await scan.refuse_replaced()
        await verifier.refuse_replaced()
    return replace(verifier.result(plan.outside), empty=plan.empty)


class Verifier:
    """Looks up pages of documents among the results, and counts the outcomes.

    `_id`s are compared as a unique index does: 1 and "1" are different documents, 1 and 1.0 are the same.
    """

    def __init__(self, target: Target, limit: int = 0) -> None:
        self._entities, self._dead_letters = driver.exact(target.entities), driver.exact(target.dead_letters)
        self._limit = limit
        self._first: list[Key] = []
        self._read = self._dead_lettered = self._missing = 0
        self._counts = Counts()
        self._seen: list[tuple[driver.Collection, str | None]] = []

    async def look(self) -> None:
        """Notes which collections of results there are, for `refuse_replaced`."""
        collections = (self._entities, self._dead_letters)
        self._seen = [(c, await target_identity(c)) for c in collections]

    async def refuse_replaced(self) -> None:
        """Refuses to call documents missing whose results may have been dropped while they were looked up.

        Raises:
            WriteError: a collection of results was dropped or renamed.
        """
        for collection, before in self._seen:
            await refuse_replaced_target(collection, before)

    async def missing(self, pages: AsyncIterable[list[Key]]) -> AsyncIterator[list[Key]]:
        """Yields the Keys whose documents are missing, page by page, in order; pages without any are skipped.

        Raises:
            WriteError: the target could not be read.
        """
        async for page in pages:
            keys = await self._missing_of(page)
            if keys:
                yield keys

    def result(self, outside: Mapping[str, int]) -> Verification:
        """Returns the counts so far."""
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
        without = await self._without_result(page, self._entities)
        unresolved = {"resolved_at": None}
        lost = await self._without_result(without, self._dead_letters, unresolved) if without else []
        self._dead_lettered += len(without) - len(lost)
        self._missing += len(lost)
        self._first += lost[: self._limit - len(self._first)]
        return lost

    async def _without_result(
        self, page: list[Key], results: driver.Collection, condition: Mapping[str, Any] | None = None
    ) -> list[Key]:
        """Returns the Keys of the page whose `_id` no result that fulfils the condition has."""
        query = {"_id": {"$in": [key.values[-1] for key in page]}, **(condition or {})}
        found = await calls.read_target(
            results, lambda: results.find(query, {"_id": 1}).batch_size(len(page)).to_list(length=None)
        )
        known = {lookup_key(result["_id"]) for result in found}
        return [key for key in page if lookup_key(key.values[-1]) not in known]


def window_keys(scan: Scan, plan: Plan, page_documents: int) -> AsyncIterator[list[Key]]:
    """Yields the Keys of the plan's window, whose ends are the outer ends of the plan's ranges."""
    return keys_of(scan, plan.ranges[0].start, plan.ranges[-1].stop, page_documents)


async def keys_of(scan: Scan, start: Key, stop: Key, page_documents: int) -> AsyncIterator[list[Key]]:
    """Yields the Keys of the documents in `[start, stop)`, in order, page by page, from the index alone.

    Raises:
        SourceError: the source could not be read. An error is never taken for the end of the range
            (trap 12, docs/traps.md).
    """
    after: Key | None = None
    while True:
        found, after = await scan.page(start, stop, after, limit=page_documents)
        if not found:
            return
        yield [Key(scan.order.values_of(document)) for document in found]
