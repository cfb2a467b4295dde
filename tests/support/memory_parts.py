"""A source, a writer and checkpoints in memory, with which a test runs attempts at one range."""

from __future__ import annotations

import asyncio

from engine import Key, KeyRange, Settings, Status, Tuning
from engine.calling.caller import Caller
from engine.calling.endpoint import Endpoint
from engine.keys.bson_values import lookup_key
from engine.model import Page
from engine.observing.run_watch import RunWatch
from engine.running.batches import Batcher
from engine.running.deduplication import SentTexts
from engine.running.pipeline import RangeAttempt
from engine.running.progress_tracker import ProgressTracker
from engine.storing.checkpoint import MemoryCheckpoints
from tests.support.virtual_time import now_s

RANGE = KeyRange(Key((0,)), Key((10**9,)), "0000", "run")

SMALL = Settings(
    batch_texts=4,
    min_concurrency=4,
    max_concurrency=4,
    checkpoint_s=0,
    tuning=Tuning(write_documents=4, max_ahead_batches=8),
)
"""Settings with small bounds, so that a few texts fill all queues."""


class MemorySource:
    """A source of documents 0, 1, ... with these texts, `page` of them a page."""

    resumes_anywhere = True

    def __init__(self, texts, page=4):
        self.texts, self.page = texts, page

    async def pages(self, after):
        """Yields the pages of the documents after this key; of all documents if it is None."""
        first = after.values[-1] + 1 if after else 0
        for at in range(first, len(self.texts), self.page):
            await asyncio.sleep(0)
            until = min(at + self.page, len(self.texts))
            yield Page((range(at, until),), self.texts[at:until])

    @staticmethod
    def position(last, *, ends_page):
        """The key from which a next attempt continues: any document can be the last one."""
        return Key(last)

    async def count_unread(self, read):
        """The number of documents that no attempt has read."""
        return len(self.texts) - read


class MemoryWriter:
    """A writer that keeps in memory what is written.

    Attributes:
        stored: text hashes by `_id`.
        letters: dead letters by `_id`.
        writes: how often each `_id` was stored.
    """

    def __init__(self):
        self.stored, self.letters, self.writes = {}, {}, {}

    async def known(self, ids):
        """The text hashes that are stored for these documents."""
        await asyncio.sleep(0)
        return {lookup_key(i): self.stored[i] for i in ids if i in self.stored}

    async def write(self, extractions, dead_letters):
        """Stores the extractions and the dead letters; returns the `_id`s that were stored before."""
        await asyncio.sleep(0)
        same = frozenset(lookup_key(e.document_id) for e in extractions if e.document_id in self.stored)
        for extraction in extractions:
            self.stored[extraction.document_id] = extraction.text_hash
            self.letters.pop(extraction.document_id, None)
            self.writes[extraction.document_id] = self.writes.get(extraction.document_id, 0) + 1
        self.letters |= {letter.document_id: letter for letter in dead_letters}
        return same


class Watched(MemoryCheckpoints):
    """Checkpoints in memory. Each save checks that every document up to the position is durable."""

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


async def attempt_at(
    service, source, writer, checkpoints, settings, *, progress=None, endpoint=None, turn=None, rng=None
):
    """Claims the range, and returns the next attempt at it."""
    checkpoint = await checkpoints.claim(RANGE)
    endpoint = endpoint or Endpoint(settings, clock=now_s, rng=rng)
    caller = Caller(service, endpoint, settings)
    sent_texts = SentTexts(settings.tuning.repeat_cache_texts)
    return RangeAttempt(
        source=source,
        batcher=Batcher(
            RANGE.range_id,
            endpoint.size,
            sent_texts,
            text_field=settings.text_field,
            empty_if_missing=settings.missing_text == "empty",
            spanning=source.resumes_anywhere,
        ),
        caller=caller,
        endpoint=endpoint,
        writer=writer,
        tracker=ProgressTracker(
            checkpoints,
            checkpoint,
            checkpoint_s=settings.checkpoint_s,
            counter=caller.counter,
            slots=endpoint.slots,
            progress=progress,
            clock=now_s,
        ),
        settings=settings,
        watch=RunWatch(turn=turn),
        skip_known=True,
    )
