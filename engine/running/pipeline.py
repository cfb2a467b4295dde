"""One range, from its checkpoint to its end: read -> extract -> write -> checkpoint.

    Reader --pages--> cut into batches --queue--> callers --queue--> writer --> ledger --> checkpoint

Both queues are bounded, so each stage waits for the next. Requests end in any order; the checkpoint moves
only over the contiguous prefix of batches whose extractions and dead letters are durably written (TRAPS 29).
An error in one stage ends the others and surfaces (TRAPS 32). A cancellation, the deadline or an outage stops
admission, and what is in flight may end. Whatever ends a range, its low-water mark is saved, and the next
attempt goes on from there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from functools import partial
from itertools import chain
from typing import Any

from engine.calling.caller import Caller, Outcome, effort_of
from engine.calling.concurrency import Slots, slots_of
from engine.calling.retry import RetryPolicy
from engine.errors import ConfigError, EngineError, Failure, Interrupted, ServiceDown, SourceError, root_error
from engine.extractors.extractor import ExtractFunction, Extractor, as_extractor, opened, within_limits
from engine.keys.key import KeyRange
from engine.model import Status
from engine.mongo import driver
from engine.observing import metrics
from engine.observing.events import Events
from engine.reading.feed import Feed
from engine.reading.index_choice import open_scan
from engine.reading.reader import Reader
from engine.report import Report
from engine.running.batches import Batch, Cutter
from engine.running.deduplication import Repeats, outcomes_of
from engine.running.event_loop import calmed
from engine.running.progress_tracker import Accounts, ProgressCallback, report_of
from engine.running.write_buffer import Groups, Results, Sent
from engine.settings import Settings
from engine.storing.checkpoint import Checkpoint, CheckpointStore, MemoryCheckpoints
from engine.storing.mongo_checkpoints import MongoCheckpoints
from engine.storing.mongo_writer import MongoWriter
from engine.storing.writer import Writer
from engine.task_group import all_ended


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
        key_range: from a Plan, as it is or through `to_json` and `from_json`.
        source: Motor or PyMongo asynchronous collection.
        extractor: an Extractor, or a plain async function of texts.
        target: database of the results, checkpoints and dead letters. Without it, pass a writer; then
            nothing is kept to resume from, unless `checkpoints` does.
        settings: by default those of the environment.
        writer: where results go instead of the target's collections.
        checkpoints: where the checkpoint is kept instead of the target.
        progress: called after every write.
        slots: bound the requests in flight; by default its own. Ranges that share them are read in turn.

    Returns:
        The report of the range, all attempts together. Its status is `interrupted` if `deadline_s` passed,
        or the service was down for longer than `max_outage_s`.

    Raises:
        EngineError: the range failed; its checkpoint is saved, and calling again resumes.
        asyncio.CancelledError: it was cancelled; likewise.
    """
    settings = settings or Settings()
    extractor = as_extractor(extractor)
    if target is None and writer is None:
        raise ConfigError("give a target database, or a writer")
    writer = writer or MongoWriter(target, source.name, settings, key_range.run_id)
    checkpoints = checkpoints or (
        MemoryCheckpoints() if target is None else MongoCheckpoints(target, settings)
    )
    scan = await open_scan(source, settings)
    checkpoint = await checkpoints.claim(key_range, scan.fingerprint)
    async with opened(extractor) as service:
        reader = Reader(scan, key_range, settings)
        stages = service, reader, writer, checkpoints, checkpoint, settings
        attempt = RangeAttempt(*stages, progress=progress, slots=slots)
        await attempt.run()
    return report_of(attempt.checkpoint)


