"""What the processes of a benchmark share: their job, their event loop, and what they have used.

Nothing of the engine is imported here: its memory belongs to the engine alone.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Job:
    """What one candidate is to do: all documents of a collection, through the service, into the target.

    Attributes:
        url: of the service: `POST {"texts": [...]}` there gives `{"results": [[...], ...]}`.
        target: database of the results; candidates of no collection of their own use `entities`.
        concurrency: requests at once, for candidates that let their user choose it.
    """

    uri: str
    database: str
    collection: str
    target: str
    url: str
    candidate: str
    concurrency: int


def run_loop(main: Coroutine[Any, Any, T]) -> T:
    """Runs it under uvloop where that is installed; every asynchronous candidate, and the stub, alike."""
    runner: Any = import_module("uvloop") if find_spec("uvloop") else asyncio
    result: T = runner.run(main)
    return result


@asynccontextmanager
async def reaching(client: Any) -> AsyncIterator[Any]:
    """A client of either driver that has reached its server; at the end it is closed."""
    try:
        await client.admin.command("ping")
        yield client
    finally:
        closing = client.close()
        if closing is not None:  # PyMongo's is awaited
            await closing


def cpu_s() -> float:
    """Seconds of CPU used so far, by this process and by children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def peak_rss_mb() -> float:
    """The most memory this process has held, in MB (2**20 bytes).

    Linux hands `ru_maxrss` on through exec, so that of a child begins at its parent's; the kernel's
    high-water mark of the address space (VmHWM) belongs to this program alone.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    except (OSError, StopIteration):
        unit = 2**20 if sys.platform == "darwin" else 2**10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


class Meter:
    """Measures the work itself, between connecting and disconnecting: `with meter: ...`."""

    def __init__(self) -> None:
        self._began_at = self._cpu_before_s = self._seconds = self._cpu_s = 0.0

    def __enter__(self) -> Self:
        self._began_at, self._cpu_before_s = time.perf_counter(), cpu_s()
        return self

    def __exit__(self, *_: object) -> None:
        self._seconds = time.perf_counter() - self._began_at
        self._cpu_s = cpu_s() - self._cpu_before_s

    def to_json(self) -> dict[str, float]:
        """What was measured; the peak is that of the process, interpreter and imports included."""
        return {
            "seconds": round(self._seconds, 4),
            "cpu_s": round(self._cpu_s, 4),
            "peak_mb": round(peak_rss_mb(), 1),
        }
