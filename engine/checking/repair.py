"""Repair: runs exactly the documents that `verify` finds missing."""

from __future__ import annotations

from engine.checking.rerun import merged_report, run_documents
from engine.checking.verify import Verifier, window_keys
from engine.extractors.extractor import ExtractFunction, Extractor, as_extractor
from engine.keys.key import KeyRange
from engine.keys.window import Window
from engine.mongo import driver, privileges
from engine.planning.plan import parameters_of, run_id_of
from engine.planning.planner import make_plan
from engine.reading.documents_by_key import DocumentsByKey
from engine.reading.index_choice import choose_scan
from engine.report import RunReport
from engine.running.progress_tracker import ProgressCallback
from engine.settings import Settings
from engine.storing.mongo_writer import MongoWriter
from engine.storing.target import target_of
from engine.storing.target_options import RESULTS, check_options

REPAIR = "repair"
"""The range id of a repair, which has one range; the id of its run ends with the same word."""


async def repair(
    window: Window,
    *,
    source: driver.AnyCollection,
    extractor: Extractor | ExtractFunction,
    target: driver.AnyDatabase,
    settings: Settings | None = None,
    progress: ProgressCallback | None = None,
) -> RunReport:
    """Runs exactly the documents that `verify` finds missing, through the same pipeline as a run.

    It stores no plan and no checkpoint: after an interrupted repair, the documents already done are no
    longer missing, and the next repair leaves them out. For arguments and errors see `verify`, `run_range`.

    Returns:
        The report of a run with one range, `repair`, or with no range if the window is empty.
    """
    settings, extractor = settings or Settings(), as_extractor(extractor)
    run_id = settings.run_id or run_id_of(parameters_of(driver.namespace(source), window, settings))
    places = target_of(target, source, settings)
    notes = await check_options(places, source, RESULTS)
    await privileges.check_source(source)
    await places.check_results()
    plan = await make_plan(source, window, settings, f"{run_id}-{REPAIR}")
    reports = []
    if plan.ranges:
        order = settings.order_field, settings.filter, settings.tuning.max_tied_documents
        scan = await choose_scan(source, *order, plan.source_uuid)
        keys = window_keys(scan, plan, settings.tuning.page_documents)
        key_range = KeyRange(plan.ranges[0].start, plan.ranges[-1].stop, REPAIR, plan.run_id)
        writer = MongoWriter(places, plan.run_id, extractor=settings.extractor_label, force=settings.force)
        documents = DocumentsByKey(Verifier(places).missing(keys), scan, settings.text_field)
        parts = documents, writer, extractor, settings, progress, notes
        reports.append(await run_documents(key_range, *parts))
    return merged_report(plan.run_id, reports, settings.max_dead_letters, plan.outside)
