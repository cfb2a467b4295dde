"""The low-water mark: the position up to which a range is finished without a gap. Pure.

Requests end in any order, so batches become durable in any order too. The mark moves only over batches that
are durable together with every batch before them: if batches 1, 2 and 4 are durable, it stands after batch 2.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from engine.keys.key import Key
from engine.model import Counts


@dataclass(slots=True)
class PendingBatch:
    """A batch that the low-water mark has not passed yet.

    Attributes:
        last: the Key that reading can resume after once the batch is done; None if it cannot resume there.
        counts: what became of the batch's documents; None until they are durable.
    """

    last: Key | None
    counts: Counts | None = None


class LowWaterMark:
    """Moves a position over the longest prefix of batches that are durable.

    Attributes:
        position: the last Key that is finished together with everything before it; None at the start.
        counts: what became of all documents up to the position.
    """

    def __init__(self, position: Key | None = None, counts: Counts | None = None) -> None:
        self.position = position
        self.counts = counts or Counts()
        # Counts of finished batches after the position: reading cannot resume between these and the next one.
        self._beyond = Counts()
        self._pending: deque[PendingBatch] = deque()

    @property
    def pending(self) -> int:
        """How many batches were registered and are not finished together with everything before them."""
        return len(self._pending)

    def register(self, last: Key | None) -> PendingBatch:
        """Registers the next batch in reading order.

        Args:
            last: the Key to resume after it; None if reading cannot resume there.
        """
        batch = PendingBatch(last)
        self._pending.append(batch)
        return batch

    def complete(self, batch: PendingBatch, counts: Counts) -> int:
        """Marks a batch as durable; returns how many batches the mark has passed because of it."""
        batch.counts = counts
        passed = 0
        while self._pending and (head := self._pending[0]).counts is not None:
            self._pending.popleft()
            self._beyond += head.counts
            passed += 1
            if head.last is not None:
                self.position, self.counts = head.last, self.counts + self._beyond
                self._beyond = Counts()
        return passed
