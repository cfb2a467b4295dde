"""Replay: runs the documents of unresolved dead letters again."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from bson.max_key import MaxKey
from bson.min_key import MinKey

from engine.checking.rerun import merged_report, run_documents
from engine.checking.unresolved_letters import UnresolvedLetters
from engine.extractors.extractor import ExtractFunction, Extractor, as_extractor
from engine.keys.key import Key, KeyRange
from engine.keys.window import Window
from engine.mongo import driver, privileges
from engine.planning.type_counts import window_ends
from engine.reading.documents_by_key import DocumentsByKey
from engine.reading.index_choice import choose_scan
from engine.reading.scan import Scan
from engine.report import RunReport
from engine.running.progress_tracker import ProgressCallback
from engine.settings import Settings
from engine.storing.mongo_writer import MongoWriter
from engine.storing.target import target_of
from engine.storing.target_options import RESULTS, check_options

REPLAY = "replay"
"""The range id of a replay, which has one range; the id of its run contains the same word."""


class ReplayWriter(MongoWriter):
    """A MongoWriter that reports no extraction as known, so that every document is sent.

    A text may have been extracted, changed into one that failed, and changed back. Then its extraction is
    still valid, but its dead letter must be resolved, which only a new answer does.
    """

    async def known(self, ids: Sequence[Any]) -> Mapping[Any, str]:  # noqa: ARG002
        """Returns an empty mapping."""
        return {}


async def replay(
    window: Window,
    *,
    source: driver.AnyCollection,
    extractor: Extractor | ExtractFunction,
    target: driver.AnyDatabase,
    settings: Settings | None = None,
    kinds: Collection[str] = (),
    limit: int | None = None,
    progress: ProgressCallback | None = None,
) -> RunReport:
    """Runs the documents that have an unresolved dead letter again, through the same pipeline as a run.

    If a document succeeds, its dead letter is resolved (`resolved_at`, `resolved_by`). If it fails again, its
    dead letter is updated. Both keep `first_at`. The dead letter of a deleted document is resolved with
    `resolution: "deleted"`, because nothing is left to extract. A replay stores no plan and no checkpoint:
    after an interruption, the next replay leaves out the dead letters that are resolved.

    Args:
        window: the documents to replay; a window open at both ends means all. Documents outside it, and those
            that `settings.filter` leaves out, keep their dead letters.
        kinds: classes of dead letters, as of `DeadLetter.kind`; empty means all.
        limit: largest number of dead letters to try, in the order of their `_id`s; for a trial.

    Raises:
        ConfigError, PlanError, SourceError, WriteError: as in `run_range`; also if the window is invalid.

    Returns:
        The report of a run with one range, `replay`, or with no range if there was no dead letter. Without
        window and filter it expects as many documents as dead letters; it reads fewer if some were deleted.
    """
    settings, extractor = settings or Settings(), as_extractor(extractor)
    run_id = settings.run_id or f"{driver.namespace(source)}-{REPLAY}-{datetime.now(UTC):%Y%m%dT%H%M%S}"
    places = target_of(target, source, settings)
    notes = await check_options(places, source, RESULTS)
    await privileges.check_source(source)
    await places.check_replay()
    scan = await _scan(source, settings)
    inside = scan.limited_to(await _window_filter(scan, window, settings))
    letters = UnresolvedLetters(places.dead_letters, settings.tuning.page_documents, kinds)
    count = await letters.count(limit)
    reports = []
    if count:
        absent = partial(letters.resolve_deleted, source=scan, run_id=run_id)
        documents = DocumentsByKey(letters.pages(limit), inside, settings.text_field, absent)
        key_range = _everything(scan, run_id, None if inside.filter else count)
        writer = ReplayWriter(places, run_id, extractor=settings.extractor_label, force=settings.force)
        parts = documents, writer, extractor, settings, progress, notes
        reports.append(await run_documents(key_range, *parts))
    return merged_report(run_id, reports, settings.max_dead_letters, {})


async def _scan(source: driver.AnyCollection, settings: Settings) -> Scan:
    order = settings.order_field, settings.filter, settings.tuning.max_tied_documents
    return await choose_scan(source, *order)


def _everything(scan: Scan, run_id: str, expected: int | None) -> KeyRange:
    first, last = (Key((end,) * len(scan.order.fields)) for end in (MinKey(), MaxKey()))
    return KeyRange(first, last, REPLAY, run_id, expected)


async def _window_filter(scan: Scan, window: Window, settings: Settings) -> dict[str, Any]:
    """Returns a filter for the documents in the window.

    Raises:
        ConfigError: an end has the wrong type, or the start is after the end.
    """
    ends = await window_ends(scan, window, settings.order_type, settings.order_unit)
    bounds = {"$gte": ends.start, "$lt": ends.end}
    bounds = {operator: end for operator, end in bounds.items() if end is not None}
    return {scan.order.fields[0]: bounds} if bounds else {}
