"""Runs a whole window in one process: plans it once, runs every range, and reconciles the counts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from pymongo.errors import PyMongoError

from engine.errors import EngineError, PlanError, WriteError
from engine.extractors.extractor import ExtractFunction, Extractor, as_extractor, opened
from engine.keys.key import KeyRange
from engine.keys.window import Window
from engine.model import Progress, Status
from engine.mongo import driver, privileges
from engine.observing.events import Events
from engine.planning.plan import Plan, check_parameters, parameters_of, run_id_of
from engine.planning.planner import make_plan
from engine.report import Report, merge
from engine.running.pipeline import run_range
from engine.running.progress_tracker import ProgressCallback, report_of
from engine.settings import Settings
from engine.storing.checkpoint import Checkpoint, CheckpointStore, MemoryCheckpoints
from engine.storing.mongo_checkpoints import MongoCheckpoints
from engine.storing.plan_store import PlanStore
from engine.storing.writer import Writer


async def plan_ranges(
    collection: driver.Collection,
    window: Window,
    settings: Settings | None = None,
    target: driver.Database | None = None,
) -> Plan:
    """Returns the plan of a run: makes it once and stores it in the target, where a restart finds it.

    A restart of an unfinished run keeps its ranges, whatever has happened to the collection since (trap 17,
    docs/traps.md). A run that was complete is planned again.

    Args:
        collection: the source, of Motor or of PyMongo's asynchronous API.
        target: the database that stores plans; without it the plan is not stored.

    Raises:
        ConfigError: a setting or an end of the window is wrong, the run was planned with other parameters, or
            a login lacks a privilege that the run needs.
        PlanError: the window cannot be planned safely.
    """
    settings = settings or Settings()
    parameters = parameters_of(driver.namespace(collection), window, settings)
    run_id = settings.run_id or run_id_of(parameters)
    await privileges.check_source(collection)
    if target is None:
        plan = await make_plan(collection, window, settings, run_id)
        _log_plan("planned", plan)
        return plan
    await privileges.check_target(target, privileges.needs_of_plan(settings))
    store = PlanStore(target, settings)
    stored = await _on_target(store.load(run_id))
    if stored is not None and not stored.get("complete"):
        plan = Plan.from_document(stored)
        check_parameters(plan, parameters)
        _log_plan("plan_found", plan)
        return plan
    plan = await make_plan(collection, window, settings, run_id)
    first = await _on_target(target[settings.entities_of(collection.name)].find_one({}, {"_id": 1}))
    if first is None:
        plan = replace(plan, ranges=tuple(replace(r, fresh=True) for r in plan.ranges))
    if stored is not None:
        await _on_target(MongoCheckpoints(target, settings).forget(run_id))
        await _on_target(store.remove(run_id))
    plan = Plan.from_document(await _on_target(store.insert(plan.to_document())))
    _log_plan("planned", plan)
    return plan


def _log_plan(name: str, plan: Plan) -> None:
    Events(run=plan.run_id).info(name, ranges=len(plan.ranges), documents=plan.documents, form=plan.form)


async def run(
    window: Window,
    *,
    source: driver.Collection,
    extractor: Extractor | ExtractFunction,
    target: driver.Database | None = None,
    settings: Settings | None = None,
    writer: Writer | None = None,
    progress: ProgressCallback | None = None,
) -> Report:
    """Plans the window and runs its ranges in this process, `range_concurrency` at a time.

    A range that fails does not stop the others. A second call with the same parameters resumes the run:
    finished ranges are not run again, and the others resume from their checkpoints.

    Arguments and errors are those of `plan_ranges` and `run_range`; a range's error goes into the report.

    Returns:
        The report of the run: `status` tells whether it succeeded, and `problems` why not.
    """
    settings = settings or Settings()
    plan = await _planned(source, window, settings, target, writer)
    store: CheckpointStore = MongoCheckpoints(target, settings) if target is not None else MemoryCheckpoints()
    kept = [] if target is None else await range_reports(plan, target, settings)
    done = {str(r.range_id): r for r in kept if r.status is Status.SUCCEEDED}
    progress_of_run = _RunProgress(plan, done, progress)
    running = asyncio.Semaphore(settings.range_concurrency)
    turn = asyncio.Lock()

    async def one(key_range: KeyRange, service: Extractor) -> Report:
        async with running:
            try:
                return await run_range(
                    key_range,
                    source=source,
                    extractor=service,
                    target=target,
                    settings=settings,
                    writer=writer,
                    checkpoints=store,
                    progress=progress_of_run.update,
                    turn=turn,
                )
            except EngineError as error:
                return _failed(key_range, error)

    async with opened(as_extractor(extractor)) as service, asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(r, service)) for r in plan.ranges if r.range_id not in done]
    reports = [*done.values(), *(task.result() for task in tasks)]
    return await conclude(plan, reports, target, settings)


async def _planned(
    source: driver.Collection,
    window: Window,
    settings: Settings,
    target: driver.Database | None,
    writer: Writer | None,
) -> Plan:
    """Checks the privileges to write results, unless a writer takes them, and returns the plan."""
    if target is not None and writer is None:
        await privileges.check_target(target, privileges.needs_of_results(source.name, settings))
    return await plan_ranges(source, window, settings, target)


async def range_reports(plan: Plan, target: driver.Database, settings: Settings) -> list[Report]:
    """Returns the reports of the ranges that have a checkpoint; ranges that never began have none."""
    kept: list[Checkpoint] = await _on_target(MongoCheckpoints(target, settings).of_run(plan.run_id))
    planned = {r.range_id: r for r in plan.ranges}
    return [
        report_of(c)
        for c in kept
        if c.key_range.range_id in planned and c.key_range.covers_same(planned[c.key_range.range_id])
    ]


def as_of_now(plan: Plan, reports: Iterable[Report], settings: Settings) -> Report:
    """Returns the report of the run so far; ranges that never began are `pending`."""
    reports = list(reports)
    begun = {r.range_id for r in reports}
    pending = [
        Report(plan.run_id, Status.PENDING, r.range_id, r.expected)
        for r in plan.ranges
        if r.range_id not in begun
    ]
    return merge(
        plan.run_id,
        [r.range_id for r in plan.ranges],
        [*reports, *pending],
        expected=plan.documents if plan.exact else None,
        max_dead_letters=settings.max_dead_letters,
        outside=plan.outside,
    )


async def conclude(
    plan: Plan, reports: Iterable[Report], target: driver.Database | None, settings: Settings
) -> Report:
    """Merges and reconciles the reports of a run's ranges, and stores the result with the plan."""
    report = merge(
        plan.run_id,
        [r.range_id for r in plan.ranges],
        reports,
        expected=plan.documents if plan.exact else None,
        max_dead_letters=settings.max_dead_letters,
        outside=plan.outside,
    )
    if target is not None:
        complete = report.reconciled
        await _on_target(PlanStore(target, settings).finish(plan.run_id, report.to_json(), complete=complete))
    events = Events(run=plan.run_id)
    tell = events.info if report.reconciled else events.warning
    tell("run_concluded", status=report.status, reconciled=report.reconciled, read=report.read)
    return report


