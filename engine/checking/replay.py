"""Runs the documents of unresolved dead letters again."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from bson.max_key import MaxKey
from bson.min_key import MinKey

from engine.checking.rerun import merged_report, run_documents
from engine.checking.unresolved_letters import DeadLetters
from engine.errors import ConfigError
from engine.extractors.extractor import ExtractFunction, Extractor
from engine.keys.key import Key, KeyRange
from engine.keys.window import Window, window_bound
from engine.mongo import driver, privileges
from engine.reading.documents_by_key import DocumentsByKey
from engine.reading.index_choice import choose_scan
from engine.reading.scan import Scan
from engine.report import Report
from engine.running.progress_tracker import ProgressCallback
from engine.settings import Settings
from engine.storing.mongo_writer import MongoWriter

REPLAY = "replay"
"""The id of the one range of a replay; the id of its run holds it too."""


class ReplayWriter(MongoWriter):
    """Takes no extraction for known, so that each document is sent and its letter resolved.

    A text may have been extracted, changed into one that failed, and changed back: then its extraction is
    valid, and its letter must go.
    """

    async def known(self, ids: Sequence[Any]) -> Mapping[Any, str]:  # noqa: ARG002
        """None of them."""
        return {}


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
        scan = await choose_scan(source, settings)
        inside = scan.limited_to(await _between(scan, window, settings))
        absent = partial(letters.resolve_deleted, source=scan, run_id=run_id)
        documents = DocumentsByKey(letters.chosen(limit), inside, settings, absent)
        first, last = (Key((end,) * len(scan.order.fields)) for end in (MinKey(), MaxKey()))
        key_range = KeyRange(first, last, REPLAY, run_id, None if inside.filter else chosen)
        writer = ReplayWriter(target, source.name, settings, run_id)
        reports.append(await run_documents(key_range, documents, writer, extractor, settings, progress))
    return merged_report(run_id, reports, settings, {})


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
