"""After a run: which documents have no result, and running just those, or just the dead-lettered ones."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pymongo.errors import PyMongoError

from engine.errors import SourceError, WriteError
from engine.keys.bson_values import digests_of, identity
from engine.keys.key import Key
from engine.keys.window import Window
from engine.model import Counts
from engine.mongo import driver, privileges
from engine.planning.plan import Plan
from engine.planning.planner import make_plan
from engine.reading.index_choice import choose_scan
from engine.reading.scan import Scan
from engine.settings import Settings


async def verify(
    window: Window,
    *,
    source: driver.Collection,
    target: driver.Database,
    settings: Settings | None = None,
    limit: int = 20,
) -> Verification:
    """Finds the documents of a window that have neither an extraction nor an unresolved dead letter.

    An extraction by whatever extractor, version and text counts as present: a rerun, not a repair, brings
    those up to date. An open end of the window is pinned to what is there now, as a plan's is: documents that
    came after the run's last one are missing too. Memory is that of a page.

    Args:
        source: Motor or PyMongo asynchronous collection.
        target: database of the results.
        limit: most Keys of missing documents to keep in the result.

    Raises:
        ConfigError, PlanError, SourceError, WriteError: as in `plan_ranges`; or the target could not be read.
    """
    settings = settings or Settings()
    await privileges.check_source(source)
    await privileges.check_target(target, privileges.needs_of_verification(source.name, settings))
    plan = await make_plan(source, window, settings, "")
    verifier = Verifier(target, source.name, settings, limit)
    if plan.ranges:
        scan = await choose_scan(source, settings)
        async for _ in verifier.missing(window_keys(scan, plan, settings)):
            pass
    return verifier.result(plan.outside)


def window_keys(scan: Scan, plan: Plan, settings: Settings) -> AsyncIterator[list[Key]]:
    """Those of the whole window: its ranges tile it, so their outer ends are its ends."""
    return keys_of(scan, plan.ranges[0].start, plan.ranges[-1].stop, settings.page_documents)


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
