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
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

from engine.calling.caller import Caller
from engine.calling.endpoint import Endpoint
from engine.errors import EngineError, Interrupted, ServiceDown, SourceError, root_error
from engine.model import Status
from engine.mongo import waiting
from engine.observing import metrics
from engine.observing.events import Events
from engine.observing.run_watch import RunWatch
from engine.reading.reader import DocumentSource
from engine.running.batches import Batch, Batcher
from engine.running.deduplication import outcomes_of
from engine.running.event_loop import gc_threshold_raised
from engine.running.progress_tracker import SAVE_TIMEOUT_S, SILENT_SAVE_TIMEOUT_S, ProgressTracker
from engine.running.write_buffer import BatchInFlight, Channel, Results, WriteBuffer, made_durable
from engine.settings import Settings
from engine.storing.checkpoint import Checkpoint
from engine.storing.writer import Writer
from engine.task_group import wait_or_cancel

BATCHES_PER_REQUEST = 2
"""Batches that are cut ahead for each request that the service takes at once: one in flight, and one waiting
for its turn or for its next attempt."""

BATCHES_IN_DOUBT = 5
"""Batches that are cut ahead while it is in doubt how large they may be: those that are too large are split,
and those that are too small cost requests. It is half of the first limit (`INITIAL` in `adaptive_limit.py`),
because fewer requests in flight do not raise that limit."""

LOOK_EVERY_S = 0.1
"""How often a range that is stopped looks whether MongoDB still answers."""


