"""Plans and reads one collection through the engine, in a process of its own, and tells its peak memory.

Started by `memory.py`, which writes one line of JSON to its standard input:
`{"uri", "driver", "database", "collection", "target", "entities"}`. Its answers are JSON too: progress as
`{"documents"}`, and at last the result.
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

_TELL_S = 0.5


async def none_found(texts: Sequence[str]) -> list[list[Entity]]:
    """An extractor that answers at once and finds nothing."""
    return [[] for _ in texts]


async def one_found(texts: Sequence[str]) -> list[list[Entity]]:
    """An extractor that answers at once and finds the first word of each text."""
    return [[Entity(0, len(word), "WORD", word)] for word in (text.split(" ", 1)[0] for text in texts)]


EXTRACTORS = {"none": none_found, "one": one_found}


class _Teller:
    """Passes progress on, now and then."""

    def __init__(self) -> None:
        self._told_at = 0.0

    def __call__(self, progress: Progress) -> None:
        if time.monotonic() - self._told_at >= _TELL_S:
            self._told_at = time.monotonic()
            _say({"documents": progress.documents})


async def measure(task: dict[str, str]) -> dict[str, Any]:
    """Runs the task and returns what it took."""
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
            progress=_Teller(),
        )
    return {
        "ranges": len(plan.ranges),
        "planning_seconds": round(planned - began, 3),
        "seconds": round(time.perf_counter() - began, 3),
        "before_mb": round(before, 1),
        "peak_mb": round(peak_rss_mb(), 1),
        **_accounts(report),
    }


def _accounts(report: Report) -> dict[str, Any]:
    return {"read": report.read, "written": report.written, "reconciled": report.reconciled}


def _say(line: dict[str, Any]) -> None:
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    _say(asyncio.run(measure(json.loads(sys.stdin.readline()))))
