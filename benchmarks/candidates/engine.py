"""The engine as its users call it: default settings, and only the address of the service."""

from __future__ import annotations

import asyncio
from typing import Any

from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import AsyncMongoClient

from benchmarks.common.process import Job, Meter, reaching
from engine import HttpExtractor, Report, Settings, Window, run


async def engine(job: Job, meter: Meter) -> dict[str, Any]:
    """Runs the engine once over the whole collection."""
    return await _run(job, meter, AsyncIOMotorClient(job.uri))


async def engine_on_pymongo(job: Job, meter: Meter) -> dict[str, Any]:
    """Does the same through PyMongo's own asynchronous client, which needs no threads."""
    return await _run(job, meter, AsyncMongoClient(job.uri))


def engine_on_asyncio(job: Job, meter: Meter) -> dict[str, Any]:
    """Does the same on the loop of asyncio; the other candidates run on uvloop where it is installed."""
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
    return _summary(report)


def _summary(report: Report) -> dict[str, Any]:
    return {
        "status": report.status,
        "read": report.read,
        "dead_lettered": report.dead_lettered,
        "retries": report.retries,
        "problems": list(report.problems),
    }
