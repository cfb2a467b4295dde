"""The engine as its users call it: default settings, nothing known of the service but its address."""

from __future__ import annotations

import asyncio
from typing import Any

from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import AsyncMongoClient

from benchmarks.common.process import Meter, Task, reaching
from engine import HttpExtractor, Report, Settings, Window, run


async def engine(task: Task, meter: Meter) -> dict[str, Any]:
    """One run over the whole collection."""
    return await _run(task, meter, AsyncIOMotorClient(task.uri))


async def engine_on_pymongo(task: Task, meter: Meter) -> dict[str, Any]:
    """The same through PyMongo's own asynchronous client, which needs no threads."""
    return await _run(task, meter, AsyncMongoClient(task.uri))


def engine_on_asyncio(task: Task, meter: Meter) -> dict[str, Any]:
    """The same on asyncio's own loop, where the others run on uvloop's."""
    return asyncio.run(engine(task, meter))


async def _run(task: Task, meter: Meter, client: Any) -> dict[str, Any]:
    async with reaching(client):
        source, target = client[task.database][task.collection], client[task.target]
        with meter:
            report = await run(
                Window(),
                source=source,
                target=target,
                extractor=HttpExtractor(task.url, format="native"),
                settings=Settings(),
            )
    return _accounts(report)


def _accounts(report: Report) -> dict[str, Any]:
    return {
        "status": report.status,
        "read": report.read,
        "dead_lettered": report.dead_lettered,
        "retries": report.retries,
        "problems": list(report.problems),
    }