class RangeAttempt:
    """One attempt at one range: connects the stages, runs them, and saves the checkpoint at the end.

    Args:
        source: yields pages of documents.
        batcher: cuts them into batches.
        caller: calls the service for a batch; its endpoint limits how many batches are read ahead.
        writer: writes the results.
        tracker: keeps the low-water mark and the checkpoint.
        watch: what the ranges of the run in this process share.
        skip_known: whether the writer is asked which documents need no request.
        confirm: called at the end; raises a WriteError if what was written is not there any more.
    """

    def __init__(
        self,
        *,
        source: DocumentSource,
        batcher: Batcher,
        caller: Caller,
        endpoint: Endpoint,
        writer: Writer,
        tracker: ProgressTracker,
        settings: Settings,
        watch: RunWatch,
        skip_known: bool,
        confirm: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._source, self._batcher, self._caller, self._endpoint = source, batcher, caller, endpoint
        self._writer, self._tracker, self._settings = writer, tracker, settings
        self._watch, self._skip_known, self._confirm = watch, skip_known, confirm
        key_range = tracker.checkpoint.key_range
        self._range_id = key_range.range_id
        self._events = Events(run=key_range.run_id, range=self._range_id)
        self._metrics = metrics.current()
        self._ahead = asyncio.Semaphore(settings.max_ahead_batches)
        self._unanswered, self._answered = 0, asyncio.Event()
        self._to_extract = Channel[BatchInFlight](settings.max_concurrency)
        tuning = settings.tuning
        self._to_write = WriteBuffer(
            settings.max_concurrency,
            documents=tuning.write_documents,
            chars=tuning.write_chars,
            wait_s=tuning.write_wait_s,
        )
        self._reading: asyncio.Task[None] | None = None
        self._reading_began = asyncio.get_running_loop().create_future()
        self._stopped_by: EngineError | None = None
        self._silent = False  # whether MongoDB left a command unanswered when the range was stopped

    @property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint as last saved."""
        return self._tracker.checkpoint

    # --- from the beginning to the end ---

    async def run(self) -> Status:
        """Runs the stages until the range ends or is stopped, and saves the checkpoint in every case."""
        name = "range_begun" if self._tracker.position is None else "range_resumed"
        self._events.info(name, attempt=self._tracker.checkpoint.attempts, after=self._tracker.position)
        try:
            await self._run_until_stopped()
            if self._stopped_by and not isinstance(self._stopped_by, Interrupted):
                raise self._stopped_by
        except asyncio.CancelledError:
            await self._save_interrupted(Interrupted("cancelled"))
            raise
        except (EngineError, BaseExceptionGroup) as raised:
            error = root_error(raised)
            if isinstance(error, EngineError):
                error.range_id = error.range_id or self._range_id
                if error.ends_run:
                    self._watch.stop(error)
            await self._tracker.save_at_end(Status.FAILED, error)
            raise error from raised
        if self._stopped_by:
            await self._save_interrupted(self._stopped_by)
            return Status.INTERRUPTED
        await self._tracker.save(Status.SUCCEEDED)
        done = self._tracker.checkpoint
        counts = done.counts.to_document()
        del counts["dead_letter_reasons"]
        self._events.info("range_succeeded", **counts, active_s=done.active_s)
        return Status.SUCCEEDED

    async def _run_until_stopped(self) -> None:
        """Runs the stages; at the deadline or a cancellation, gives requests in flight `drain_s` to end."""
        stages = asyncio.create_task(self._run_stages())
        try:
            # The deadline counts from the first page; before it, the range may wait for its turn to read.
            ends: list[asyncio.Future[Any]] = [stages, self._watch.stopped]
            await asyncio.wait([*ends, self._reading_began], return_when=asyncio.FIRST_COMPLETED)
            deadline_s = self._settings.deadline_s
            await asyncio.wait(ends, timeout=deadline_s, return_when=asyncio.FIRST_COMPLETED)
            if not stages.done():
                reason = self._watch.reason_to_stop(self._range_id)
                self._stop_reading(reason or Interrupted(f"deadline of {deadline_s} s"))
                await self._drain(stages)
        except asyncio.CancelledError:
            self._stop_reading(Interrupted("cancelled"))
            await self._drain(stages)
            raise
        finally:
            stages.cancel()
            await asyncio.wait([stages])
            error = None if stages.cancelled() else stages.exception()
        if error is not None:
            raise error

    async def _drain(self, stages: asyncio.Task[None]) -> None:
        """Waits until requests in flight have ended and are written, while MongoDB answers."""
        until = asyncio.get_running_loop().time() + self._settings.drain_s
        while not (stages.done() or self._silent):
            left_s = until - asyncio.get_running_loop().time()
            if left_s <= 0:
                return
            await asyncio.wait([stages], timeout=min(left_s, LOOK_EVERY_S))
            self._silent = waiting.silent()

    async def _save_interrupted(self, why: EngineError) -> None:
        limit_s = SILENT_SAVE_TIMEOUT_S if self._silent else SAVE_TIMEOUT_S
        await self._tracker.save_at_end(Status.INTERRUPTED, why, limit_s)

    async def _run_stages(self) -> None:
        observed = self._metrics.observing(self._endpoint.slots, self._depths)
        with gc_threshold_raised(), self._tracker.sampling(), observed:
            self._reading = asyncio.create_task(self._read())
            extracting = asyncio.create_task(self._extract_all())
            writing = [
                asyncio.create_task(self._write()) for _ in range(self._settings.tuning.write_concurrency)
            ]
            await wait_or_cancel([self._reading, extracting, *writing])
        if not self._stopped_by:
            await self._check_all_read()
            await self._check_all_kept()

    def _stop_reading(self, reason: EngineError) -> None:
        """Stops the reader and drops the batches that are not sent yet; requests in flight go on."""
        if self._stopped_by or self._reading is None:
            return
        self._stopped_by = reason
        self._reading.cancel()
        self._to_extract.drop()

    async def _check_all_read(self) -> None:
        """Checks that no document was left unread, such as one that was inserted behind the reader.

        If one was, the next attempt starts over, and finds all other documents unchanged.
        """
        unread = await self._source.count_unread(self._tracker.counts.read)
        if unread:
            self._tracker.start_over()
            raise SourceError(f"range holds {unread} documents more than were read; run it again")

    async def _check_all_kept(self) -> None:
        """Checks that the results are where they were written; if not, the next attempt starts over."""
        try:
            if self._confirm is not None:
                await self._confirm()
        except EngineError:
            self._tracker.start_over()
            raise

    # --- the three stages ---

    async def _read(self) -> None:
        """Reads pages and cuts them into batches."""
        pages_after = self._source.pages(after=self._tracker.position)
        async with self._watch.turn, aclosing(pages_after) as pages:
            self._tracker.start_clock()
            self._reading_began.set_result(None)
            async for page in pages:
                known = await self._writer.known(page.ids) if self._skip_known else {}
                for batch in self._batcher.cut(page, known):
                    await self._enqueue(batch)
            if rest := self._batcher.flush():
                await self._enqueue(rest)
        self._to_extract.close()

    async def _enqueue(self, batch: Batch) -> None:
        """Passes a batch on, at most `max_ahead_batches` beyond the checkpoint.

        No more are cut than will be sent soon, because the service may turn out to take smaller ones only.
        """
        await self._ahead.acquire()
        while self._unanswered >= self._most_unanswered:
            self._answered.clear()
            await self._answered.wait()
        self._unanswered += 1
        resume_key = self._source.position(batch.last, ends_page=batch.ends_page)
        await self._to_extract.put(BatchInFlight(batch, self._tracker.register(resume_key)))

    @property
    def _most_unanswered(self) -> int:
        limit = self._endpoint.slots.limit
        return min(BATCHES_IN_DOUBT, limit) if self._endpoint.size.in_doubt else limit * BATCHES_PER_REQUEST

    async def _extract_all(self) -> None:
        """Runs as many tasks that call the service as there may be requests in flight."""
        callers = [self._extract() for _ in range(self._settings.max_concurrency)]
        await wait_or_cancel([asyncio.create_task(caller) for caller in callers])
        self._to_write.close()

    async def _extract(self) -> None:
        """Calls the service, one batch after another."""
        call = self._caller.extract
        while (item := await self._to_extract.get()) is not None:
            batch = item.batch
            try:
                item.outcomes = await outcomes_of(batch.texts, batch.request, batch.repeats, call)
            except ServiceDown as down:
                self._stop_reading(down)
                break
            self._unanswered -= 1
            self._answered.set()
            if self._watch.judges:
                self._watch.count(*item.letters(self._range_id), self._range_id)
            await self._to_write.put(item)

    async def _write(self) -> None:
        """Writes groups of batches, moves the low-water mark, and saves the checkpoint when it is due."""
        while group := await self._to_write.next_group():
            results = [item.results(self._range_id) for item in group]
            with self._metrics.write():
                results, unchanged = await made_durable(self._writer, results, self._range_id)
            for item, written in zip(group, results, strict=True):
                self._complete(item, written, unchanged)
            await self._tracker.save_when_due()
            self._tracker.report_progress()

    def _complete(self, item: BatchInFlight, results: Results, unchanged: frozenset[Any]) -> None:
        """Counts a durable batch; each batch that the mark passes makes room to read another one."""
        counts = item.counts(results, unchanged)
        if letters := results[1]:
            kinds = ",".join(sorted({letter.kind for letter in letters}))
            self._events.warning(
                "dead_letters", count=len(letters), kinds=kinds, first=letters[0].document_id
            )
        self._metrics.committed(counts)
        for _ in range(self._tracker.complete(item.pending, counts)):
            self._ahead.release()

    def _depths(self) -> metrics.QueueDepths:
        return metrics.QueueDepths(len(self._to_extract), len(self._to_write), self._tracker.pending)
