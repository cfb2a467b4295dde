"""What became of a range's documents so far: the ledger of its batches, kept durably by its checkpoint."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import asdict, replace

from engine.checkpoints import Checkpoint, CheckpointStore
from engine.config import Settings
from engine.errors import EngineError
from engine.events import Events
from engine.keyset import Key
from engine.ledger import Entry, Ledger
from engine.model import Counts, Effort, Progress, Status
from engine.report import Report

SAVE_TIMEOUT_S = 2.5
"""A worker that gets SIGTERM has five seconds before SIGKILL (Airflow): after `drain_s`, this must fit."""

ProgressCallback = Callable[[Progress], None]


class Accounts:
    """The accounts of one attempt at one range.

    Attributes:
        checkpoint: as last saved.

    Args:
        effort: what this attempt's calls have taken so far.
        in_flight: requests at the service now.
        progress: called by `tell`.
    """

    def __init__(
        self,
        store: CheckpointStore,
        checkpoint: Checkpoint,
        settings: Settings,
        *,
        effort: Callable[[], Effort],
        in_flight: Callable[[], int],
        progress: ProgressCallback | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.checkpoint = checkpoint
        self._store, self._resumed = store, checkpoint
        self._checkpoint_s = settings.checkpoint_s
        self._effort, self._in_flight, self._progress, self._clock = effort, in_flight, progress, clock
        self._ledger = Ledger(checkpoint.position, checkpoint.counts)
        self._settled = checkpoint.counts
        self._events = Events(run=checkpoint.key_range.run_id, range=checkpoint.key_range.range_id)
        self._one_at_a_time = asyncio.Lock()
        self._began = self._saved_at = clock()

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
                    in_flight=self._in_flight(),
                    retries=(self._resumed.effort + self._effort()).retries,
                    dead_lettered=self._settled.dead_lettered,
                )
            )

    async def save_when_due(self) -> None:
        """Saves the checkpoint if the last time is `checkpoint_s` ago."""
        async with self._one_at_a_time:
            if self._clock() - self._saved_at >= self._checkpoint_s:
                await self.save(Status.RUNNING)

    async def save(self, status: Status, problem: str | None = None) -> None:
        """Saves the checkpoint: the position, and what became of everything up to it."""
        self._saved_at = self._clock()
        self.checkpoint = replace(
            self.checkpoint,
            status=status,
            position=self._ledger.position,
            counts=self._ledger.counts,
            effort=self._resumed.effort + self._effort(),
            active_s=self._resumed.active_s + self._saved_at - self._began,
            problem=problem,
        )
        await self._store.save(self.checkpoint)

    async def save_at_end(self, status: Status, problem: str) -> None:
        """Saves the low-water mark in the little time there is; what ended the range matters more."""
        self._events.warning(f"range_{status}", problem=problem, after=self._ledger.position)
        try:
            async with asyncio.timeout(SAVE_TIMEOUT_S):
                await self.save(status, problem)
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
