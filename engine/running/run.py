"""Runs a range, or a whole window in one process: plans it once, runs every range, reconciles the counts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

from engine.errors import ConfigError, EngineError
from engine.extractors.extractor import ExtractFunction, Extractor, as_extractor, opened
from engine.keys.key import KeyRange
from engine.keys.window import Window
from engine.model import Status
from engine.mongo import driver
from engine.mongo.collection_info import current_identity, is_replaced, source_replaced
from engine.observing.events import Events
from engine.observing.run_watch import RunWatch
from engine.planning.plan import Plan
from engine.planning.planner import plan_into
from engine.reading.index_choice import choose_scan
from engine.reading.reader import Reader
from engine.report import RangeReport, RunReport, merge
from engine.running.attempt import run_attempt, watch_of
from engine.running.progress_tracker import (
    ProgressCallback,
    RunProgress,
    failed_report,
    report_on,
)
from engine.settings import Settings
from engine.storing.checkpoint import CheckpointStore, MemoryCheckpoints, on_collections
from engine.storing.mongo_checkpoints import MongoCheckpoints
from engine.storing.mongo_writer import MongoWriter
from engine.storing.plan_store import PlanStore
from engine.storing.target import Target, target_of
from engine.storing.target_options import ALL, STATE, check_options
from engine.storing.writer import Writer
from engine.verdict import verdict_of
from engine.wording import plural, reasons_of


async def run(
    window: Window,
    *,
    source: driver.AnyCollection,
    extractor: Extractor | ExtractFunction,
    target: driver.AnyDatabase | None = None,
    settings: Settings | None = None,
    writer: Writer | None = None,
    progress: ProgressCallback | None = None,
) -> RunReport:
    """Plans the window and runs its ranges in this process, `range_concurrency` at a time.

    A range that fails does not stop the others, unless all of them would fail for the same reason (`ends_run`
    of `EngineError`). A second call with the same parameters resumes the run: finished ranges are not run
    again, and the others resume from their checkpoints.

    Arguments and errors are those of `plan_ranges` and `run_range`; a range's error goes into the report.

    Returns:
        The report of the run: `status` tells whether it succeeded, and `problems` why not.
    """
    settings, extractor = settings or Settings(), as_extractor(extractor)
    places = None if target is None else target_of(target, source, settings)
    writer_of = _writers(writer, places, settings)
    notes = await _notes(places, source, writer)
    if places is not None and writer is None:
        await places.check_results()
    plan = await plan_into(places, source, window, settings)
    kept = [] if places is None else await _range_reports(plan, places)
    done = {r.range_id: r for r in kept if r.status is Status.SUCCEEDED}
    checkpoints = _checkpoints(places)
    update = RunProgress(plan.documents, done, progress).update
    running = asyncio.Semaphore(settings.range_concurrency)
    watch = watch_of(settings)

    async def one(key_range: KeyRange, service: Extractor) -> RangeReport | None:
        async with running:
            if watch.stopped.done():
                return None
            try:
                parts = source, service, writer_of(plan.run_id), checkpoints, settings, notes
                return await _run_range(key_range, *parts, progress=update, watch=watch)
            except EngineError as error:
                return failed_report(key_range, error)

    async with opened(extractor) as service, asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(r, service)) for r in plan.ranges if r.range_id not in done]
    begun = [report for task in tasks if (report := task.result()) is not None]
    reports = await _as_stored([*done.values(), *begun], plan, places)
    return await _conclude(plan, reports, places, settings, source, _stop_of(watch, len(tasks) - len(begun)))


def _stop_of(watch: RunWatch, not_begun: int) -> str | None:
    if not watch.stopped.done() or not not_begun:
        return None
    return f"the run was stopped early: {plural(not_begun, 'range')} had not begun"


async def _as_stored(reports: list[RangeReport], plan: Plan, target: Target | None) -> list[RangeReport]:
    """The reports as the checkpoints have them now.

    A range that succeeded may have failed since: its results were dropped. The report of a failed one has its
    error, and only the checkpoint its counts.
    """
    stored = {} if target is None else {r.range_id: r for r in await _range_reports(plan, target)}
    return [_now(report, stored.get(report.range_id, report)) for report in reports]


def _now(report: RangeReport, stored: RangeReport) -> RangeReport:
    if report.status is Status.FAILED is stored.status:
        return replace(stored, problems=report.problems, reason=report.reason)
    return stored if report.status is Status.SUCCEEDED else report


async def range_reports(plan: Plan, target: driver.AnyDatabase, settings: Settings) -> list[RangeReport]:
    """Returns the reports of the ranges that have a checkpoint; ranges that never began have none.

    A range has failed if it wrote into a collection that was dropped or renamed since. A checkpoint of
    another source does not count.
    """
    return await _range_reports(plan, Target.of(target, plan.namespace, settings))


async def _range_reports(plan: Plan, target: Target) -> list[RangeReport]:
    kept = await MongoCheckpoints(target.checkpoints).of_run(plan.run_id)
    planned = {r.range_id: r for r in plan.ranges}
    now = await MongoWriter(target, plan.run_id, extractor="").look() if kept else {}
    return [
        report_on(c, now)
        for c in kept
        if c.key_range.range_id in planned
        and c.key_range.covers_same(planned[c.key_range.range_id])
        and c.collections.get("source", plan.source_uuid) in (plan.source_uuid, None, "")
    ]


def as_of_now(plan: Plan, reports: Iterable[RangeReport], settings: Settings) -> RunReport:
    """Returns the report of the run so far; ranges that never began are `pending`."""
    reports = list(reports)
    begun = {r.range_id for r in reports}
    pending = [
        RangeReport(run_id=plan.run_id, status=Status.PENDING, range_id=r.range_id, expected=r.expected)
        for r in plan.ranges
        if r.range_id not in begun
    ]
    return _merged(plan, [*reports, *pending], settings, plan.problem)


async def conclude(
    plan: Plan,
    reports: Iterable[RangeReport],
    target: driver.AnyDatabase | None,
    settings: Settings,
    source: driver.AnyCollection | None = None,
) -> RunReport:
    """Merges and reconciles the reports of a run's ranges, and stores the result with the plan.

    Args:
        source: the collection that was read. If it is not the planned one any more, the run has failed.
    """
    places = None if target is None else Target.of(target, plan.namespace, settings)
    return await _conclude(plan, reports, places, settings, source)


async def _conclude(
    plan: Plan,
    reports: Iterable[RangeReport],
    target: Target | None,
    settings: Settings,
    source: driver.AnyCollection | None,
    problem: str | None = None,
) -> RunReport:
    if source is not None and is_replaced(plan.source_uuid, await current_identity(source)):
        problem = str(source_replaced(source))
    report = _merged(plan, reports, settings, problem)
    if target is not None:
        store, done = PlanStore(target.plans), report.reconciled
        await store.finish(plan.run_id, report.to_json(), complete=done, problem=problem)
    events = Events(run=plan.run_id)
    verdict = verdict_of(report)
    tell = events.info if verdict.succeeded else events.warning
    told: dict[str, Any] = {"status": report.status, "reconciled": report.reconciled, "read": report.read}
    if reasons := reasons_of(report.dead_letter_reasons):
        told["dead_letter_reasons"] = "; ".join(reasons)
    tell("run_concluded", verdict=verdict.title, **told)
    return report


def _merged(plan: Plan, reports: Iterable[RangeReport], settings: Settings, problem: str | None) -> RunReport:
    report = merge(
        plan.run_id,
        [r.range_id for r in plan.ranges],
        reports,
        expected=plan.documents if plan.exact else None,
        max_dead_letters=settings.max_dead_letters,
        outside=plan.outside,
        problem=problem,
    )
    return replace(report, notes=(*report.notes, plan.empty)) if plan.empty else report


async def run_range(
    key_range: KeyRange,
    *,
    source: driver.AnyCollection,
    extractor: Extractor | ExtractFunction,
    target: driver.AnyDatabase | None = None,
    settings: Settings | None = None,
    writer: Writer | None = None,
    checkpoints: CheckpointStore | None = None,
    progress: ProgressCallback | None = None,
    turn: asyncio.Lock | None = None,
) -> RangeReport:
    """Runs one range from its checkpoint to its end.

    Args:
        key_range: a range of a Plan; it may have been through `to_json` and `from_json`.
        source: the collection to read, of Motor or of PyMongo's asynchronous API.
        extractor: an Extractor, or a function that takes a list of texts.
        target: the database for results, checkpoints and dead letters. Without it, pass a writer, and
            `checkpoints` too if the range is to resume after a stop.
        settings: by default all have their defaults; the environment is not read.
        writer: takes the results instead of the target's collections.
        checkpoints: keeps the checkpoint instead of the target.
        progress: called after every write.
        turn: held while the range is read. Ranges that share it read one after another, so that no more
            documents are in memory than one range needs.

    Returns:
        The report of the range over all its attempts. Its status is `interrupted` if `deadline_s` passed or
        the service was down for longer than `max_outage_s`.

    Raises:
        EngineError: the range failed; its checkpoint is saved, and the next call resumes there.
        asyncio.CancelledError: the range was cancelled; its checkpoint is saved as well.
    """
    settings = settings or Settings()
    extractor = as_extractor(extractor)
    places = None if target is None else target_of(target, source, settings)
    notes = await _notes(places, source, writer)
    writer = _writers(writer, places, settings)(key_range.run_id)
    parts = source, extractor, writer, checkpoints or _checkpoints(places), settings, notes
    return await _run_range(key_range, *parts, progress=progress, watch=watch_of(settings, turn))


async def _run_range(
    key_range: KeyRange,
    source: driver.AnyCollection,
    extractor: Extractor | ExtractFunction,
    writer: Writer,
    checkpoints: CheckpointStore,
    settings: Settings,
    notes: list[str],
    *,
    progress: ProgressCallback | None,
    watch: RunWatch,
) -> RangeReport:
    order = settings.order_field, settings.filter, settings.tuning.max_tied_documents
    scan = await choose_scan(source, *order, key_range.source_uuid)
    results = await writer.look() if isinstance(writer, MongoWriter) else {}
    checkpoint = await checkpoints.claim(key_range, scan.fingerprint)
    checkpoint = on_collections(checkpoint, {"source": scan.source_uuid or "", **results})
    reader = Reader(scan, key_range, settings)
    store = checkpoints, replace(checkpoint, notes=(*checkpoint.notes, *notes))
    return await run_attempt(reader, extractor, writer, *store, settings, progress=progress, watch=watch)


async def _notes(target: Target | None, source: driver.AnyCollection, writer: Writer | None) -> list[str]:
    """Looks at the options of the collections that are written (`check_options`)."""
    return [] if target is None else await check_options(target, source, STATE if writer else ALL)


def _checkpoints(target: Target | None) -> CheckpointStore:
    return MemoryCheckpoints() if target is None else MongoCheckpoints(target.checkpoints)


def _writers(writer: Writer | None, target: Target | None, settings: Settings) -> Callable[[str], Writer]:
    """Returns a function that makes the writer of a run: the given one, or one into the target.

    Raises:
        ConfigError: there is neither.
    """
    if writer is not None:
        return lambda _run_id: writer
    if target is None:
        raise ConfigError("neither a target database nor a writer was given: pass one of them")
    return partial(MongoWriter, target, extractor=settings.extractor_label, force=settings.force)
