"""The low-water mark: how far a range is finished without a gap, whatever order requests end in. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from engine.keyset import Key
from engine.model import Counts


@dataclass(slots=True)
class Entry:
    """One batch on its way: the last Key it covers and, once it is durable, what became of its documents."""

    last: Key
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
        self._open: deque[Entry] = deque()

    def admit(self, last: Key) -> Entry:
        """Registers the next batch in reading order; `last` is the Key of its last document."""
        entry = Entry(last)
        self._open.append(entry)
        return entry

    def settle(self, entry: Entry, counts: Counts) -> int:
        """Marks a batch as durable; returns how many batches the position moved over."""
        entry.counts = counts
        moved = 0
        while self._open and self._open[0].counts is not None:
            head = self._open.popleft()
            self.position = head.last
            self.counts += head.counts or Counts()
            moved += 1
        return moved

    @property
    def outstanding(self) -> int:
        """Batches admitted and not yet passed by the position."""
        return len(self._open)
