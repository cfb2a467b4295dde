"""A stage that swallows its cancellation, as `asyncio.wait_for` does before Python 3.12, still ends."""

from __future__ import annotations

import asyncio

import pytest

from engine import Settings, Status, Tuning, WriteError
from tests.support.memory_parts import MemorySource, MemoryWriter, Watched, attempt_at
from tests.support.virtual_time import run_virtually

SMALL = Settings(
    batch_texts=4, max_concurrency=2, drain_s=0.5, tuning=Tuning(write_documents=4, max_ahead_batches=8)
)


async def nothing_found(texts):
    """Answers at once."""
    await asyncio.sleep(0)
    return [[] for _ in texts]


class Service:
    """A service that finds no entities."""

    extract = staticmethod(nothing_found)


class DeafSource(MemorySource):
    """A source whose first fetch takes a second and swallows its cancellation.

    Attributes:
        cancelled: how often it was.
    """

    cancelled = 0

    async def pages(self, after):
        """Yields one page at once and the next ones after the slow fetch."""
        slow = True
        async for page in super().pages(after):
            yield page
            if slow:
                slow = False
                try:
                    await asyncio.sleep(1)
                except asyncio.CancelledError:
                    self.cancelled += 1


class RefusingWriter(MemoryWriter):
    """Refuses every write."""

    async def write(self, extractions, dead_letters):
        """Raises the error."""
        raise WriteError("disk full")


def test_trap_32_a_swallowed_cancellation_does_not_keep_an_error_from_surfacing():
    """The reader reads on, though no stage takes its batches, until it is cancelled again."""

    async def main():
        source, written = DeafSource([f"text {n}" for n in range(400)]), RefusingWriter()
        attempt = await attempt_at(Service(), source, written, Watched(written), SMALL)
        with pytest.raises(WriteError, match="disk full"):
            await asyncio.wait_for(attempt.run(), 60)
        assert (source.cancelled, attempt.checkpoint.status) == (1, Status.FAILED)

    run_virtually(main())


def test_trap_32_a_swallowed_cancellation_does_not_keep_a_range_from_being_cancelled():
    """The range ends, and its checkpoint says `interrupted`."""

    async def main():
        source, written = DeafSource([f"text {n}" for n in range(400)]), MemoryWriter()
        attempt = await attempt_at(Service(), source, written, Watched(written), SMALL)
        running = asyncio.create_task(attempt.run())
        await asyncio.sleep(0.5)
        running.cancel()
        done, _ = await asyncio.wait([running], timeout=60)
        assert done
        assert running.cancelled()
        assert (source.cancelled, attempt.checkpoint.status) == (1, Status.INTERRUPTED)

    run_virtually(main())
