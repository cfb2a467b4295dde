"""The engine as its users call it: default settings, nothing known of the service but its address."""

from __future__ import annotations

import asyncio
from typing import Any

from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import AsyncMongoClient

from benchmarks.common.process import Job, Meter, reaching
from engine import HttpExtractor, Report, Settings, Window, run


async def engine(job: Job, meter: Meter) -> dict[str, Any]:
    """One run over the whole collection."""
    return await _run(job, meter, AsyncIOMotorClient(job.uri))


async def engine_on_pymongo(job: Job, meter: Meter) -> dict[str, Any]:
    """The same through PyMongo's own asynchronous client, which needs no threads."""
    return await _run(job, meter, AsyncMongoClient(job.uri))


def engine_on_asyncio(job: Job, meter: Meter) -> dict[str, Any]:
    """The same on asyncio's own loop, where the others run on uvloop's."""
    return asyncio.run(engine(job, meter))


async def _run(job: Job, meter: Meter, client: Any) -> dict[str, Any]:
    async with reaching(client):
        source, target = client[job.database][job.collection], client[job.target]
        with meter:
            report = await run(
                Window(),
                source=source,
                target=target,
                extractor=HttpExtractor(job.url, format="native"),
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