class RangeAttempt:
    """One attempt at one range: the stages, and the queues between them."""

    def __init__(
        self,
        service: Extractor,
        reader: Feed,
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
        self._events = Events(run=checkpoint.key_range.run_id, range=self._range_id)
        self._retries: list[Failure] = []
        self._slots = slots or slots_of(settings)
        events = self._events
        policy = RetryPolicy(
            settings,
            clock=clock,
            on_retry=self._retries.append,
            on_pause=lambda seconds: events.warning("service_throttled", pause_s=seconds),
        )
        prepare = getattr(service, "prepare", None)
        self._caller = Caller(service.extract, policy, self._slots, events=self._events, prepare=prepare)
        self._telemetry = metrics.current()
        repeats, spanning = Repeats(settings), reader.resumes_anywhere
        self._cutter = Cutter(settings, self._range_id, repeats, spanning=spanning)
        self._accounts = Accounts(
            checkpoints,
            checkpoint,
            settings,
            # No reference to the attempt itself: a cycle would keep its texts and answers until the collector
            # comes round, and a process runs many ranges.
            effort=partial(effort_of, self._caller, self._retries),
            slots=self._slots,
            progress=progress,
            clock=clock,
        )
        self._ahead = asyncio.Semaphore(settings.max_ahead_batches)
        self._to_extract: asyncio.Queue[Sent | None] = asyncio.Queue(settings.max_concurrency)
        self._to_write = Groups(settings)
        self._callers_left = settings.max_concurrency
        self._reading: asyncio.Task[None] | None = None
        self._has_turn = asyncio.get_running_loop().create_future()
        self._stopped_by: Interrupted | None = None
        self._all_new = settings.force or checkpoint.key_range.fresh

    @property
    def checkpoint(self) -> Checkpoint:
        """As last saved."""
        return self._accounts.checkpoint

    # --- the flow ---

    async def run(self) -> Status:
        """Runs the stages to the end of the range, or until they are stopped; saves the checkpoint anyhow."""
        name = "range_begun" if self._accounts.position is None else "range_resumed"
        self._events.info(name, attempt=self.checkpoint.attempts, after=self._accounts.position)
        try:
            await self._until_stopped()
        except asyncio.CancelledError:
            await self._accounts.save_at_end(Status.INTERRUPTED, Interrupted("cancelled"))
            raise
        except (EngineError, BaseExceptionGroup) as raised:
            error = root_error(raised)
            if isinstance(error, EngineError):
                error.range_id = error.range_id or self._range_id
            await self._accounts.save_at_end(Status.FAILED, error)
            raise error from raised
        if self._stopped_by:
            await self._accounts.save_at_end(Status.INTERRUPTED, self._stopped_by)
            return Status.INTERRUPTED
        await self._accounts.save(Status.SUCCEEDED)
        counts = self.checkpoint.counts.to_document()
        self._events.info("range_succeeded", **counts, active_s=self.checkpoint.active_s)
        return Status.SUCCEEDED

    async def _until_stopped(self) -> None:
        """Runs the stages. At the deadline, or cancelled, what is in flight may end within `drain_s`."""
        stages = asyncio.create_task(self._stages())
        try:
            await asyncio.wait([stages, self._has_turn], return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait([stages], timeout=self._settings.deadline_s)
            if not stages.done():
                self._stop(Interrupted(f"deadline of {self._settings.deadline_s} s"))
                await asyncio.wait([stages], timeout=self._settings.drain_s)
        except asyncio.CancelledError:
            self._stop(Interrupted("cancelled"))
            await asyncio.wait([stages], timeout=self._settings.drain_s)
            raise
        finally:
            stages.cancel()
            await asyncio.wait([stages])
            error = None if stages.cancelled() else stages.exception()
        if error is not None:
            raise error

    async def _stages(self) -> None:
        observed = self._telemetry.watching(self._slots, self._depths)
        with calmed(), self._accounts.watching(), observed:
            self._reading = asyncio.create_task(self._read())
            callers = [self._extract() for _ in range(self._settings.max_concurrency)]
            writers = [self._write() for _ in range(self._settings.write_concurrency)]
            await all_ended([self._reading, *map(asyncio.create_task, callers + writers)])
        if not self._stopped_by:
            await self._check_coverage()

    def _stop(self, reason: Interrupted) -> None:
        """Admits nothing more: ends the reader, and drops what waits to be sent."""
        if self._stopped_by or self._reading is None:
            return
        self._stopped_by = reason
        self._reading.cancel()
        while not self._to_extract.empty():
            self._to_extract.get_nowait()
        for _ in range(self._settings.max_concurrency):
            self._to_extract.put_nowait(None)

    async def _read(self) -> None:
        """Reads pages and cuts them into batches, at most `max_ahead_batches` beyond the checkpoint."""
        pages_after = self._reader.pages(after=self._accounts.position)
        async with self._slots.turn, aclosing(pages_after) as pages:
            self._accounts.begin()
            self._has_turn.set_result(None)  # its time begins; that of waiting is another range's
            async for page in pages:
                known = {} if self._all_new else await self._writer.known(page.ids)
                for batch in self._cutter.cut(page, known):
                    await self._admit(batch)
            if rest := self._cutter.rest():
                await self._admit(rest)
        for _ in range(self._settings.max_concurrency):
            await self._to_extract.put(None)

    async def _admit(self, batch: Batch) -> None:
        await self._ahead.acquire()
        position = self._reader.position(batch.last, ends_page=batch.ends_page)
        await self._to_extract.put(Sent(batch, self._accounts.admit(position)))

    async def _extract(self) -> None:
        """Calls the service, one batch after another; `max_concurrency` of these run side by side."""
        while (sent := await self._to_extract.get()) is not None:
            batch = sent.batch
            try:
                sent.outcomes = await outcomes_of(batch.texts, batch.sending, batch.repeats, self._send)
            except ServiceDown as down:
                self._stop(down)
                break
            await self._to_write.put(sent)
        self._callers_left -= 1
        if self._callers_left == 0:
            await self._to_write.end()

    async def _send(self, texts: Sequence[str]) -> list[Outcome]:
        """Calls the service; once stopped, not for texts that another batch has failed to send."""
        if self._stopped_by:
            raise ServiceDown(str(self._stopped_by))
        return await self._caller.extract(texts)

    async def _write(self) -> None:
        """Writes what is ready, moves the low-water mark, and saves it now and then.

        `write_concurrency` of these run side by side: a durable write waits for disks, and others need not.
        """
        while group := await self._to_write.next():
            results = [sent.results(self._range_id) for sent in group]
            extractions = list(chain.from_iterable(found for found, _ in results))
            letters_in_all = list(chain.from_iterable(letters for _, letters in results))
            with self._telemetry.write():
                unchanged = await self._writer.write(extractions, letters_in_all)
            for sent, written in zip(group, results, strict=True):
                self._settle(sent, written, unchanged)
            await self._accounts.save_when_due()
            self._accounts.tell()

    async def _check_coverage(self) -> None:
        """Refuses to end with documents in the range that were not read; the next attempt starts over.

        They may have come in behind the reader since; then that attempt finds all others unchanged.
        """
        unread = await self._reader.count_unread(self._accounts.counts.read)
        if unread:
            self._accounts.start_over()
            raise SourceError(f"range holds {unread} documents more than were read; run it again")

    # --- the steps ---

    def _settle(self, sent: Sent, results: Results, unchanged: frozenset[Any]) -> None:
        """Accounts for a batch that is durable now."""
        found, letters = results
        counts = sent.counts(found, len(letters), unchanged)
        if letters:
            kinds = ",".join(sorted({letter.kind for letter in letters}))
            self._events.warning(
                "dead_letters", count=len(letters), kinds=kinds, first=letters[0].document_id
            )
        self._telemetry.settled(counts)
        for _ in range(self._accounts.settle(sent.entry, counts)):
            self._ahead.release()

    def _depths(self) -> metrics.Depths:
        ahead = self._accounts.outstanding
        return metrics.Depths(self._to_extract.qsize(), self._to_write.waiting, ahead)
