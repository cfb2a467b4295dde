"""Fixtures that all tests share: a real mongod, and databases on it through both drivers."""

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

# Hypothesis tries the same examples on every run, and no example fails because the machine is busy.
# With `--hypothesis-profile=default` it looks for new ones.
settings.register_profile("suite", deadline=None, derandomize=True)
settings.load_profile("suite")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """With `pytest -n 2`, chooses which of the two processes runs which tests."""
    from tests.support.distribution import ByGroup  # noqa: PLC0415  (without `-n`, xdist is not needed)

    return ByGroup(config, log)


@pytest.fixture(scope="session")
def mongod_uri(tmp_path_factory):
    """The address of a real mongod, a replica set of one. Each process of `pytest -n` starts its own."""
    with replica_set(tmp_path_factory.mktemp("mongod")) as uri:
        yield uri


@pytest_asyncio.fixture(params=["motor", "pymongo"])
async def client(request, mongod_uri):
    """A client of Motor, then one of PyMongo: each test that uses it runs twice."""
    if request.param == "motor":
        client = AsyncIOMotorClient(mongod_uri)
        yield client
        client.close()
    else:
        async with AsyncMongoClient(mongod_uri) as client:
            yield client


@pytest_asyncio.fixture
async def database(client):
    """An empty database, through each driver in turn. It is dropped afterwards."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    yield client[name]
    await client.drop_database(name)


@pytest_asyncio.fixture
async def pymongo_database(mongod_uri):
    """An empty database through PyMongo only, for tests in which the driver makes no difference."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    async with AsyncMongoClient(mongod_uri) as client:
        yield client[name]
        await client.drop_database(name)


@pytest.fixture
def measured(monkeypatch):
    """The metrics that the ranges of this test record, and no other test's."""
    measured = Measured()
    monkeypatch.setattr(metrics, "current", lambda: measured.instruments)
    yield measured
    measured.close()
