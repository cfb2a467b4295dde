"""The parts of a pipeline in memory: a source, a writer, a range. What is durable survives the attempt."""

from __future__ import annotations

import asyncio

from engine import Key, KeyRange, Settings, Status
from engine.keys.bson_values import identity
from engine.model import Page
from engine.running.pipeline import RangeAttempt
from engine.storing.checkpoint import MemoryCheckpoints
from tests.support.virtual_time import now_s

RANGE = KeyRange(Key((0,)), Key((10**9,)), "0000", "run")

SMALL = Settings(
    batch_texts=4,
    min_concurrency=4,
    max_concurrency=4,
    write_documents=4,
    checkpoint_s=0,
    max_ahead_batches=8,
)
"""Settings with little of everything, so that a few texts fill all queues."""


class MemorySource:
    """Documents 0, 1, ... of these texts, some a page."""

    resumes_anywhere = True

    def __init__(self, texts, page=4):
        self.texts, self.page = texts, page

    async def pages(self, after):
        """From the one after that Key."""
        first = after.values[-1] + 1 if after else 0
        for at in range(first, len(self.texts), self.page):
            await asyncio.sleep(0)
            until = min(at + self.page, len(self.texts))
            yield Page((range(at, until),), self.texts[at:until])

    @staticmethod
    def position(last, *, ends_page):
        """A range may go on after any document."""
        return Key(last)

    async def count_unread(self, read):
        """Those that no attempt has accounted for."""
        return len(self.texts) - read


class MemoryWriter:
    """Keeps what is written.

    Attributes:
        stored: text hashes by `_id`.
        letters: dead letters by `_id`.
        writes: how often each `_id` was stored.
    """

    def __init__(self):
        self.stored, self.letters, self.writes = {}, {}, {}

    async def known(self, ids):
        """As a target that has an index on `_id`."""
        await asyncio.sleep(0)
        return {identity(i): self.stored[i] for i in ids if i in self.stored}

    async def write(self, extractions, dead_letters):
        """Durable from here on."""
        await asyncio.sleep(0)
        same = frozenset(identity(e.document_id) for e in extractions if e.document_id in self.stored)
        for extraction in extractions:
            self.stored[extraction.document_id] = extraction.text_hash
            self.letters.pop(extraction.document_id, None)
            self.writes[extraction.document_id] = self.writes.get(extraction.document_id, 0) + 1
        self.letters |= {letter.document_id: letter for letter in dead_letters}
        return same


class Watched(MemoryCheckpoints):
    """Checkpoints that check, at each save, that all before them is durable."""

    def __init__(self, writer):
        super().__init__()
        self.writer, self.saved = writer, []

    async def save(self, checkpoint):
        """Fails if the position is ahead of what is durable (trap 29, docs/traps.md)."""
        await super().save(checkpoint)
        self.saved.append(checkpoint)
        done = set(self.writer.stored) | set(self.writer.letters)
        last = checkpoint.position.values[-1] if checkpoint.position else -1
        assert set(range(last + 1)) <= done, f"checkpoint at {last} is ahead of {sorted(done)}"
        assert checkpoint.counts.balanced
        assert checkpoint.counts.read == last + 1 or checkpoint.status is Status.FAILED


async def attempt_at(service, source, writer, checkpoints, settings, **options):
    """The next attempt at the range, claimed."""
    checkpoint = await checkpoints.claim(RANGE)
    return RangeAttempt(service, source, writer, checkpoints, checkpoint, settings, clock=now_s, **options)
