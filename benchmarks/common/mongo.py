"""The server that a benchmark uses, a database of its own on it, and clients of both drivers."""

from __future__ import annotations

import os
import platform
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import AsyncMongoClient, MongoClient
from pymongo.database import Database

from demo.servers.mongod import OWN_SERVER, Mongod


class Driver(StrEnum):
    """The asynchronous driver that a benchmark reads with."""

    MOTOR = "motor"
    PYMONGO = "pymongo"


@contextmanager
def served(uri: str | None, *, cache_gb: float) -> Iterator[str]:
    """Yields the address of the user's own server, or of one that runs while the context lasts.

    Raises:
        DemoError: the server does not answer, or none can be started.
    """
    with TemporaryDirectory(prefix="bench-") as place:
        environ = {OWN_SERVER: uri} if uri else {}
        with Mongod(Path(place), environ=environ, cache_gb=cache_gb) as server:
            yield server.uri


@contextmanager
def scratch(uri: str) -> Iterator[Database[dict[str, Any]]]:
    """Yields a new database, and drops it at the end. Nothing else on the server is touched."""
    with MongoClient[dict[str, Any]](uri) as client:
        database = client[f"bench_{uuid.uuid4().hex[:12]}"]
        try:
            yield database
        finally:
            client.drop_database(database.name)


@asynccontextmanager
async def connected(uri: str, driver: Driver) -> AsyncIterator[Any]:
    """Yields a client that is connected already, so that no measurement contains the connecting."""
    if driver is Driver.MOTOR:
        motor: Any = AsyncIOMotorClient(uri)
        try:
            await motor.admin.command("ping")
            yield motor
        finally:
            motor.close()
        return
    async with AsyncMongoClient[dict[str, Any]](uri) as client:
        await client.admin.command("ping")
        yield client


def describe_machine(uri: str, driver: Driver) -> dict[str, Any]:
    """Describes what a reader needs to judge the numbers, and nothing that identifies the machine."""
    with MongoClient[dict[str, Any]](uri) as client:
        mongod = client.server_info()["version"]
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "cpu": _cpu_model(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "mongod": mongod,
        "driver": f"{driver.value} {version(driver.value)}",
        "pymongo": version("pymongo"),
        "load_at_start": round(os.getloadavg()[0], 2),
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor())
