"""Tracks what became of a range's documents, and keeps it durable in the range's checkpoint."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

from engine.calling.concurrency import Slots
from engine.calling.retry import EffortCounter
from engine.errors import EngineError, WriteError
from engine.keys.key import Key, KeyRange
from engine.model import Counts, Progress, Status
from engine.mongo.collection_info import is_replaced
from engine.observing.events import Events
from engine.observing.timeline import Sample
from engine.report import RangeReport
from engine.running.low_water_mark import LowWaterMark, PendingBatch
from engine.storing.checkpoint import Checkpoint, CheckpointStore
from engine.wording import escape_controls

SAVE_TIMEOUT_S = 1.0
"""Longest time to save the checkpoint of a range that stopped early. Airflow sends SIGKILL five seconds after
SIGTERM, and a person who presses Ctrl-C waits."""

SILENT_SAVE_TIMEOUT_S = 0.25
"""The same if MongoDB has answered nothing before: most likely it does not answer now."""

READ_EVERY_S = 0.1
READINGS_PER_SAMPLE = 10
"""The requests in flight are read every 0.1 s; the mean of ten readings is one sample of the timeline."""

ProgressCallback = Callable[[Progress], None]


class ProgressTracker:
    """Tracks one attempt at one range: its low-water mark, its timeline and its checkpoint.

    Attributes:
        checkpoint: the checkpoint as last saved.

    Args:
        checkpoint_s: `save_when_due` saves so often.
        counter: counts what the requests of this attempt take.
        slots: the slots of the requests in flight; the range's share of them goes into its timeline.
        progress: called by `report_progress`.
        notes: returns what there is to note by now.
        collections: the identities of the collections of results, as far as they are known; it may grow.
        clock: monotonic seconds; injected by tests, like `now`.
    """

    def __init__(
        self,
        store: CheckpointStore,
        checkpoint: Checkpoint,
        *,
        checkpoint_s: float,
        counter: EffortCounter,
        slots: Slots,
        progress: ProgressCallback | None = None,
        notes: Callable[[], Iterable[str]] = tuple,
        collections: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.checkpoint = checkpoint
        self._store, self._resumed = store, checkpoint
        self._checkpoint_s = checkpoint_s
        self._counter, self._slots, self._progress, self._notes = counter, slots, progress, notes
        self._clock, self._now = clock, now
        self._collections = {} if collections is None else collections
        self._mark = LowWaterMark(checkpoint.position, checkpoint.counts)
        self._durable = checkpoint.counts
        self._events = Events(run=checkpoint.key_range.run_id, range=checkpoint.key_range.range_id)
        self._saving = asyncio.Lock()
        self._began = self._saved_at = clock()
        self._timeline = checkpoint.timeline.with_start(now(), checkpoint.counts.read)
        self._load = _Load()

    @property
    def position(self) -> Key | None:
        """The last Key that is finished together with everything before it."""
        return self._mark.position

    @property
    def counts(self) -> Counts:
        """What became of all documents up to the position."""
        return self._mark.counts

    @property
    def pending(self) -> int:
        """How many batches were read and lie beyond the position."""
        return self._mark.pending

    def start_clock(self) -> None:
        """Starts counting the range's active time: until now the range has waited for its turn to read."""
        self._began = self._clock()

    def register(self, last: Key | None) -> PendingBatch:
        """Registers the next batch in reading order (`LowWaterMark.register`)."""
        return self._mark.register(last)

    def complete(self, batch: PendingBatch, counts: Counts) -> int:
        """Counts a batch that is durable now (`LowWaterMark.complete`)."""
        self._durable += counts
        return self._mark.complete(batch, counts)

    def start_over(self) -> None:
        """Resets the position, so that the next attempt reads the range from its start."""
        self._mark = LowWaterMark()

    def report_progress(self) -> None:
        """Calls the progress callback, if there is one."""
        if self._progress is not None:
            key_range = self.checkpoint.key_range
            self._progress(
                Progress(
                    range_id=key_range.range_id,
                    documents=self._durable.read,
                    expected=key_range.expected,
                    in_flight=self._slots.in_flight,
                    retries=(self._resumed.effort + self._counter.effort).retries,
                    dead_lettered=self._durable.dead_lettered,
                )
            )

    @contextmanager
    def sampling(self) -> Iterator[None]:
        """Samples the requests in flight for the timeline while the block runs."""
        self._schedule_reading()
        try:
            with self._slots.shared():
                yield
        finally:
            self._next_reading.cancel()

    def _schedule_reading(self) -> None:
        self._next_reading = asyncio.get_running_loop().call_later(READ_EVERY_S, self._read_load)

    def _read_load(self) -> None:
        self._load = self._load.with_reading(self._slots)
        if self._load.readings >= READINGS_PER_SAMPLE:
            self._add_sample()
        self._schedule_reading()

    def _add_sample(self) -> None:
        load, self._load = self._load, _Load()
        self._timeline = self._timeline.with_sample(Sample(self._now(), self._durable.read, *load.means))

    async def save_when_due(self) -> None:
        """Saves the checkpoint if it was last saved at least `checkpoint_s` ago."""
        async with self._saving:
            if self._clock() - self._saved_at >= self._checkpoint_s:
                await self.save(Status.RUNNING)

    async def save(self, status: Status, error: BaseException | None = None) -> None:
        """Saves the checkpoint: the position, the counts up to it, and what the attempt has taken so far."""
        self._saved_at = self._clock()
        self._add_sample()
        self.checkpoint = replace(
            self.checkpoint,
            status=status,
            position=self._mark.position,
            counts=self._mark.counts,
            effort=self._resumed.effort + self._counter.effort,
            active_s=self._resumed.active_s + self._saved_at - self._began,
            problem=None if error is None else problem_of(error),
            reason=None if error is None else type(error).__name__,
            timeline=self._timeline,
            notes=tuple(dict.fromkeys((*self._resumed.notes, *self._notes()))),
            collections={**self.checkpoint.collections, **self._collections},
            updated_at=self._now(),
        )
        await self._store.save(self.checkpoint)

    async def save_at_end(
        self, status: Status, error: BaseException, timeout_s: float = SAVE_TIMEOUT_S
    ) -> None:
        """Saves the checkpoint of a range that stopped early.

        It takes at most `timeout_s`. If it fails, it only logs a warning, so that the error which ended
        the range is the one that surfaces.
        """
        self._events.warning(f"range_{status}", problem=str(error), after=self._mark.position)
        try:
            async with asyncio.timeout(timeout_s):
                await self.save(status, error)
        except (EngineError, TimeoutError) as failed:
            self._events.warning("checkpoint_not_saved", error=str(failed) or f"no answer in {timeout_s} s")


