"""One range, from its checkpoint to its end: read -> extract -> write -> checkpoint.

    Reader --pages--> cut into batches --queue--> callers --queue--> writer --> ledger --> checkpoint

Both queues are bounded, so each stage waits for the next. Requests end in any order; the checkpoint moves
only over the contiguous prefix of batches whose extractions and dead letters are durably written (TRAPS 29).
An error in one stage ends the others and surfaces (TRAPS 32); so does a cancellation. Whatever ends a range,
its low-water mark is saved, and the next attempt goes on from there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

from pymongo.errors import PyMongoError

from engine import driver
from engine.access import open_scan
from engine.batches import Batch, cut
from engine.checkpoints import Checkpoint, CheckpointStore, MemoryCheckpoints, MongoCheckpoints
from engine.config import Settings
from engine.errors import ConfigError, EngineError, Failure, ServiceDown, SourceError, root_error
from engine.events import Events
from engine.extractor import ExtractFunction, Extractor, as_extractor, opened, within_limits
from engine.feed import Feed
from engine.isolation import Caller, Outcome, Refusal, effort_of
from engine.keyset import KeyRange
from engine.ledger import Entry, Ledger
from engine.model import Counts, DeadLetter, Effort, Extraction, Progress, Status
from engine.reader import Reader
from engine.report import Report
from engine.retry import RetryPolicy
from engine.scan import Scan
from engine.slots import Slots, slots_of
from engine.values import identity
from engine.writer import MongoWriter, Writer

SAVE_TIMEOUT_S = 3.0
"""A worker that gets SIGTERM has five seconds before SIGKILL (Airflow): the last checkpoint must fit."""

ProgressCallback = Callable[[Progress], None]


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
        slots: bound the requests in flight; by default its own. Ranges of one process may share them.

    Returns:
        The report of the range, all attempts together. Its status is `interrupted` if `deadline_s` passed,
        or the service was down for longer than `max_outage_s`.

    Raises:
        EngineError: the range failed; its checkpoint is saved, and calling again resumes.
        asyncio.CancelledError: it was cancelled; likewise.
    """
    settings = settings or Settings()
    extractor = as_extractor(extractor)
    writer, checkpoints = _places(target, source, settings, key_range, writer, checkpoints)
    scan = await open_source(source, settings)
    checkpoint = await checkpoints.claim(key_range, scan.fingerprint)
    async with opened(extractor) as service:
        reader = Reader(scan, key_range, settings)
        stages = service, reader, writer, checkpoints, checkpoint, settings
        attempt = RangeAttempt(*stages, progress=progress, slots=slots)
        await attempt.run()
    return report_of(attempt.checkpoint)


def _places(
    target: driver.Database | None,
    source: driver.Collection,
    settings: Settings,
    key_range: KeyRange,
    writer: Writer | None,
    checkpoints: CheckpointStore | None,
) -> tuple[Writer, CheckpointStore]:
    if target is None:
        if writer is None:
            raise ConfigError("give a target database, or a writer")
        return writer, checkpoints or MemoryCheckpoints()
    return (
        writer or MongoWriter(target, source.name, settings, key_range.run_id),
        checkpoints or MongoCheckpoints(target, settings),
    )


async def open_source(source: driver.Collection, settings: Settings) -> Scan:
    """How a collection is read in the order of the settings.

    Raises:
        PlanError: it has no full index on the order.
        SourceError: the server could not be read.
    """
    try:
        return await open_scan(source, settings)
    except PyMongoError as error:
        raise SourceError(f"{driver.namespace(source)} cannot be read: {error}") from error


@dataclass(slots=True)
class _Sent:
    """A batch on its way through the stages."""

    batch: Batch
    entry: Entry
    outcomes: Sequence[Outcome] = ()


