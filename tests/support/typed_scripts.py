"""Scripts of users who check their types: `mypy --strict` must accept the collections of both drivers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorCollection, AsyncIOMotorDatabase
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase

from engine import (
    Entity,
    MongoWriter,
    RunReport,
    Settings,
    Window,
    conclude,
    load_plan,
    plan_ranges,
    range_reports,
    repair,
    replay,
    report_html,
    run,
    run_range,
    target_of,
    verify,
)

SETTINGS = Settings(run_id="typed")


async def nothing(texts: Sequence[str]) -> list[list[Entity]]:
    """Finds no entities."""
    return [[] for _ in texts]


async def with_motor(uri: str, name: str) -> RunReport:
    """Uses every function with a collection and a database of Motor."""
    client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(uri)
    target: AsyncIOMotorDatabase[dict[str, Any]] = client[name]
    source: AsyncIOMotorCollection[dict[str, Any]] = target["messages"]
    plan = await plan_ranges(source, Window(), SETTINGS, target)
    writer = MongoWriter(target_of(target, source, SETTINGS), "typed", extractor=SETTINGS.extractor_label)
    for key_range in plan.ranges:
        where = await run_range(key_range, source=source, extractor=nothing, target=target, writer=writer)
        assert where.reconciled
    report = await conclude(plan, await range_reports(plan, target, SETTINGS), target, SETTINGS)
    await report_html(await load_plan("typed", target, SETTINGS), report, target, SETTINGS)
    await replay(Window(), source=source, extractor=nothing, target=target)
    await repair(Window(), source=source, extractor=nothing, target=target)
    assert (await verify(Window(), source=source, target=target)).complete
    client.close()
    return report


async def with_pymongo(uri: str, name: str) -> RunReport:
    """Uses every function with a collection and a database of PyMongo."""
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(uri)
    target: AsyncDatabase[dict[str, Any]] = client[name]
    source: AsyncCollection[dict[str, Any]] = target["messages"]
    report = await run(Window(), source=source, extractor=nothing, target=target, settings=SETTINGS)
    plan = await load_plan("typed", target, SETTINGS)
    await report_html(plan, report, target, SETTINGS)
    await replay(Window(), source=source, extractor=nothing, target=target)
    await repair(Window(), source=source, extractor=nothing, target=target)
    assert (await verify(Window(), source=source, target=target)).complete
    await client.close()
    return report
