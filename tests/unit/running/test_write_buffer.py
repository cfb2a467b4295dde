"""The write buffer groups batches for large writes, keeps their order, and leaves none behind."""

from __future__ import annotations

import asyncio

from engine import Key
from engine.running.batches import Batch
from engine.running.low_water_mark import PendingBatch
from engine.running.write_buffer import BatchInFlight, WriteBuffer
from tests.support.settings import settings_with
from tests.support.virtual_time import now_s, run_virtually


def sent(read=10, chars=100):
    """A batch of this many documents and characters."""
    return BatchInFlight(Batch(read=read, chars=chars), PendingBatch(Key((1,))))


def buffer_of(**settings):
    """A buffer with room for 8 batches."""
    tuning = settings_with(**settings).tuning
    wait_s = tuning.write_wait_s
    return WriteBuffer(8, documents=tuning.write_documents, chars=tuning.write_chars, wait_s=wait_s)


async def sizes(buffer):
    """The number of batches in each group, up to the end."""
    found = []
    while group := await buffer.next_group():
        found.append(len(group))
    return found


async def filled(buffer, batches):
    """Puts all batches at once and closes the buffer."""
    for batch in batches:
        await buffer.put(batch)
    buffer.close()


def test_a_group_ends_with_enough_documents():
    """The batch that reaches the number is still part of the group."""

    async def main():
        buffer = buffer_of(write_documents=25)
        await filled(buffer, [sent() for _ in range(7)])
        assert await sizes(buffer) == [3, 3, 1]

    run_virtually(main())


def test_a_group_ends_with_enough_characters():
    """Large texts make small groups."""

    async def main():
        buffer = buffer_of(write_chars=150)
        await filled(buffer, [sent(chars=149), sent(chars=1), sent(chars=500), sent(chars=1)])
        assert await sizes(buffer) == [2, 1, 1]

    run_virtually(main())


def test_the_first_batch_is_awaited_and_the_next_ones_for_a_short_time():
    """Batches that come within `write_wait_s` of each other are written together; a later one is not."""

    async def main():
        buffer = buffer_of(write_wait_s=0.02)

        async def come():
            for pause_s in (5, 0.01, 0.01, 0.03):
                await asyncio.sleep(pause_s)
                await buffer.put(sent())
            buffer.close()

        async with asyncio.TaskGroup() as group:
            group.create_task(come())
            assert len(await buffer.next_group()) == 3
            assert now_s() < 5.05
            assert await sizes(buffer) == [1]

    run_virtually(main())


def test_writers_side_by_side_share_the_batches():
    """Each batch is in one group; all of them see the end."""

    async def main():
        buffer = buffer_of(write_documents=10)
        async with asyncio.TaskGroup() as group:
            takers = [group.create_task(sizes(buffer)) for _ in range(3)]
            await filled(buffer, [sent() for _ in range(20)])
        assert sum(sum(taker.result()) for taker in takers) == 20

    run_virtually(main())
