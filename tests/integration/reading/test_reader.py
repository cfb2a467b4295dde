"""The reader fetches one page ahead, leaves no fetch behind, and asks slow servers for less."""

from __future__ import annotations

import asyncio
import gc
from contextlib import aclosing

import pytest

from engine import Settings, SourceError, Tuning, Window, plan_ranges
from engine.reading.reader import Reader
from tests.support.scans import scan_of
from tests.support.settings import settings_with

pytestmark = pytest.mark.asyncio


class Gated:
    """A scan whose replies wait for a gate from the third on, and may then fail."""

    def __init__(self, scan, error=None):
        self.scan, self.error, self.page_of = scan, error, scan.page_of
        self.order = scan.order
        self.calls, self.gate, self.begun = 0, asyncio.Event(), asyncio.Event()

    async def page(self, *args, **options):
        """Fetches the page once the gate is open."""
        self.calls += 1
        if self.calls >= 3:
            self.begun.set()
            await self.gate.wait()
            if self.error:
                raise self.error
        return await self.scan.page(*args, **options)


def fetches():
    """The tasks of the reader that fetch ahead, without the driver's own tasks."""
    return [task for task in asyncio.all_tasks() if task.get_coro().__qualname__ == "Reader._fetch"]


async def gated(messages, error=None, **settings):
    """A reader over all messages, and its gated scan."""
    settings = settings_with(page_documents=64, **settings)
    key_range = (await plan_ranges(messages, Window(), settings)).ranges[0]
    scan = Gated(await scan_of(messages, settings), error)
    return Reader(scan, key_range, settings), scan


async def test_the_next_page_is_fetched_while_one_is_processed(messages):
    """While the second page is processed, the third is being fetched, and no other."""
    reader, scan = await gated(messages)
    async with aclosing(reader.pages(None)) as pages:
        first, second = [await anext(pages) for _ in range(2)]
        await scan.begun.wait()
        assert (scan.calls, len(first), len(second)) == (3, 64, 64)
        scan.gate.set()
        assert len(first) + len(second) + sum([len(page) async for page in pages]) == 1000


@pytest.mark.parametrize("most_bytes", [0, 1000])
async def test_nothing_is_read_ahead_beyond_the_bytes_allowed(messages, most_bytes):
    """A page that is expected to be larger is fetched only when it is needed."""
    reader, scan = await gated(messages, read_ahead_bytes=most_bytes)
    async with aclosing(reader.pages(None)) as pages:
        for asked in (1, 2):
            await anext(pages)
            assert scan.calls == asked


async def test_trap_12_an_error_ahead_surfaces_after_the_pages_before_it(messages):
    """Pages read before the error are processed; the error is raised in place of the failed page."""
    reader, scan = await gated(messages, SourceError("db.messages could not be read: no"))
    scan.gate.set()
    async with aclosing(reader.pages(None)) as pages:
        read = [len(await anext(pages)) for _ in range(2)]
        with pytest.raises(SourceError, match="could not be read"):
            await anext(pages)
    assert read == [64, 64]


@pytest.mark.parametrize("error", [None, SourceError("db.messages could not be read: no")])
async def test_a_reader_closed_early_leaves_no_fetch_behind(messages, error):
    """There is neither a running fetch nor an error that was never retrieved."""
    complaints = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
    reader, scan = await gated(messages, error)
    if error:
        scan.gate.set()
    async with aclosing(reader.pages(None)) as pages:
        [await anext(pages) for _ in range(2)]
        await scan.begun.wait()
        await asyncio.sleep(0)
    del pages, reader, scan
    gc.collect()
    assert (fetches(), complaints) == ([], [])


async def test_a_reader_cancelled_while_it_waits_leaves_no_fetch_behind(messages):
    """The running fetch is cancelled with the reader."""
    reader, scan = await gated(messages)

    async def read_everything():
        async with aclosing(reader.pages(None)) as pages:
            async for _ in pages:
                pass

    task = asyncio.create_task(read_everything())
    await scan.begun.wait()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert fetches() == []


async def test_a_slow_server_gets_smaller_pages(messages):
    """At 10 ms a document, a target of 1 s allows pages of a hundred documents after the first one."""
    settings = Settings(tuning=Tuning(page_target_s=1))
    key_range = (await plan_ranges(messages, Window(), settings)).ranges[0]
    scan = Slow(await scan_of(messages, settings))
    reader = Reader(scan, key_range, settings, clock=lambda: scan.now)
    sizes = [len(page) async for page in reader.pages(None)]
    assert sum(sizes) == 1000
    assert sizes[:2] == [64, 256]
    assert max(sizes[2:]) <= 164


class Slow:
    """A scan that takes 10 ms a document by its own clock."""

    def __init__(self, scan):
        self.scan, self.order, self.now = scan, scan.order, 0.0
        self.page_of = scan.page_of

    async def page(self, *args, **options):
        """Fetches the page, and moves the clock."""
        found, last = await self.scan.page(*args, **options)
        self.now += len(found) / 100
        return found, last