async def load_plan(run_id: str, target: driver.Database, settings: Settings) -> Plan:
    """Returns the stored plan of a run.

    Raises:
        PlanError: no plan is stored for this run.
    """
    stored: Mapping[str, Any] | None = await _on_target(PlanStore(target, settings).load(run_id))
    if stored is None:
        raise PlanError(
            f"no plan is kept for run {run_id!r} in {settings.plans_collection}; plan the run first"
        )
    return Plan.from_document(stored)


async def _on_target(operation: Any) -> Any:
    """Awaits an operation on the target database; raises MongoDB's errors as WriteError."""
    try:
        return await operation
    except PyMongoError as error:
        raise WriteError(f"the target database cannot be used: {error}") from error


def _failed(key_range: KeyRange, error: EngineError) -> Report:
    return Report(
        key_range.run_id,
        Status.FAILED,
        range_id=key_range.range_id,
        expected=key_range.expected,
        problems=(str(error),),
        reason=type(error).__name__,
    )


class _RunProgress:
    """Sums the progress of a run's ranges for its callback."""

    def __init__(
        self, plan: Plan, done: Mapping[str, Report], callback: Callable[[Progress], None] | None
    ) -> None:
        self._callback = callback
        self._expected = plan.documents
        self._ranges = {
            range_id: Progress(range_id, r.read, r.expected, 0, r.retries, r.dead_lettered)
            for range_id, r in done.items()
        }

    def update(self, progress: Progress) -> None:
        """Takes the progress of one range; calls the callback with the sums over all ranges."""
        if self._callback is None or progress.range_id is None:
            return
        self._ranges[progress.range_id] = progress
        seen = self._ranges.values()
        self._callback(
            Progress(
                None,
                sum(p.documents for p in seen),
                self._expected,
                progress.in_flight,
                sum(p.retries for p in seen),
                sum(p.dead_lettered for p in seen),
            )
        )
