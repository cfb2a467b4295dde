"""Runs given documents through the pipeline as one range, for `repair` and `replay`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from engine.extractors.extractor import ExtractFunction, Extractor
from engine.keys.key import KeyRange
from engine.reading.reader import DocumentSource
from engine.report import RangeReport, RunReport, merge
from engine.running.attempt import run_attempt
from engine.running.progress_tracker import ProgressCallback
from engine.settings import Settings
from engine.storing.checkpoint import MemoryCheckpoints
from engine.storing.mongo_writer import MongoWriter


async def run_documents(
    key_range: KeyRange,
    documents: DocumentSource,
    writer: MongoWriter,
    extractor: Extractor | ExtractFunction,
    settings: Settings,
    progress: ProgressCallback | None,
    notes: Iterable[str],
) -> RangeReport:
    """Makes one attempt at these documents as one range; nothing is kept to resume from."""
    store = MemoryCheckpoints()
    checkpoint = replace(await store.claim(key_range), notes=tuple(notes))
    await writer.look()
    return await run_attempt(documents, extractor, writer, store, checkpoint, settings, progress=progress)


def merged_report(
    run_id: str, reports: list[RangeReport], max_dead_letters: int, outside: Mapping[str, int]
) -> RunReport:
    """Returns the report of a run with the given range reports: one, or none."""
    return merge(
        run_id,
        [report.range_id for report in reports],
        reports,
        expected=reports[0].expected if reports else None,
        max_dead_letters=max_dead_letters,
        outside=outside,
    )
