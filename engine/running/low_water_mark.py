"""The low-water mark: how far a range is finished without a gap, whatever order requests end in. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from engine.keys.key import Key
from engine.model import Counts


@dataclass(slots=True)
class Entry:
    """One batch on its way, and what became of its documents once they are durable.

    Attributes:
        last: the Key that reading can go on after when the batch is done; None if it cannot go on there.
    """

    last: Key | None
    counts: Counts | None = None


class Ledger:
    """Moves a position over the contiguous prefix of settled entries, and never past an unsettled one.

    Attributes:
        position: the last Key that is finished with everything before it; None at the start.
        counts: what became of all documents up to the position.
    """

    def __init__(self, position: Key | None = None, counts: Counts | None = None) -> None:
        self.position = position
        self.counts = counts or Counts()
        self._passed = Counts()
        self._open: deque[Entry] = deque()

    def admit(self, last: Key | None) -> Entry:
        """Registers the next batch in reading order; `last` is the Key to go on after it, if there is one."""
        entry = Entry(last)
        self._open.append(entry)
        return entry

    def settle(self, entry: Entry, counts: Counts) -> int:
        """Marks a batch as durable; returns how many batches are finished with everything before them now."""
        entry.counts = counts
        finished = 0
        while self._open and self._open[0].counts is not None:
            head = self._open.popleft()
            self._passed += head.counts or Counts()
            finished += 1
            if head.last is not None:
                self.position, self.counts = head.last, self.counts + self._passed
                self._passed = Counts()
        return finished

    @property
    def outstanding(self) -> int:
        """Batches admitted and not yet finished with everything before them."""
        return len(self._open)
