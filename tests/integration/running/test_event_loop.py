"""A whole run on uvloop: both drivers, HTTP, the command line and its signals."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid

import pymongo
import pytest
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import AsyncMongoClient

from engine import HttpExtractor, Settings, Window, run
from engine.running.event_loop import loop_runner
from tests.support.ner_service import FaultyService
from tests.support.samples import INDEX, message

uvloop = pytest.importorskip("uvloop")

SIGNALLED = """
import asyncio, os, signal

async def extract(texts):
    print(type(asyncio.get_running_loop()).__module__, flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.sleep(30)
"""


@pytest.fixture
def name(mongod_uri):
    """A database with a hundred messages."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with pymongo.MongoClient(mongod_uri) as client:
        client[name]["messages"].create_index(INDEX)
        client[name]["messages"].insert_many(message(n, n // 3) for n in range(100))
        yield name
        client.drop_database(name)


@pytest.mark.parametrize("driver", [AsyncIOMotorClient, AsyncMongoClient])
def test_a_run_is_the_same_on_uvloop(mongod_uri, name, driver):
    """Reading, sending, writing and reconciling work, without warnings."""

    async def work():
        client = driver(mongod_uri)
        async with FaultyService() as service:
            report = await run(
                Window(),
                source=client[name]["messages"],
                extractor=HttpExtractor(service.url),
                target=client[name],
                settings=Settings(range_documents=30),
            )
        closing = client.close()
        if closing is not None:
            await closing
        return report

    with loop_runner() as loop:
        assert isinstance(loop.get_loop(), uvloop.Loop)
        report = loop.run(work())
    assert (report.reconciled, report.written) == (True, 100)


def test_trap_31_the_command_line_is_interrupted_on_uvloop(mongod_uri, name, tmp_path):
    """SIGTERM during a request: the checkpoint is saved, and a message says how to resume."""
    (tmp_path / "signalled.py").write_text(SIGNALLED)
    command = [sys.executable, "-W", "error", "-m", "engine", "run", "-d", name, "-c", "messages"]
    done = subprocess.run(
        [*command, "--uri", mongod_uri, "--extractor", "signalled:extract"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout.split()[0]) == (1, "uvloop"), done.stderr
    assert "run the same command again to resume" in done.stderr
    assert "Warning" not in done.stderr
    with pymongo.MongoClient(mongod_uri) as client:
        assert client[name]["engine_checkpoints"].find_one()["status"] == "interrupted"
