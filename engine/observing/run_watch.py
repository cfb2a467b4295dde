"""What the ranges of a run in this process share: the turn to read, what stops them, the dead letters."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping

from engine.errors import EngineError, Interrupted, TooManyDeadLetters
from engine.wording import share

MOST_REASONS = 5
"""Reasons of dead letters that the error names."""


class RunWatch:
    """Lets one range of a run read at a time and stop the others; judges the share of dead letters.

    Attributes:
        turn: held while a range is read.
        stopped: its result is the error that has stopped the run.

    Args:
        max_share: the largest share of dead letters among the documents that were sent, or had no text.
        documents: the share is judged once there are so many of them.
    """

    def __init__(self, max_share: float = 1.0, documents: int = 1, turn: asyncio.Lock | None = None) -> None:
        self.turn = turn or asyncio.Lock()
        self.stopped: asyncio.Future[EngineError] = asyncio.get_running_loop().create_future()
        self._max_share, self._least = max_share, documents
        self._documents, self._reasons = 0, Counter[str]()

    @property
    def judges(self) -> bool:
        """Whether any share of dead letters would stop the run."""
        return self._max_share < 1

    def stop(self, error: EngineError) -> None:
        """Stops all ranges of the run, unless it is stopped already."""
        if not self.stopped.done():
            self.stopped.set_result(error)

    def reason_to_stop(self, range_id: str) -> EngineError | None:
        """Returns why a range must stop: its own error, or that another range has stopped the run."""
        if not self.stopped.done():
            return None
        error = self.stopped.result()
        if error.range_id == range_id:
            return error
        return Interrupted(f"range {error.range_id} has stopped the run: {error}")

    def count(self, documents: int, reasons: Mapping[str, int], range_id: str) -> None:
        """Counts documents that have an outcome now; stops the run if too many are dead letters.

        Args:
            documents: how many; those that were found unchanged do not count.
            reasons: the reasons of the dead letters among them, with their numbers.
        """
        self._documents += documents
        self._reasons.update(reasons)
        letters = self._reasons.total()
        if self._documents < self._least or letters <= self._max_share * self._documents:
            return
        most = self._reasons.most_common(MOST_REASONS)
        named = "; ".join(f"{count:,} x {reason}" for reason, count in most)
        error = TooManyDeadLetters(
            f"{letters:,} of the first {self._documents:,} documents were dead-lettered "
            f"({share(letters, self._documents)}), and max_dead_letter_share allows {self._max_share:g}: "
            f"{named}; mend the cause, run again to go on, and replay the dead letters",
            range_id=range_id,
        )
        self.stop(error)
