"""Runs one range from its checkpoint to its end: read -> extract -> write -> move the checkpoint.

    _read --batches--> queue --> _extract --outcomes--> buffer --> _write --> low-water mark --> checkpoint
    (1 task)                     (max_concurrency tasks)           (write_concurrency tasks)

- Queue and buffer are bounded, so a fast stage waits for the slower one after it.
- Requests end in any order. The checkpoint moves only over batches whose results are durable together with
  those of every batch before them (trap 29, docs/traps.md).
- An error in one stage cancels the others and is raised (trap 32).
- A cancellation, the deadline or an outage of the service stops the reading; requests in flight may end.
- However the attempt ends, its checkpoint is saved, and the next attempt resumes there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing
from functools import partial
from typing import Any

from engine.calling.caller import Caller, effort_of
from engine.calling.concurrency import Slots, slots_of
from engine.calling.retry import RetryPolicy
from engine.errors import ConfigError, EngineError, Failure, Interrupted, ServiceDown, SourceError, root_error
from engine.extractors.extractor import ExtractFunction, Extractor, as_extractor, opened, within_limits
from engine.keys.key import KeyRange
from engine.model import Status
from engine.mongo import driver
from engine.observing import metrics
from engine.observing.events import Events
from engine.reading.document_source import DocumentSource
from engine.reading.index_choice import choose_scan
from engine.reading.reader import Reader
from engine.report import Report
from engine.running.batches import Batch, Batcher
from engine.running.deduplication import SentTexts, outcomes_of
from engine.running.event_loop import gc_threshold_raised
from engine.running.progress_tracker import ProgressCallback, ProgressTracker, report_of
from engine.running.write_buffer import BatchInFlight, Results, WriteBuffer
from engine.settings import Settings
from engine.storing.checkpoint import Checkpoint, CheckpointStore, MemoryCheckpoints
from engine.storing.mongo_checkpoints import MongoCheckpoints
from engine.storing.mongo_writer import MongoWriter
from engine.storing.writer import Writer
from engine.task_group import wait_or_cancel


async def run_range(
    key_range: KeyRange,
    *,
    source: driver.Collection,
    extractor: Extractor | ExtractFunction,
    target: driver.Database | None = None,
    settings: Settings | None = None,
    writer: Writer | None = None,
    checkpoints: CheckpointStore | None = None,
    progress: ProgressCallback | None = None,
    slots: Slots | None = None,
) -> Report:
    """Runs one range from its checkpoint to its end.

    Args:
        key_range: a range of a Plan; it may have been through `to_json` and `from_json`.
        source: the collection to read, of Motor or of PyMongo's asynchronous API.
        extractor: an Extractor, or an async function that takes a list of texts.
        target: the database for results, checkpoints and dead letters. Without it, pass a writer, and
            `checkpoints` too if the range is to resume after a stop.
        settings: by default those of the environment.
        writer: takes the results instead of the target's collections.
        checkpoints: keeps the checkpoint instead of the target.
        progress: called after every write.
        slots: limit the requests in flight. Ranges that share slots read one after another.

    Returns:
        The report of the range over all its attempts. Its status is `interrupted` if `deadline_s` passed or
        the service was down for longer than `max_outage_s`.

    Raises:
        EngineError: the range failed; its checkpoint is saved, and the next call resumes there.
        asyncio.CancelledError: the range was cancelled; its checkpoint is saved as well.
    """
    settings = settings or Settings()
    extractor = as_extractor(extractor)
    if target is None and writer is None:
        raise ConfigError("neither a target database nor a writer was given: pass one of them")
    writer = writer or MongoWriter(target, source.name, settings, key_range.run_id)
    checkpoints = checkpoints or (
        MemoryCheckpoints() if target is None else MongoCheckpoints(target, settings)
    )
    scan = await choose_scan(source, settings)
    checkpoint = await checkpoints.claim(key_range, scan.fingerprint)
    async with opened(extractor) as service:
        reader = Reader(scan, key_range, settings)
        parts = service, reader, writer, checkpoints, checkpoint, settings
        attempt = RangeAttempt(*parts, progress=progress, slots=slots)
        await attempt.run()
    return report_of(attempt.checkpoint)


class RangeAttempt:
    """One attempt at one range: connects the stages, runs them, and saves the checkpoint at the end."""

    def __init__(
        self,
        service: Extractor,
        reader: DocumentSource,
        writer: Writer,
        checkpoints: CheckpointStore,
        checkpoint: Checkpoint,
        settings: Settings,
        *,
        progress: ProgressCallback | None = None,
        slots: Slots | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        settings = within_limits(settings, service)
        self._reader, self._writer, self._settings = reader, writer, settings
        self._range_id = checkpoint.key_range.range_id
        self._events = events = Events(run=checkpoint.key_range.run_id, range=self._range_id)
        self._metrics = metrics.current()
        self._slots = slots or slots_of(settings)
        retries: list[Failure] = []
        policy = RetryPolicy(
            settings,
            clock=clock,
            on_retry=retries.append,
            on_pause=lambda seconds: events.warning("service_throttled", pause_s=seconds),
        )
        prepare = getattr(service, "prepare", None)
        self._caller = Caller(service.extract, policy, self._slots, events=events, prepare=prepare)
        sent_texts, spanning = SentTexts(settings), reader.resumes_anywhere
        self._batcher = Batcher(settings, self._range_id, sent_texts, spanning=spanning)
        self._tracker = ProgressTracker(
            checkpoints,
            checkpoint,
            settings,
            # `effort` must not refer to this attempt: the cycle would keep its texts and answers in memory
            # until the next garbage collection, and a process runs many ranges.
            effort=partial(effort_of, self._caller, retries),
            slots=self._slots,
            progress=progress,
            clock=clock,
        )
        self._ahead = asyncio.Semaphore(settings.max_ahead_batches)
        self._to_extract: asyncio.Queue[BatchInFlight | None] = asyncio.Queue(settings.max_concurrency)
        self._to_write = WriteBuffer(settings)
        self._extracting = settings.max_concurrency  # tasks of `_extract` that have not ended
        self._reading: asyncio.Task[None] | None = None
        self._reading_began = asyncio.get_running_loop().create_future()
        self._stopped_by: Interrupted | None = None
        self._all_new = settings.force or checkpoint.key_range.fresh

    @property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint as last saved."""
        return self._tracker.checkpoint

    # --- from the beginning to the end ---

    async def run(self) -> Status:
        """Runs the stages until the range ends or is stopped, and saves the checkpoint in every case."""
        name = "range_begun" if self._tracker.position is None else "range_resumed"
        self._events.info(name, attempt=self.checkpoint.attempts, after=self._tracker.position)
        try:
            await self._run_until_stopped()
        except asyncio.CancelledError:
            await self._tracker.save_at_end(Status.INTERRUPTED, Interrupted("cancelled"))
            raise
        except (EngineError, BaseExceptionGroup) as raised:
            error = root_error(raised)
            if isinstance(error, EngineError):
                error.range_id = error.range_id or self._range_id
            await self._tracker.save_at_end(Status.FAILED, error)
            raise error from raised
        if self._stopped_by:
            await self._tracker.save_at_end(Status.INTERRUPTED, self._stopped_by)
            return Status.INTERRUPTED
        await self._tracker.save(Status.SUCCEEDED)
        counts = self.checkpoint.counts.to_document()
        self._events.info("range_succeeded", **counts, active_s=self.checkpoint.active_s)
        return Status.SUCCEEDED

    async def _run_until_stopped(self) -> None:
        """Runs the stages; at the deadline or a cancellation, gives requests in flight `drain_s` to end."""
        stages = asyncio.create_task(self._run_stages())
        try:
            # The deadline counts from the first page: before it, ranges that share slots wait for each other.
            await asyncio.wait([stages, self._reading_began], return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait([stages], timeout=self._settings.deadline_s)
            if not stages.done():
                self._stop_reading(Interrupted(f"deadline of {self._settings.deadline_s} s"))
                await asyncio.wait([stages], timeout=self._settings.drain_s)
        except asyncio.CancelledError:
            self._stop_reading(Interrupted("cancelled"))
            await asyncio.wait([stages], timeout=self._settings.drain_s)
            raise
        finally:
            stages.cancel()
            await asyncio.wait([stages])
            error = None if stages.cancelled() else stages.exception()
        if error is not None:
            raise error

    async def _run_stages(self) -> None:
        observed = self._metrics.observing(self._slots, self._depths)
        with gc_threshold_raised(), self._tracker.sampling(), observed:
            self._reading = asyncio.create_task(self._read())
            extractors = [self._extract() for _ in range(self._settings.max_concurrency)]
            writers = [self._write() for _ in range(self._settings.write_concurrency)]
            await wait_or_cancel([self._reading, *map(asyncio.create_task, extractors + writers)])
        if not self._stopped_by:
            await self._check_all_read()

    def _stop_reading(self, reason: Interrupted) -> None:
        """Stops the reader and drops the batches that are not sent yet; requests in flight go on."""
        if self._stopped_by or self._reading is None:
            return
        self._stopped_by = reason
        self._reading.cancel()
        while not self._to_extract.empty():
            self._to_extract.get_nowait()
        for _ in range(self._settings.max_concurrency):
            self._to_extract.put_nowait(None)

    async def _check_all_read(self) -> None:
        """Checks that no document was left unread, such as one that was inserted behind the reader.

        If one was, the next attempt starts over, and finds all other documents unchanged.
        """
        unread = await self._reader.count_unread(self._tracker.counts.read)
        if unread:
            self._tracker.start_over()
            raise SourceError(f"range holds {unread} documents more than were read; run it again")

    # --- the three stages ---

    async def _read(self) -> None:
        """Reads pages and cuts them into batches, at most `max_ahead_batches` beyond the checkpoint."""
        pages_after = self._reader.pages(after=self._tracker.position)
        async with self._slots.reading_turn, aclosing(pages_after) as pages:
            self._tracker.start_clock()
            self._reading_began.set_result(None)
            async for page in pages:
                known = {} if self._all_new else await self._writer.known(page.ids)
                for batch in self._batcher.cut(page, known):
                    await self._enqueue(batch)
            if rest := self._batcher.flush():
                await self._enqueue(rest)
        for _ in range(self._settings.max_concurrency):
            await self._to_extract.put(None)

    async def _enqueue(self, batch: Batch) -> None:
        await self._ahead.acquire()
        resume_key = self._reader.position(batch.last, ends_page=batch.ends_page)
        await self._to_extract.put(BatchInFlight(batch, self._tracker.register(resume_key)))

    async def _extract(self) -> None:
        """Calls the service, one batch after another; `max_concurrency` of these tasks run side by side."""
        call = self._caller.extract
        while (item := await self._to_extract.get()) is not None:
            batch = item.batch
            try:
                item.outcomes = await outcomes_of(batch.texts, batch.request, batch.repeats, call)
            except ServiceDown as down:
                self._stop_reading(down)
                break
            await self._to_write.put(item)
        self._extracting -= 1
        if self._extracting == 0:
            await self._to_write.close()

    async def _write(self) -> None:
        """Writes groups of batches, moves the low-water mark, and saves the checkpoint when it is due."""
        while group := await self._to_write.next_group():
            results = [item.results(self._range_id) for item in group]
            extractions = [extraction for found, _ in results for extraction in found]
            dead_letters = [letter for _, letters in results for letter in letters]
            with self._metrics.write():
                unchanged = await self._writer.write(extractions, dead_letters)
            for item, written in zip(group, results, strict=True):
                self._complete(item, written, unchanged)
            await self._tracker.save_when_due()
            self._tracker.report_progress()

    def _complete(self, item: BatchInFlight, results: Results, unchanged: frozenset[Any]) -> None:
        """Counts a durable batch; each batch that the mark passes makes room to read another one."""
        if letters := results[1]:
            kinds = ",".join(sorted({letter.kind for letter in letters}))
            self._events.warning(
                "dead_letters", count=len(letters), kinds=kinds, first=letters[0].document_id
            )
        counts = item.counts(results, unchanged)
        self._metrics.committed(counts)
        for _ in range(self._tracker.complete(item.pending, counts)):
            self._ahead.release()

    def _depths(self) -> metrics.QueueDepths:
        return metrics.QueueDepths(self._to_extract.qsize(), self._to_write.waiting, self._tracker.pending)
