"""Builds the parts of one attempt at a range: its service, batches, progress and pipeline."""

from __future__ import annotations

import asyncio

from engine.calling.caller import Caller
from engine.calling.endpoint import endpoint_of
from engine.calling.request_size import RequestSize
from engine.extractors.extractor import ExtractFunction, Extractor, as_extractor, opened
from engine.observing.run_watch import RunWatch
from engine.reading.reader import DocumentSource
from engine.report import RangeReport
from engine.running.batches import Batcher
from engine.running.deduplication import SentTexts
from engine.running.pipeline import RangeAttempt
from engine.running.progress_tracker import (
    ProgressCallback,
    ProgressTracker,
    report_of,
)
from engine.settings import Settings
from engine.storing.checkpoint import Checkpoint, CheckpointStore
from engine.storing.mongo_writer import MongoWriter
from engine.storing.writer import Writer


async def run_attempt(
    source: DocumentSource,
    extractor: Extractor | ExtractFunction,
    writer: Writer,
    checkpoints: CheckpointStore,
    checkpoint: Checkpoint,
    settings: Settings,
    *,
    progress: ProgressCallback | None = None,
    watch: RunWatch | None = None,
) -> RangeReport:
    """Builds the parts of one attempt at a range, and runs it. Arguments are those of `run_range`.

    Args:
        source: yields the documents.
        checkpoint: claimed by this attempt.
        watch: shared by the ranges of a run in this process.
    """
    key_range = checkpoint.key_range
    async with opened(as_extractor(extractor)) as service:
        endpoint = endpoint_of(service, settings)
        caller = Caller(service, endpoint, settings)
        target = writer if isinstance(writer, MongoWriter) else None
        batcher = _batcher(key_range.range_id, source, service, endpoint.size, settings)
        tracker = ProgressTracker(
            checkpoints,
            checkpoint,
            checkpoint_s=settings.checkpoint_s,
            counter=caller.counter,
            slots=endpoint.slots,
            progress=progress,
            notes=lambda: (*endpoint.size.notes.values(), *batcher.notes),
            collections=target.collections if target else {},
        )
        attempt = RangeAttempt(
            source=source,
            batcher=batcher,
            caller=caller,
            endpoint=endpoint,
            writer=writer,
            tracker=tracker,
            settings=settings,
            watch=watch or watch_of(settings),
            skip_known=not (settings.force or key_range.fresh),
            confirm=target.refuse_replaced if target else None,
        )
        await attempt.run()
    return report_of(tracker.checkpoint)


def watch_of(settings: Settings, turn: asyncio.Lock | None = None) -> RunWatch:
    """Makes what the ranges of a run in this process share."""
    return RunWatch(settings.max_dead_letter_share, settings.tuning.dead_letter_share_documents, turn)


def _batcher(
    range_id: str, source: DocumentSource, service: Extractor, size: RequestSize, settings: Settings
) -> Batcher:
    return Batcher(
        range_id,
        size,
        SentTexts(settings.tuning.repeat_cache_texts),
        text_field=settings.text_field,
        empty_if_missing=settings.missing_text == "empty",
        spanning=source.resumes_anywhere,
        max_text_chars=settings.max_text_chars or getattr(service, "max_text_chars", None),
    )
