"""Fixtures that all tests share: a real mongod, and clients of both drivers on it."""

from __future__ import annotations

import uuid

import pytest
import pytest_asyncio
from hypothesis import settings
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import AsyncMongoClient

from engine.observing import metrics
from tests.support.metrics import Measured
from tests.support.mongod import replica_set

# The same examples on every run, whatever the machine has to do besides; `--hypothesis-profile=default` looks
# for new ones.
settings.register_profile("suite", deadline=None, derandomize=True)
settings.load_profile("suite")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """`pytest -n 2` runs the tests in two processes, each with a mongod of its own."""
    from tests.support.distribution import ByGroup  # noqa: PLC0415  (without `-n`, xdist is not needed)

    return ByGroup(config, log)


@pytest.fixture(scope="session")
def mongod_uri(tmp_path_factory):
    """The address of a real mongod (a replica set of one), one for each process that runs tests."""
    with replica_set(tmp_path_factory.mktemp("mongod")) as uri:
        yield uri


@pytest_asyncio.fixture(params=["motor", "pymongo"])
async def client(request, mongod_uri):
    """A client of each asynchronous driver in turn."""
    if request.param == "motor":
        client = AsyncIOMotorClient(mongod_uri)
        yield client
        client.close()
    else:
        async with AsyncMongoClient(mongod_uri) as client:
            yield client


@pytest_asyncio.fixture
async def database(client):
    """An empty database on the real mongod, dropped afterwards."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    yield client[name]
    await client.drop_database(name)


@pytest_asyncio.fixture
async def pymongo_database(mongod_uri):
    """An empty database through PyMongo's client alone, where the driver makes no difference."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    async with AsyncMongoClient(mongod_uri) as client:
        yield client[name]
        await client.drop_database(name)


@pytest.fixture
def measured(monkeypatch):
    """What this test's ranges tell OpenTelemetry: they alone, whatever other tests do."""
    measured = Measured()
    monkeypatch.setattr(metrics, "current", lambda: measured.instruments)
    yield measured
    measured.close()
