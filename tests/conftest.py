"""Fixtures that all tests share: a real mongod, and databases on it through both drivers."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import settings
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import AsyncMongoClient

from engine.observing import metrics
from tests.support.metrics import Measured
from tests.support.mongod import replica_set

HERE = Path(__file__).parent
EACH_DRIVER = (
    "faults/",
    "integration/checking/test_repair.py",
    "integration/checking/test_verify.py",
    "integration/mongo/",
    "integration/reading/test_reader.py",
    "integration/reading/test_scan.py",
    "integration/reporting/test_lookup.py",
    "integration/running/test_run.py",
    "unit/mongo/",
)
"""The tests that run with Motor, too. Together they use all that `engine/mongo/driver.py` hides."""

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


def pytest_generate_tests(metafunc):
    """Chooses the drivers of each test that uses `client`."""
    if "driver_name" in metafunc.fixturenames:
        both = str(metafunc.definition.path.relative_to(HERE)).startswith(EACH_DRIVER)
        metafunc.parametrize("driver_name", ["motor", "pymongo"] if both else ["pymongo"])


@pytest_asyncio.fixture
async def client(driver_name, mongod_uri):
    """A client of PyMongo; in the tests of `EACH_DRIVER`, which run twice, first one of Motor."""
    if driver_name == "motor":
        client = AsyncIOMotorClient(mongod_uri)
        yield client
        client.close()
    else:
        async with AsyncMongoClient(mongod_uri) as client:
            yield client


@pytest_asyncio.fixture
async def database(client):
    """An empty database, which is dropped afterwards. See `client` for the driver."""
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
