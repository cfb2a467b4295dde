"""The queues between the stages: batches to extract, and groups of batches large enough for one write."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from engine.calling.blame.refusal import Outcome, Refusal
from engine.errors import Failure, Unstorable
from engine.keys.bson_values import lookup_key
from engine.model import Counts, DeadLetter, Extraction, extraction_of
from engine.running.batches import Batch
from engine.running.low_water_mark import PendingBatch
from engine.storing.writer import Writer

Results: TypeAlias = tuple[list[Extraction], list[DeadLetter]]
"""The extractions and dead letters to write for a batch."""

UNSTORABLE = "what the service gave cannot be stored"

T = TypeVar("T")


class Channel(Generic[T]):
    """Passes items from one stage to the tasks of the next, in order, until it is closed.

    Args:
        capacity: the most items that wait in it; `put` waits while it is full.
    """

    def __init__(self, capacity: int) -> None:
        self._room = asyncio.Semaphore(capacity)
        self._items: asyncio.Queue[T | None] = asyncio.Queue()  # None marks the end
        self._waiting = 0

    def __len__(self) -> int:
        return self._waiting

    async def put(self, item: T) -> None:
        """Adds an item; waits until there is room."""
        await self._room.acquire()
        self._waiting += 1
        self._items.put_nowait(item)

    async def get(self) -> T | None:
        """Returns the next item, or None once the channel is closed and empty."""
        item = await self._items.get()
        if item is None:
            self._items.put_nowait(None)  # the other tasks need the end mark too
        else:
            self._waiting -= 1
            self._room.release()
        return item

    def close(self) -> None:
        """Announces that no item will follow."""
        self._items.put_nowait(None)

    def drop(self) -> None:
        """Closes the channel and discards the items that wait in it."""
        while not self._items.empty():
            self._items.get_nowait()
        self._waiting = 0
        self.close()


@dataclass(slots=True)
class BatchInFlight:
    """A batch on its way through the stages.

    Attributes:
        pending: its entry in the low-water mark.
        outcomes: one for each of the batch's `ids`, once the service has answered.
    """

    batch: Batch
    pending: PendingBatch
    outcomes: Sequence[Outcome] = ()

    def results(self, range_id: str) -> Results:
        """Returns the extractions and dead letters to write for the batch."""
        batch, rows = self.batch, zip(self.batch.ids, self.outcomes, self.batch.hashes, strict=True)
        if Refusal not in set(map(type, self.outcomes)):
            return batch.extractions + list(map(extraction_of, rows)), batch.dead_letters
        extractions, letters = list(batch.extractions), list(batch.dead_letters)
        for document_id, outcome, text_hash in rows:
            if isinstance(outcome, Refusal):
                letters.append(outcome.dead_letter(document_id, text_hash, range_id))
            else:
                extractions.append(Extraction(document_id, outcome, text_hash))
        return extractions, letters

    def letters(self, range_id: str) -> tuple[int, Counter[str]]:
        """Returns the number of documents that have an outcome, and the reasons of the dead letters."""
        documents = self.batch.read - self.batch.unchanged
        return documents, Counter(letter.reason or letter.kind for letter in self.results(range_id)[1])

    def counts(self, results: Results, unchanged: AbstractSet[Any]) -> Counts:
        """Counts what became of the batch's documents.

        Args:
            results: what was written for the batch.
            unchanged: look-up keys of the extractions that the writer found to be stored already.
        """
        batch, (extractions, letters) = self.batch, results
        same = sum(lookup_key(e.document_id) in unchanged for e in extractions) if unchanged else 0
        reasons = dict(Counter(letter.reason or letter.kind for letter in letters)) if letters else {}
        counts = batch.read, len(extractions) - same, batch.unchanged + same, len(letters), batch.digest
        return Counts(*counts, reasons)


def joined(results: Sequence[Results]) -> Results:
    """Returns the results of several batches as those of one."""
    return [e for found, _ in results for e in found], [
        letter for _, letters in results for letter in letters
    ]


def with_letters(
    results: Results, problems: Mapping[Any, str], range_id: str
) -> tuple[Results, list[DeadLetter]]:
    """Replaces the extractions that can never be stored by dead letters.

    Args:
        problems: what is wrong with each of them, by the look-up key of its `_id`.

    Returns:
        The results with them, and the new dead letters alone.
    """
    extractions, letters = results
    refused = [e for e in extractions if lookup_key(e.document_id) in problems]
    new = [
        DeadLetter(
            e.document_id,
            Failure.PERMANENT.value,
            f"{UNSTORABLE}: it {problems[lookup_key(e.document_id)]}",
            range_id,
            text_hash=e.text_hash,
            reason=UNSTORABLE,
        )
        for e in refused
    ]
    kept = [e for e in extractions if lookup_key(e.document_id) not in problems]
    return (kept, [*letters, *new]), new


async def made_durable(
    writer: Writer, results: list[Results], range_id: str
) -> tuple[list[Results], frozenset[Any]]:
    """Writes the results; an extraction that can never be stored becomes a dead letter.

    Returns:
        The results as they are stored, and the look-up keys of those that were stored already.
    """
    try:
        return results, await writer.write(*joined(results))
    except Unstorable as refused:
        changed = [with_letters(each, refused.problems, range_id) for each in results]
        await writer.write([], [letter for _, new in changed for letter in new])
        return [each for each, _ in changed], refused.unchanged


class WriteBuffer(Channel["BatchInFlight"]):
    """A channel of batches that have their outcomes, from which they are taken in groups by several tasks.

    Args:
        capacity: how many batches it holds.
        documents, chars: a group of at least so many documents or characters is complete.
        wait_s: how long an incomplete group waits for another batch.
    """

    def __init__(self, capacity: int, *, documents: int, chars: int, wait_s: float) -> None:
        super().__init__(capacity)
        self._most_documents, self._most_chars, self._wait_s = documents, chars, wait_s
        self._gathering = asyncio.Lock()

    async def next_group(self) -> list[BatchInFlight]:
        """Returns the next batches to write together; an empty list when no batch will follow.

        A group is complete when it reaches `documents` or `chars`, or when no other batch comes within
        `wait_s`.
        """
        group: list[BatchInFlight] = []
        documents = chars = 0
        async with self._gathering:
            while documents < self._most_documents and chars < self._most_chars:
                batch = await self._next(self._wait_s if group else None)
                if batch is None:
                    break
                group.append(batch)
                documents, chars = documents + batch.batch.read, chars + batch.batch.chars
        return group

    async def _next(self, wait_s: float | None) -> BatchInFlight | None:
        """Returns the next batch; None if no batch will follow, or none comes within `wait_s`."""
        if len(self):
            return await self.get()  # a batch is waiting, so no timer is needed
        try:
            async with asyncio.timeout(wait_s):
                return await self.get()
        except TimeoutError:
            return None
