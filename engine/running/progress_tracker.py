"""What became of a range's documents so far: the ledger of its batches, kept durably by its checkpoint."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

from engine.calling.concurrency import Slots
from engine.errors import EngineError
from engine.keys.key import Key
from engine.model import Counts, Effort, Progress, Status
from engine.observing.events import Events
from engine.observing.timeline import Sample
from engine.report import Report
from engine.running.low_water_mark import Entry, Ledger
from engine.settings import Settings
from engine.storing.checkpoint import Checkpoint, CheckpointStore

SAVE_TIMEOUT_S = 2.5
"""A worker that gets SIGTERM has five seconds before SIGKILL (Airflow): after `drain_s`, this must fit."""

LOOK_S = 0.1
LOOKS_A_SAMPLE = 10
"""What is in flight is looked at this often, and their mean becomes a sample of the timeline."""

ProgressCallback = Callable[[Progress], None]


class Accounts:
    """The accounts of one attempt at one range.

    Attributes:
        checkpoint: as last saved.

    Args:
        effort: what this attempt's calls have taken so far.
        slots: of the requests at the service; the range's share of them goes into its timeline.
        progress: called by `tell`.
    """

    def __init__(
        self,
        store: CheckpointStore,
        checkpoint: Checkpoint,
        settings: Settings,
        *,
        effort: Callable[[], Effort],
        slots: Slots,
        progress: ProgressCallback | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.checkpoint = checkpoint
        self._store, self._resumed = store, checkpoint
        self._checkpoint_s = settings.checkpoint_s
        self._effort, self._slots, self._progress, self._clock, self._now = (
            effort,
            slots,
            progress,
            clock,
            now,
        )
        self._ledger = Ledger(checkpoint.position, checkpoint.counts)
        self._settled = checkpoint.counts
        self._events = Events(run=checkpoint.key_range.run_id, range=checkpoint.key_range.range_id)
        self._one_at_a_time = asyncio.Lock()
        self._began = self._saved_at = clock()
        self._timeline = checkpoint.timeline.begun(now(), checkpoint.counts.read)
        self._load = _Load()

    @property
    def position(self) -> Key | None:
        """The last Key finished with everything before it."""
        return self._ledger.position

    @property
    def counts(self) -> Counts:
        """What became of everything up to the position."""
        return self._ledger.counts

    @property
    def outstanding(self) -> int:
        """Batches read and beyond the position."""
        return self._ledger.outstanding

    def begin(self) -> None:
        """The range's time begins: until now it has waited for its turn."""
        self._began = self._clock()

    def admit(self, last: Key | None) -> Entry:
        """See `Ledger.admit`."""
        return self._ledger.admit(last)

    def settle(self, entry: Entry, counts: Counts) -> int:
        """Accounts for a batch that is durable now; see `Ledger.settle`."""
        self._settled += counts
        return self._ledger.settle(entry, counts)

    def start_over(self) -> None:
        """The next attempt begins at the start of the range."""
        self._ledger = Ledger()

    def tell(self) -> None:
        """Hands a glance at the range to the progress callback."""
        if self._progress is not None:
            key_range = self.checkpoint.key_range
            self._progress(
                Progress(
                    range_id=key_range.range_id,
                    documents=self._settled.read,
                    expected=key_range.expected,
                    in_flight=self._slots.in_flight,
                    retries=(self._resumed.effort + self._effort()).retries,
                    dead_lettered=self._settled.dead_lettered,
                )
            )

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Around the range at work: looks at what is in flight now and then."""
        self._look_later()
        try:
            with self._slots.shared():
                yield
        finally:
            self._next_look.cancel()

    def _look_later(self) -> None:
        self._next_look = asyncio.get_running_loop().call_later(LOOK_S, self._look)

    def _look(self) -> None:
        self._load = self._load.seen(self._slots)
        if self._load.looks >= LOOKS_A_SAMPLE:
            self._sample()
        self._look_later()

    def _sample(self) -> None:
        load, self._load = self._load, _Load()
        self._timeline = self._timeline.seen(Sample(self._now(), self._settled.read, *load.means))

    async def save_when_due(self) -> None:
        """Saves the checkpoint if the last time is `checkpoint_s` ago."""
        async with self._one_at_a_time:
            if self._clock() - self._saved_at >= self._checkpoint_s:
                await self.save(Status.RUNNING)

    async def save(self, status: Status, error: BaseException | None = None) -> None:
        """Saves the checkpoint: the position, and what became of everything up to it."""
        self._saved_at = self._clock()
        self._sample()
        self.checkpoint = replace(
            self.checkpoint,
            status=status,
            position=self._ledger.position,
            counts=self._ledger.counts,
            effort=self._resumed.effort + self._effort(),
            active_s=self._resumed.active_s + self._saved_at - self._began,
            problem=None if error is None else str(error),
            reason=None if error is None else type(error).__name__,
            timeline=self._timeline,
            updated_at=self._now(),
        )
        await self._store.save(self.checkpoint)

    async def save_at_end(self, status: Status, error: BaseException) -> None:
        """Saves the low-water mark in the little time there is; what ended the range matters more."""
        self._events.warning(f"range_{status}", problem=str(error), after=self._ledger.position)
        try:
            async with asyncio.timeout(SAVE_TIMEOUT_S):
                await self.save(status, error)
        except (EngineError, TimeoutError) as failed:
            self._events.warning("checkpoint_not_saved", error=failed)


@dataclass(frozen=True, slots=True)
class _Load:
    """What was in flight in all looks, of this range alone."""

    looks: int = 0
    in_flight: float = 0.0
    limit: float = 0.0

    def seen(self, slots: Slots) -> _Load:
        """With one more look; ranges that share the slots take equal shares."""
        ranges = max(1, slots.sharing)
        in_flight, limit = slots.in_flight / ranges, slots.limit / ranges
        return _Load(self.looks + 1, self.in_flight + in_flight, self.limit + limit)

    @property
    def means(self) -> tuple[float, float]:
        """In flight, and the limit."""
        looks = max(1, self.looks)
        return round(self.in_flight / looks, 2), round(self.limit / looks, 2)


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
        reason=checkpoint.reason,
    )
