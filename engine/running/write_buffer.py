"""Batches that have their outcomes, gathered into groups that are worth one write."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, TypeAlias

from engine.calling.caller import Outcome, Refusal
from engine.keys.bson_values import identity
from engine.model import Counts, DeadLetter, Extraction, extraction_of
from engine.running.batches import Batch
from engine.running.low_water_mark import Entry
from engine.settings import Settings

Results: TypeAlias = tuple[list[Extraction], list[DeadLetter]]
"""What is to be written for a batch."""


@dataclass(slots=True)
class Sent:
    """A batch on its way through the stages."""

    batch: Batch
    entry: Entry
    outcomes: Sequence[Outcome] = ()

    def results(self, range_id: str) -> Results:
        """What is to be written for it."""
        batch, rows = self.batch, zip(self.batch.ids, self.outcomes, self.batch.hashes, strict=True)
        if Refusal not in set(map(type, self.outcomes)):
            return batch.extractions + list(map(extraction_of, rows)), batch.dead_letters
        found, letters = list(batch.extractions), list(batch.dead_letters)
        for document_id, outcome, text_hash in rows:
            if isinstance(outcome, Refusal):
                letters.append(outcome.dead_letter(document_id, text_hash, range_id))
            else:
                found.append(Extraction(document_id, outcome, text_hash))
        return found, letters

    def counts(self, found: Sequence[Extraction], letters: int, unchanged: AbstractSet[Any]) -> Counts:
        """What became of its documents.

        Args:
            unchanged: identities of the extractions that were found to be there already.
        """
        same = sum(identity(e.document_id) in unchanged for e in found) if unchanged else 0
        batch = self.batch
        return Counts(batch.read, len(found) - same, batch.unchanged + same, letters, batch.digest)


class Groups:
    """A bounded queue of batches, taken from it by groups."""

    def __init__(self, settings: Settings) -> None:
        self._most_documents, self._most_chars = settings.write_documents, settings.write_chars
        self._wait_s = settings.write_wait_s
        self._ready: asyncio.Queue[Sent | None] = asyncio.Queue(settings.max_concurrency)
        self._gathering = asyncio.Lock()
        self._ended = False

    @property
    def waiting(self) -> int:
        """Batches in the queue."""
        return self._ready.qsize()

    async def put(self, sent: Sent) -> None:
        """One batch more."""
        await self._ready.put(sent)

    async def end(self) -> None:
        """No more will come."""
        await self._ready.put(None)

    async def next(self) -> list[Sent]:
        """Batches to write together: so many documents or characters, or a time; none at the end."""
        group: list[Sent] = []
        documents = chars = 0
        async with self._gathering:
            while not self._ended and documents < self._most_documents and chars < self._most_chars:
                try:
                    sent = await self._another(self._wait_s if group else None)
                except TimeoutError:
                    break
                if sent is None:
                    self._ended = True
                else:
                    group.append(sent)
                    documents, chars = documents + sent.batch.read, chars + sent.batch.chars
        return group

    async def _another(self, wait_s: float | None) -> Sent | None:
        """The first is waited for; others are worth a little time: few large writes cost less."""
        if not self._ready.empty():
            return self._ready.get_nowait()
        async with asyncio.timeout(wait_s):
            return await self._ready.get()
