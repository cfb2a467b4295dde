"""Prepares a process for the load of a range: a fast event loop and a garbage collector that runs rarely.

`loop_runner` belongs to the process and is used where a program starts (the command line, an Airflow task).
`gc_threshold_raised` belongs to a running range and is used by the pipeline.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module

LoopFactory = Callable[[], asyncio.AbstractEventLoop]

GC_THRESHOLD = 50_000
"""Allocations of container objects between two collections of the youngest generation.

A page of documents is thousands of containers, and none of them is part of a cycle. At Python's default of
700 the collector walks each page again and again and takes a fifth of a run's CPU time; at 10,000 it takes a
thirtieth. Memory use does not grow, as no stage creates cycles (docs/decisions/0017-cost-of-a-document.md).
"""

_raised_by = 0
"""How many blocks of `gc_threshold_raised` are active in this process."""
_thresholds_before: tuple[int, int, int] = gc.get_threshold()


def loop_runner() -> asyncio.Runner:
    """Returns an `asyncio.Runner`, a context manager, whose event loop is uvloop's if that is installed."""
    return asyncio.Runner(loop_factory=loop_factory())


def loop_factory() -> LoopFactory | None:
    """Returns uvloop's factory of event loops (extra `speed`), or None, which means asyncio's own loop."""
    try:
        factory: LoopFactory = import_module("uvloop").new_event_loop
    except ImportError:
        return None
    return factory


@contextmanager
def gc_threshold_raised() -> Iterator[None]:
    """Raises the garbage collector's threshold inside the block; the last block to exit restores it.

    Blocks may overlap, for several ranges may run in one process. A collector that the application has turned
    off, or set to a higher threshold, is left as it is.
    """
    global _raised_by, _thresholds_before  # noqa: PLW0603  (the collector, too, is global to the process)
    if _raised_by == 0:
        _thresholds_before = youngest, *older = gc.get_threshold()
        gc.set_threshold(max(GC_THRESHOLD, youngest) if youngest else 0, *older)
    _raised_by += 1
    try:
        yield
    finally:
        _raised_by -= 1
        if _raised_by == 0:
            gc.set_threshold(*_thresholds_before)
