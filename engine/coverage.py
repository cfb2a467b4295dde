"""After a run: which documents have no result, and running just those, or just the dead-lettered ones."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from bson.max_key import MaxKey
from bson.min_key import MinKey

from engine.errors import ConfigError
from engine.extractors.extractor import ExtractFunction, Extractor, as_extractor, opened
from engine.keys.key import Key, KeyRange
from engine.keys.window import Window, window_bound
from engine.letters import DeadLetters, ReplayWriter
from engine.mongo import driver, privileges
from engine.planning.plan import Plan, parameters_of, run_id_of
from engine.planning.planner import make_plan
from engine.reading.documents_by_key import ChosenDocuments
from engine.reading.feed import Feed
from engine.reading.index_choice import open_scan
from engine.reading.scan import Scan
from engine.report import Report, merge
from engine.running.pipeline import RangeAttempt
from engine.running.progress_tracker import ProgressCallback, report_of
from engine.settings import Settings
from engine.storing.checkpoint import MemoryCheckpoints
from engine.storing.mongo_writer import MongoWriter
from engine.storing.writer import Writer
from engine.verifier import Verification, Verifier, keys_of

REPAIR = "repair"
REPLAY = "replay"
"""Range ids of a repair and of a replay; the ids of their runs tell them too."""


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
        scan = await open_scan(source, settings)
        async for _ in verifier.missing(_keys(scan, plan, settings)):
            pass
    return verifier.result(plan.outside)


async def repair(
    window: Window,
    *,
    source: driver.Collection,
    extractor: Extractor | ExtractFunction,
    target: driver.Database,
    settings: Settings | None = None,
    progress: ProgressCallback | None = None,
) -> Report:
    """Runs exactly the documents that `verify` finds missing, by the same pipeline as a run.

    It keeps no plan and no checkpoint: what an interrupted repair has done is not missing any more.

    Args and errors are those of `verify` and `run_range`.

    Returns:
        The report of a run of one range, `repair`; of none if the window is empty.
    """
    settings = settings or Settings()
    run_id = settings.run_id or run_id_of(parameters_of(driver.namespace(source), window, settings))
    await privileges.check_source(source)
    await privileges.check_target(target, privileges.needs_of_results(source.name, settings))
    plan = await make_plan(source, window, settings, f"{run_id}-{REPAIR}")
    reports = []
    if plan.ranges:
        scan = await open_scan(source, settings)
        missing = Verifier(target, source.name, settings).missing(_keys(scan, plan, settings))
        key_range = KeyRange(plan.ranges[0].start, plan.ranges[-1].stop, REPAIR, plan.run_id)
        writer = MongoWriter(target, source.name, settings, plan.run_id)
        feed = ChosenDocuments(missing, scan, settings)
        reports.append(await _run_feed(key_range, feed, writer, extractor, settings, progress))
    return _merged(plan.run_id, reports, settings, plan.outside)


async def replay(
    window: Window,
    *,
    source: driver.Collection,
    extractor: Extractor | ExtractFunction,
    target: driver.Database,
    settings: Settings | None = None,
    kinds: Collection[str] = (),
    limit: int | None = None,
    progress: ProgressCallback | None = None,
) -> Report:
    """Runs the documents that have an unresolved dead letter again, by the same pipeline as a run.

    A letter whose document succeeds is resolved (`resolved_at`, `resolved_by`), one that fails again says so;
    both keep `first_at`. A letter whose document was deleted is resolved too, with `resolution: "deleted"`:
    there is nothing left to lose. It keeps no plan and no checkpoint: what an interrupted replay has resolved
    is not chosen again.

    Args:
        window: of the documents; open at both ends, all of them. Others, and those that `settings.filter`
            leaves out, keep their letters.
        kinds: classes of letters (`permanent`, `transient`, `invalid_text`); empty for all.
        limit: most letters to look at, the first by `_id`; for a trial.

    Raises:
        ConfigError, PlanError, SourceError, WriteError: as in `run_range`; or the window is none.

    Returns:
        The report of a run of one range, `replay`; of none if no letter was chosen. Without window and filter
        it expects the letters chosen, and reads fewer where documents were deleted.
    """
    settings = settings or Settings()
    run_id = settings.run_id or f"{driver.namespace(source)}-{REPLAY}-{datetime.now(UTC):%Y%m%dT%H%M%S}"
    await privileges.check_source(source)
    await privileges.check_target(target, privileges.needs_of_replay(source.name, settings))
    letters = DeadLetters(target, source.name, settings, kinds)
    chosen = await letters.count(limit)
    reports = []
    if chosen:
        scan = await open_scan(source, settings)
        inside = scan.limited_to(await _between(scan, window, settings))
        absent = partial(letters.resolve_deleted, source=scan, run_id=run_id)
        feed = ChosenDocuments(letters.chosen(limit), inside, settings, absent)
        first, last = (Key((end,) * len(scan.order.fields)) for end in (MinKey(), MaxKey()))
        key_range = KeyRange(first, last, REPLAY, run_id, None if inside.filter else chosen)
        writer = ReplayWriter(target, source.name, settings, run_id)
        reports.append(await _run_feed(key_range, feed, writer, extractor, settings, progress))
    return _merged(run_id, reports, settings, {})


async def _between(scan: Scan, window: Window, settings: Settings) -> dict[str, Any]:
    """A filter of the window's documents.

    Raises:
        ConfigError: an end is of the wrong type, or the start is after the end.
    """
    name = scan.order.fields[0]
    kind = "objectId" if name == "_id" else settings.order_type
    ends = {"$gte": ("start", window.start), "$lt": ("end", window.end)}
    bounds = {
        operator: window_bound(value, kind, end)
        for operator, (end, value) in ends.items()
        if value is not None
    }
    if len(bounds) == len(ends) and await scan.compare(*bounds.values()) > 0:
        raise ConfigError(f"window start={window.start!r} is after end={window.end!r}")
    return {name: bounds} if bounds else {}


async def _run_feed(
    key_range: KeyRange,
    feed: Feed,
    writer: Writer,
    extractor: Extractor | ExtractFunction,
    settings: Settings,
    progress: ProgressCallback | None,
) -> Report:
    """One attempt at what the feed has, with nothing kept to resume from."""
    store = MemoryCheckpoints()
    checkpoint = await store.claim(key_range)
    async with opened(as_extractor(extractor)) as service:
        attempt = RangeAttempt(service, feed, writer, store, checkpoint, settings, progress=progress)
        await attempt.run()
    return report_of(attempt.checkpoint)


def _merged(run_id: str, reports: list[Report], settings: Settings, outside: Mapping[str, int]) -> Report:
    return merge(
        run_id,
        [str(report.range_id) for report in reports],
        reports,
        expected=reports[0].expected if reports else None,
        max_dead_letters=settings.max_dead_letters,
        outside=outside,
    )


def _keys(scan: Scan, plan: Plan, settings: Settings) -> AsyncIterator[list[Key]]:
    """Those of the whole window: its ranges tile it, so their outer ends are its ends."""
    return keys_of(scan, plan.ranges[0].start, plan.ranges[-1].stop, settings.page_documents)
