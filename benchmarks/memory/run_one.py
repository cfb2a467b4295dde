"""Plans and processes one collection by the engine, in a process of its own, and reports its peak memory.

`benchmark.py` starts it and writes one line of JSON to its standard input:
`{"uri", "driver", "database", "collection", "target", "entities"}`. It writes lines of JSON too: progress as
`{"documents"}`, and the result as the last line.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from typing import Any

from benchmarks.common.mongo import Driver, connected
from benchmarks.common.process import peak_rss_mb
from engine import Entity, Progress, Report, Settings, Window, plan_ranges, run

_PRINT_EVERY_S = 0.5


async def none_found(texts: Sequence[str]) -> list[list[Entity]]:
    """Extracts nothing, and answers at once."""
    return [[] for _ in texts]


async def one_found(texts: Sequence[str]) -> list[list[Entity]]:
    """Extracts the first word of each text, and answers at once."""
    return [[Entity(0, len(word), "WORD", word)] for word in (text.split(" ", 1)[0] for text in texts)]


EXTRACTORS = {"none": none_found, "one": one_found}


class _ProgressPrinter:
    """Prints the progress, at most every half second."""

    def __init__(self) -> None:
        self._printed_at = 0.0

    def __call__(self, progress: Progress) -> None:
        if time.monotonic() - self._printed_at >= _PRINT_EVERY_S:
            self._printed_at = time.monotonic()
            _print({"documents": progress.documents})


async def measure(task: dict[str, str]) -> dict[str, Any]:
    """Runs the task, and returns its time and memory."""
    async with connected(task["uri"], Driver(task["driver"])) as client:
        source, target = client[task["database"]][task["collection"]], client[task["target"]]
        settings, window = Settings(), Window()
        before = peak_rss_mb()
        began = time.perf_counter()
        plan = await plan_ranges(source, window, settings, target)
        planned = time.perf_counter()
        report = await run(
            window,
            source=source,
            extractor=EXTRACTORS[task["entities"]],
            target=target,
            settings=settings,
            progress=_ProgressPrinter(),
        )
    return {
        "ranges": len(plan.ranges),
        "planning_seconds": round(planned - began, 3),
        "seconds": round(time.perf_counter() - began, 3),
        "before_mb": round(before, 1),
        "peak_mb": round(peak_rss_mb(), 1),
        **_counts(report),
    }


def _counts(report: Report) -> dict[str, Any]:
    return {"read": report.read, "written": report.written, "reconciled": report.reconciled}


def _print(line: dict[str, Any]) -> None:
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    _print(asyncio.run(measure(json.loads(sys.stdin.readline()))))
