"""Ranges that run in one process are read in turn, and leave nothing in memory when they have ended."""

from __future__ import annotations

import asyncio
import gc
import weakref

from engine import Status
from engine.calling.endpoint import Endpoint
from tests.support.memory_parts import SMALL, MemorySource, MemoryWriter, Watched, attempt_at
from tests.support.virtual_time import now_s, run_virtually

TEXTS = [f"text {n}" for n in range(80)]


class Service:
    """Takes a tenth of a second and finds no entities."""

    async def extract(self, texts):
        """Answers with no entities."""
        await asyncio.sleep(0.1)
        return [[] for _ in texts]


class WatchedSource(MemorySource):
    """Records when reading begins and ends, in seconds."""

    def __init__(self, texts):
        super().__init__(texts)
        self.read_s = []

    async def pages(self, after):
        """Yields the pages."""
        self.read_s.append(now_s())
        async for page in super().pages(after):
            yield page
        self.read_s.append(now_s())


def test_ranges_that_share_a_turn_are_read_one_after_another():
    """The next range begins when the one before has read everything but still has requests in flight."""

    async def main():
        turn, sources, ended_s = asyncio.Lock(), [WatchedSource(TEXTS) for _ in range(3)], []
        endpoint = Endpoint(SMALL, clock=now_s)

        async def one(source):
            written = MemoryWriter()
            attempt = await attempt_at(
                Service(), source, written, Watched(written), SMALL, endpoint=endpoint, turn=turn
            )
            await attempt.run()
            ended_s.append(now_s())

        await asyncio.gather(*map(one, sources))
        begun, done = zip(*sorted(source.read_s for source in sources), strict=True)
        assert all(done[n] <= begun[n + 1] < ended_s[n] for n in range(2))

    run_virtually(main())


def test_a_deadline_begins_with_the_turn():
    """Each takes three quarters of a second; the last one waits longer than that, which does not count."""

    async def main():
        endpoint, turn = Endpoint(SMALL, clock=now_s), asyncio.Lock()
        timed = SMALL.model_copy(update={"deadline_s": 1.0})

        async def one(_):
            written = MemoryWriter()
            attempt = await attempt_at(
                Service(), MemorySource(TEXTS), written, Watched(written), timed, endpoint=endpoint, turn=turn
            )
            return await attempt.run(), attempt.checkpoint.active_s

        ended = await asyncio.gather(*map(one, range(3)))
        assert [status for status, _ in ended] == [Status.SUCCEEDED] * 3
        assert max(active_s for _, active_s in ended) < 1.0

    run_virtually(main())


def test_a_range_that_has_ended_leaves_no_cycle_behind():
    """Its texts and answers are freed at once, because the garbage collector runs rarely."""

    async def main():
        written = MemoryWriter()
        attempt = await attempt_at(Service(), MemorySource(TEXTS), written, Watched(written), SMALL)
        await attempt.run()
        return weakref.ref(attempt)

    gc.collect()
    gc.disable()
    try:
        assert run_virtually(main())() is None
    finally:
        gc.enable()
