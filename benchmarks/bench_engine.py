"""The engine as its users call it: default settings, nothing known of the service but its address."""

from __future__ import annotations

import asyncio
from typing import Any

from bench_process import Meter, Task
from motor.motor_asyncio import AsyncIOMotorClient

from engine import HttpExtractor, Report, Settings, Window, run


async def engine(task: Task, meter: Meter) -> dict[str, Any]:
    """One run over the whole collection."""
    client: Any = AsyncIOMotorClient(task.uri)
    try:
        await client.admin.command("ping")
        source, target = client[task.database][task.collection], client[task.target]
        with meter:
            report = await run(
                Window(),
                source=source,
                target=target,
                extractor=HttpExtractor(task.url, format="native"),
                settings=Settings(),
            )
    finally:
        client.close()
    return _accounts(report)


def engine_on_asyncio(task: Task, meter: Meter) -> dict[str, Any]:
    """The same on asyncio's own loop, where the others run on uvloop's."""
    return asyncio.run(engine(task, meter))


def _accounts(report: Report) -> dict[str, Any]:
    return {
        "status": report.status,
        "read": report.read,
        "dead_lettered": report.dead_lettered,
        "retries": report.retries,
        "problems": list(report.problems),
    }
