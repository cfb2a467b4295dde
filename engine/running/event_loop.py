"""The event loop of a process: uvloop's where that is installed (extra `speed`), else asyncio's."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def loop_factory() -> LoopFactory | None:
    """What makes the fastest loop there is; None means asyncio's own."""
    try:
        factory: LoopFactory = import_module("uvloop").new_event_loop
    except ImportError:
        return None
    return factory


def loop_runner() -> asyncio.Runner:
    """What runs coroutines on that loop; a context manager, as `asyncio.Runner` is."""
    return asyncio.Runner(loop_factory=loop_factory())


ALLOCATIONS = 50_000
"""Containers allocated before a collection. A page of documents is thousands of them, none in a cycle: at
Python's 700 the collector walks each page again and again, for a fifth of a run's CPU time, and at 10,000 for
a thirtieth. Memory stays as it is, for no stage leaves cycles (docs/decisions/0017-cost-of-a-document.md).
"""


_calming = 0


_before: tuple[int, int, int] = gc.get_threshold()


@contextmanager
def calmed() -> Iterator[None]:
    """Collects rarely inside; as before when the last of those who asked for it is done."""
    global _calming, _before  # noqa: PLW0603  (the collector is the process's, and so is this)
    if _calming == 0:
        _before = gc.get_threshold()
        gc.set_threshold(max(ALLOCATIONS, _before[0]) if _before[0] else 0, *_before[1:])
    _calming += 1
    try:
        yield
    finally:
        _calming -= 1
        if _calming == 0:
            gc.set_threshold(*_before)
