"""Batches that have their outcomes, gathered into groups that are worth one write."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from engine.batches import Batch
from engine.config import Settings
from engine.isolation import Outcome, Refusal
from engine.ledger import Entry
from engine.model import Counts, DeadLetter, Extraction
from engine.values import identity


@dataclass(slots=True)
class Sent:
    """A batch on its way through the stages."""

    batch: Batch
    entry: Entry
    outcomes: Sequence[Outcome] = ()

    def results(self, range_id: str) -> tuple[list[Extraction], list[DeadLetter]]:
        """What is to be written for it."""
        batch = self.batch
        found, letters = list(batch.extractions), list(batch.dead_letters)
        for document, text_hash, outcome in zip(batch.documents, batch.hashes, self.outcomes, strict=True):
            if isinstance(outcome, Refusal):
                letters.append(outcome.dead_letter(document, text_hash, range_id))
            else:
                found.append(Extraction(document.id, outcome, text_hash))
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
        async with self._gathering:
            with suppress(TimeoutError):
                while not self._ended and not self._is_full(group):
                    # The first is waited for; others are worth a little time: few large writes cost less.
                    async with asyncio.timeout(self._wait_s if group else None):
                        sent = await self._ready.get()
                    if sent is None:
                        self._ended = True
                    else:
                        group.append(sent)
        return group

    def _is_full(self, group: Sequence[Sent]) -> bool:
        documents = sum(sent.batch.read for sent in group)
        chars = sum(sent.batch.chars for sent in group)
        return documents >= self._most_documents or chars >= self._most_chars
