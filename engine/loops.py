"""The event loop of a process: uvloop's where that is installed (extra `speed`), else asyncio's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
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
