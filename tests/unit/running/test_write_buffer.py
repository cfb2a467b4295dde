"""Groups of batches: worth a write each, in the order they came, and none left behind."""

from __future__ import annotations

import asyncio

from engine import Key, Settings
from engine.running.batches import Batch
from engine.running.low_water_mark import Entry
from engine.running.write_buffer import Groups, Sent
from tests.support.virtual_time import now_s, run_virtually


def sent(read=10, chars=100):
    """A batch of so many documents and characters."""
    return Sent(Batch(read=read, chars=chars), Entry(Key((1,))))


def groups(**settings):
    """Room for 8 batches."""
    return Groups(Settings(max_concurrency=8, **settings))


async def sizes(queue):
    """The numbers of batches in all groups, to the end."""
    found = []
    while group := await queue.next():
        found.append(len(group))
    return found


async def filled(queue, batches):
    """Puts them all at once, then the end."""
    for batch in batches:
        await queue.put(batch)
    await queue.end()


def test_a_group_ends_with_enough_documents():
    """The batch that reaches the number is still in it."""

    async def main():
        queue = groups(write_documents=25)
        await filled(queue, [sent() for _ in range(7)])
        assert await sizes(queue) == [3, 3, 1]

    run_virtually(main())


def test_a_group_ends_with_enough_characters():
    """Large texts make small groups."""

    async def main():
        queue = groups(write_chars=150)
        await filled(queue, [sent(chars=149), sent(chars=1), sent(chars=500), sent(chars=1)])
        assert await sizes(queue) == [2, 1, 1]

    run_virtually(main())


def test_the_first_batch_is_waited_for_and_others_a_little_time():
    """Batches that come within `write_wait_s` of each other are written together; a later one is not."""

    async def main():
        queue = groups(write_wait_s=0.02)

        async def come():
            for pause_s in (5, 0.01, 0.01, 0.03):
                await asyncio.sleep(pause_s)
                await queue.put(sent())
            await queue.end()

        async with asyncio.TaskGroup() as group:
            group.create_task(come())
            assert len(await queue.next()) == 3
            assert now_s() < 5.05
            assert await sizes(queue) == [1]

    run_virtually(main())


def test_writers_side_by_side_share_the_batches():
    """Each batch is in one group; all of them see the end."""

    async def main():
        queue = groups(write_documents=10)
        async with asyncio.TaskGroup() as group:
            takers = [group.create_task(sizes(queue)) for _ in range(3)]
            await filled(queue, [sent() for _ in range(20)])
        assert sum(sum(taker.result()) for taker in takers) == 20

    run_virtually(main())
