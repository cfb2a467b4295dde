"""What the processes of a benchmark share: the job of a candidate, the event loop, and the meters.

Nothing of the engine is imported here, so that its memory is counted for the engine alone.
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
    """What a candidate has to do: send all documents of a collection to the service, and store the results.

    Attributes:
        url: the address of the service, which answers `POST {"texts": [...]}` by `{"results": [[...], ...]}`.
        target: the database of the results. All candidates but the engine use its collection `entities`.
        concurrency: requests at once, for candidates whose user has to choose it.
    """

    uri: str
    database: str
    collection: str
    target: str
    url: str
    candidate: str
    concurrency: int


def run_loop(main: Coroutine[Any, Any, T]) -> T:
    """Runs `main` under uvloop where that is installed: every asynchronous candidate, and the stub."""
    runner: Any = import_module("uvloop") if find_spec("uvloop") else asyncio
    result: T = runner.run(main)
    return result


@asynccontextmanager
async def reaching(client: Any) -> AsyncIterator[Any]:
    """Connects a client of either driver to its server, and closes it at the end."""
    try:
        await client.admin.command("ping")
        yield client
    finally:
        closing = client.close()
        if closing is not None:  # PyMongo's `close` is awaited, Motor's is not
            await closing


def cpu_s() -> float:
    """Returns the CPU seconds used so far by this process and by its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def peak_rss_mb() -> float:
    """Returns the peak memory of this process, in MB (2**20 bytes).

    Under Linux, `ru_maxrss` survives exec, so a child would begin with the peak of its parent. The kernel's
    high-water mark of the address space (VmHWM) is that of this program alone.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    except (OSError, StopIteration):
        unit = 2**20 if sys.platform == "darwin" else 2**10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


class Meter:
    """Measures the block `with meter: ...`: the work itself, without connecting and disconnecting."""

    def __init__(self) -> None:
        self._began_at = self._cpu_before_s = self._seconds = self._cpu_s = 0.0

    def __enter__(self) -> Self:
        self._began_at, self._cpu_before_s = time.perf_counter(), cpu_s()
        return self

    def __exit__(self, *_: object) -> None:
        self._seconds = time.perf_counter() - self._began_at
        self._cpu_s = cpu_s() - self._cpu_before_s

    def to_json(self) -> dict[str, float]:
        """Returns the measurements. The peak is that of the whole process, with interpreter and imports."""
        return {
            "seconds": round(self._seconds, 4),
            "cpu_s": round(self._cpu_s, 4),
            "peak_mb": round(peak_rss_mb(), 1),
        }