@dataclass(frozen=True, slots=True)
class _Load:
    """Sums over several readings of this range's requests in flight, and of its share of their limit."""

    readings: int = 0
    in_flight: float = 0.0
    limit: float = 0.0

    def with_reading(self, slots: Slots) -> _Load:
        """Adds a reading; ranges that share the slots count with equal shares of them."""
        ranges = max(1, slots.sharing)
        in_flight, limit = slots.in_flight / ranges, slots.limit / ranges
        return _Load(self.readings + 1, self.in_flight + in_flight, self.limit + limit)

    @property
    def means(self) -> tuple[float, float]:
        """The mean number of requests in flight, and the mean limit."""
        readings = max(1, self.readings)
        return round(self.in_flight / readings, 2), round(self.limit / readings, 2)


class RunProgress:
    """Sums the progress of a run's ranges for its callback."""

    def __init__(
        self, expected: int, done: Mapping[str, RangeReport], callback: ProgressCallback | None
    ) -> None:
        self._callback = callback
        self._expected = expected
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


PROBLEM_CHARS = 2000


def problem_of(error: BaseException) -> str:
    """Says what ended a range, as it can be stored and shown: part of it may come from outside."""
    return escape_controls(str(error)[:PROBLEM_CHARS])


def report_of(checkpoint: Checkpoint) -> RangeReport:
    """Makes the report of a range from its checkpoint."""
    return RangeReport(
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
        reason=checkpoint.reason,
        notes=checkpoint.notes,
    )


def report_on(checkpoint: Checkpoint, now: Mapping[str, str]) -> RangeReport:
    """Makes the report of a range, which has failed if the collections of its results are others now.

    Args:
        now: the identities of the collections of results that there are.
    """
    report = report_of(checkpoint)
    used = {name: was for name, was in checkpoint.collections.items() if name != "source"}
    lost = [name.replace("_", " ") for name, was in used.items() if is_replaced(was, now.get(name))]
    if report.status is not Status.SUCCEEDED or not lost:
        return report
    why = f"the collection of its {' and '.join(lost)} was dropped or renamed since; run it again"
    return replace(report, status=Status.FAILED, problems=(why,), reason=WriteError.__name__)


def failed_report(key_range: KeyRange, error: EngineError) -> RangeReport:
    """Makes the report of a range that an error has ended, of which no checkpoint tells."""
    return RangeReport(
        run_id=key_range.run_id,
        status=Status.FAILED,
        range_id=key_range.range_id,
        expected=key_range.expected,
        problems=(problem_of(error),),
        reason=type(error).__name__,
    )
