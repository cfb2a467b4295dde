"""The proof of coverage: which documents of a window have no result after a run, and running just those."""

from __future__ import annotations

from collections.abc import AsyncIterator

from engine import driver
from engine.access import open_scan
from engine.accounts import ProgressCallback, report_of
from engine.checkpoints import MemoryCheckpoints
from engine.config import Settings
from engine.extractor import ExtractFunction, Extractor, as_extractor, opened
from engine.keyset import Key, KeyRange
from engine.model import Window
from engine.pipeline import RangeAttempt
from engine.plan import Plan, parameters_of, run_id_of
from engine.planner import make_plan
from engine.report import Report, merge
from engine.scan import Scan
from engine.verifier import MissingDocuments, Verification, Verifier, keys_of
from engine.writer import MongoWriter

REPAIR = "repair"
"""Range id of a repair, and what its run's id ends with."""


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
    plan = await make_plan(source, window, settings, f"{run_id}-{REPAIR}")
    reports = []
    if plan.ranges:
        async with opened(as_extractor(extractor)) as service:
            reports.append(await _repaired(plan, source, service, target, settings, progress))
    return merge(
        plan.run_id,
        [REPAIR] * len(reports),
        reports,
        expected=None,
        max_dead_letters=settings.max_dead_letters,
        outside=plan.outside,
    )


async def _repaired(
    plan: Plan,
    source: driver.Collection,
    service: Extractor,
    target: driver.Database,
    settings: Settings,
    progress: ProgressCallback | None,
) -> Report:
    scan = await open_scan(source, settings)
    missing = Verifier(target, source.name, settings).missing(_keys(scan, plan, settings))
    reader = MissingDocuments(missing, scan, settings)
    writer = MongoWriter(target, source.name, settings, plan.run_id)
    store = MemoryCheckpoints()
    checkpoint = await store.claim(KeyRange(plan.ranges[0].start, plan.ranges[-1].stop, REPAIR, plan.run_id))
    attempt = RangeAttempt(service, reader, writer, store, checkpoint, settings, progress=progress)
    await attempt.run()
    return report_of(attempt.checkpoint)


def _keys(scan: Scan, plan: Plan, settings: Settings) -> AsyncIterator[list[Key]]:
    """Those of the whole window: its ranges tile it, so their outer ends are its ends."""
    return keys_of(scan, plan.ranges[0].start, plan.ranges[-1].stop, settings.page_documents)
