"""Segments of a window: how they are joined, and how queries for several of them run side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from engine.errors import root_error
from engine.keys.key import Key
from engine.task_group import wait_or_cancel

CONCURRENCY = 4
"""How many planning queries are in flight at once."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A part `[start, stop)` of a window and its number of documents: counted if `exact`, else estimated."""

    start: Key
    stop: Key
    documents: int
    exact: bool = True


def capped(segments: Sequence[Segment], most: int) -> list[Segment]:
    """At most `most` segments: joins neighbours two by two until they are few enough."""
    few = list(segments)
    while len(few) > most:
        few = joined(few)
    return few


def joined(segments: Sequence[Segment]) -> list[Segment]:
    """Joins every two neighbours into one segment."""
    return [
        Segment(
            pair[0].start,
            pair[-1].stop,
            sum(segment.documents for segment in pair),
            exact=all(segment.exact for segment in pair),
        )
        for pair in (segments[at : at + 2] for at in range(0, len(segments), 2))
    ]


async def gather_limited(jobs: Sequence[Callable[[], Awaitable[list[Segment]]]]) -> list[list[Segment]]:
    """Runs the jobs, `CONCURRENCY` at a time; returns their results in order, or raises the first error."""
    slots = asyncio.Semaphore(CONCURRENCY)

    async def one(job: Callable[[], Awaitable[list[Segment]]]) -> list[Segment]:
        async with slots:
            return await job()

    tasks = [asyncio.create_task(one(job)) for job in jobs]
    try:
        await wait_or_cancel(tasks)
    except BaseExceptionGroup as raised:
        raise root_error(raised) from raised
    return [task.result() for task in tasks]