class RangeAttempt:
    """One attempt at one range: the stages, the queues between them, and the ledger.

    Attributes:
        checkpoint: as last saved.
    """

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
        self.checkpoint = checkpoint
        self._resumed = checkpoint
        self._reader, self._writer, self._checkpoints = reader, writer, checkpoints
        self._settings, self._progress, self._clock = settings, progress, clock
        self._range_id = checkpoint.key_range.range_id
        self._events = Events(run=checkpoint.key_range.run_id, range=self._range_id)
        self._retries: list[Failure] = []
        policy = RetryPolicy(settings, on_retry=self._retries.append)
        self._slots = slots or slots_of(settings)
        self._caller = Caller(service.extract, policy, self._slots, events=self._events)
        self._ledger = Ledger(checkpoint.position, checkpoint.counts)
        self._ahead = asyncio.Semaphore(settings.max_ahead_batches)
        self._to_extract: asyncio.Queue[_Sent | None] = asyncio.Queue(settings.max_concurrency)
        self._to_write: asyncio.Queue[_Sent | None] = asyncio.Queue(settings.max_concurrency)
        self._callers_left = settings.max_concurrency
        self._extracted = False
        self._grouping, self._saving = asyncio.Lock(), asyncio.Lock()
        self._settled = checkpoint.counts
        self._began = self._saved_at = clock()

    # --- the flow ---

    async def run(self) -> Status:
        """Runs the stages to the end of the range or the deadline; saves the checkpoint whatever happens."""
        self._events.info("range_begun", attempt=self.checkpoint.attempts, after=self._ledger.position)
        try:
            async with asyncio.timeout(self._settings.deadline_s):
                await self._stages()
                await self._check_coverage()
        except TimeoutError:
            await self._save_at_end(Status.INTERRUPTED, f"deadline of {self._settings.deadline_s} s")
            return Status.INTERRUPTED
        except asyncio.CancelledError:
            await self._save_at_end(Status.INTERRUPTED, "cancelled")
            raise
        except (EngineError, BaseExceptionGroup) as raised:
            error = root_error(raised)
            if isinstance(error, ServiceDown):
                await self._save_at_end(Status.INTERRUPTED, str(error))
                return Status.INTERRUPTED
            if isinstance(error, EngineError):
                error.range_id = error.range_id or self._range_id
            await self._save_at_end(Status.FAILED, str(error))
            raise error from raised
        await self._save(Status.SUCCEEDED)
        self._events.info("range_succeeded", **self.checkpoint.counts.to_document())
        return Status.SUCCEEDED

    async def _stages(self) -> None:
        async with asyncio.TaskGroup() as stages:
            stages.create_task(self._read())
            for _ in range(self._settings.max_concurrency):
                stages.create_task(self._extract())
            for _ in range(self._settings.write_concurrency):
                stages.create_task(self._write())

    async def _read(self) -> None:
        """Reads pages and cuts them into batches, at most `max_ahead_batches` beyond the checkpoint."""
        async with aclosing(self._reader.pages(after=self._ledger.position)) as pages:
            async for page in pages:
                known = await self._writer.known(page)
                for batch in cut(page, known, self._settings, self._range_id):
                    await self._ahead.acquire()
                    ends_page = batch.last is page[-1].values
                    position = self._reader.position(batch.last, ends_page=ends_page)
                    await self._to_extract.put(_Sent(batch, self._ledger.admit(position)))
        for _ in range(self._settings.max_concurrency):
            await self._to_extract.put(None)

    async def _extract(self) -> None:
        """Calls the service, one batch after another; `max_concurrency` of these run side by side."""
        while (sent := await self._to_extract.get()) is not None:
            sent.outcomes = await self._caller.extract(sent.batch.texts)
            await self._to_write.put(sent)
        self._callers_left -= 1
        if self._callers_left == 0:
            await self._to_write.put(None)

    async def _write(self) -> None:
        """Writes what is ready, moves the low-water mark, and saves it now and then.

        `write_concurrency` of these run side by side: a durable write waits for disks, and others need not.
        """
        while group := await self._next_group():
            results = [self._results(sent) for sent in group]
            extractions = [e for found, _ in results for e in found]
            unchanged = await self._writer.write(extractions, [d for _, letters in results for d in letters])
            for sent, (found, letters) in zip(group, results, strict=True):
                self._settle(sent, found, letters, unchanged)
            async with self._saving:
                if self._clock() - self._saved_at >= self._settings.checkpoint_s:
                    await self._save(Status.RUNNING)
            self._tell()

    async def _check_coverage(self) -> None:
        """Refuses to end with documents in the range that were not read; the next attempt starts over.

        They may have come in behind the reader since; then that attempt finds all others unchanged.
        """
        unread = await self._reader.count_unread(self._ledger.counts.read)
        if unread:
            self._ledger = Ledger()
            raise SourceError(f"range holds {unread} documents more than were read; run it again")

    # --- the steps ---

    async def _next_group(self) -> list[_Sent]:
        """Batches to write together: so many documents or characters, or a time; none at the end."""
        group: list[_Sent] = []
        async with self._grouping:
            with suppress(TimeoutError):
                while not self._extracted and not self._is_full(group):
                    # The first is waited for; others are worth a little time: few large writes cost less.
                    async with asyncio.timeout(self._settings.write_wait_s if group else None):
                        sent = await self._to_write.get()
                    if sent is None:
                        self._extracted = True
                    else:
                        group.append(sent)
        return group

    def _is_full(self, group: Sequence[_Sent]) -> bool:
        documents = sum(sent.batch.read for sent in group)
        chars = sum(sent.batch.chars for sent in group)
        return documents >= self._settings.write_documents or chars >= self._settings.write_chars

    def _results(self, sent: _Sent) -> tuple[list[Extraction], list[DeadLetter]]:
        """What is to be written for a batch."""
        batch = sent.batch
        found, letters = list(batch.extractions), list(batch.dead_letters)
        for document, text_hash, outcome in zip(batch.documents, batch.hashes, sent.outcomes, strict=True):
            if isinstance(outcome, Refusal):
                letters.append(outcome.dead_letter(document, text_hash, self._range_id))
            else:
                found.append(Extraction(document.id, outcome, text_hash))
        return found, letters

    def _settle(
        self,
        sent: _Sent,
        found: Sequence[Extraction],
        letters: Sequence[DeadLetter],
        unchanged: frozenset[Any],
    ) -> None:
        """Accounts for a batch that is durable now."""
        same = sum(identity(e.document_id) in unchanged for e in found) if unchanged else 0
        batch = sent.batch
        written, unchanged_in_all = len(found) - same, batch.unchanged + same
        counts = Counts(batch.read, written, unchanged_in_all, len(letters), batch.digest)
        self._settled += counts
        if letters:
            self._events.warning(
                "dead_letters", count=len(letters), kinds={letter.kind for letter in letters}
            )
        for _ in range(self._ledger.settle(sent.entry, counts)):
            self._ahead.release()

    def _tell(self) -> None:
        if self._progress is not None:
            self._progress(
                Progress(
                    range_id=self._range_id,
                    documents=self._settled.read,
                    expected=self.checkpoint.key_range.expected,
                    in_flight=self._slots.in_flight,
                    retries=self._effort().retries,
                    dead_lettered=self._settled.dead_lettered,
                )
            )

    # --- the checkpoint ---

    def _effort(self) -> Effort:
        return self._resumed.effort + effort_of(self._caller, self._retries)

    async def _save(self, status: Status, problem: str | None = None) -> None:
        self._saved_at = self._clock()
        self.checkpoint = replace(
            self.checkpoint,
            status=status,
            position=self._ledger.position,
            counts=self._ledger.counts,
            effort=self._effort(),
            active_s=self._resumed.active_s + self._saved_at - self._began,
            problem=problem,
        )
        await self._checkpoints.save(self.checkpoint)

    async def _save_at_end(self, status: Status, problem: str) -> None:
        """Saves the low-water mark in the little time there is; what ended the range matters more."""
        self._events.warning(f"range_{status}", problem=problem, position=self._ledger.position)
        try:
            async with asyncio.timeout(SAVE_TIMEOUT_S):
                await self._save(status, problem)
        except (EngineError, TimeoutError) as error:
            self._events.warning("checkpoint_not_saved", error=error)


def report_of(checkpoint: Checkpoint) -> Report:
    """A checkpoint as the report of its range."""
    return Report(
        run_id=checkpoint.key_range.run_id,
        status=checkpoint.status,
        range_id=checkpoint.key_range.range_id,
        expected=checkpoint.key_range.expected,
        **checkpoint.counts.to_document(),
        **asdict(checkpoint.effort),
        attempts=checkpoint.attempts,
        active_s=checkpoint.active_s,
        started_at=checkpoint.started_at,
        finished_at=checkpoint.updated_at,
        problems=(checkpoint.problem,) if checkpoint.problem else (),
    )
