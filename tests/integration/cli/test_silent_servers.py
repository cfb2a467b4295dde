"""A server that is frozen, and a majority that is out of reach: told, bounded, and left after a signal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from pymongo import MongoClient

from tests.support.mongod import replica_set
from tests.support.samples import INDEX, message
from tests.support.three_members import frozen, three_members

EXTRACTOR = """
import asyncio

async def extract(texts):
    return [[] for text in texts]

async def slow(texts):
    await asyncio.sleep(0.05)
    return await extract(texts)
"""
ENDS_S = 10.0
"""Without a bound of their own these processes would wait for ever."""


@pytest.fixture(scope="module")
def lone_uri(tmp_path_factory):
    """A server of its own, which is frozen."""
    with replica_set(tmp_path_factory.mktemp("lone")) as uri:
        yield uri


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """Primary, secondary and arbiter."""
    with three_members(tmp_path_factory.mktemp("three")) as members:
        yield members


def prepared(uri, name):
    """Three hundred messages in the collection."""
    with MongoClient(uri) as client:
        collection = client["chat"][name]
        collection.create_index(INDEX)
        collection.insert_many([message(n, n) for n in range(300)])
    return name


def started(folder, uri, name, command="run"):
    """A command of the command line that works on this collection; a run sends three texts at a time."""
    (folder / "mine.py").write_text(EXTRACTOR)
    line = [sys.executable, "-m", "engine", command, "--database", "chat", "--collection", name, "--uri", uri]
    line += ["-s", "batch_texts=3", "-s", "max_concurrency=1", "-s", "checkpoint_s=0.1"]
    line += ["--extractor", "mine:slow"] if command == "run" else []
    return subprocess.Popen(
        line,
        cwd=folder,
        env={**os.environ, "COLUMNS": "200"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def await_results(uri, name):
    """Waits until the run has written some results and a checkpoint."""
    with MongoClient(uri) as client:
        while client["chat"]["engine_checkpoints"].count_documents({"read": {"$gt": 10}, **of(name)}) == 0:
            time.sleep(0.02)


def of(name):
    """A filter for the checkpoints of the runs of a collection."""
    return {"run_id": {"$regex": f"^chat.{name}-"}}


def resumed(folder, uri, name):
    """Runs it again, to its end; checks that nothing was lost and nothing counted twice."""
    process = started(folder, uri, name)
    printed = "".join(process.communicate(timeout=60))
    assert process.returncode == 0, printed
    with MongoClient(uri) as client:
        assert client["chat"][f"{name}_entities"].count_documents({}) == 300
        (checkpoint,) = client["chat"]["engine_checkpoints"].find(of(name))
    assert (checkpoint["read"], checkpoint["written"] + checkpoint["unchanged"]) == (300, 300)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_trap_49_a_run_on_a_frozen_server_ends_with_a_signal(lone_uri, tmp_path, number):
    """It neither waits for the answer to a write, nor for its checkpoint, nor for the driver's threads."""
    name = prepared(lone_uri, f"frozen_{number}")
    process = started(tmp_path, lone_uri, name)
    await_results(lone_uri, name)
    with frozen(lone_uri):
        time.sleep(0.3)
        process.send_signal(number)
        printed = "".join(process.communicate(timeout=ENDS_S))
    assert (process.returncode, "run the same command again to resume" in printed) == (1, True), printed
    resumed(tmp_path, lone_uri, name)


@pytest.mark.parametrize("command", ["plan", "verify", "run"])
def test_trap_49_a_command_that_meets_a_frozen_server_ends_with_a_signal(lone_uri, tmp_path, command):
    """Nothing has been read yet: it waits for the first answer of all."""
    name = prepared(lone_uri, f"met_{command}")
    with frozen(lone_uri):
        process = started(tmp_path, lone_uri, name, command)
        while not psutil.Process(process.pid).net_connections():
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=ENDS_S)
    assert process.returncode != 0


def test_trap_49_a_run_without_a_majority_is_told_bounded_and_resumed(three, tmp_path):
    """The wait is told while it lasts, `wtimeoutMS` of the address ends it, and no such write counts."""
    name = prepared(three.uri, "bounded")
    process = started(tmp_path, f"{three.uri}&wtimeoutMS=7000", name)
    await_results(three.uri, name)
    three.kill_secondary()
    printed = "".join(process.communicate(timeout=120))
    assert process.returncode == 1, printed
    assert 'waits_for="a majority of the replica set that confirms a write"' in printed
    assert "within wtimeoutMS too few members of the replica set have confirmed the write" in printed
    three.start_secondary()
    resumed(tmp_path, three.uri, name)


def test_trap_49_a_run_without_a_majority_ends_with_a_signal(three, tmp_path):
    """A write waits for 30 s, and the signal ends it."""
    name = prepared(three.uri, "signalled")
    process = started(tmp_path, three.uri, name)
    await_results(three.uri, name)
    three.kill_secondary()
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    printed = "".join(process.communicate(timeout=ENDS_S))
    assert (process.returncode, "run the same command again to resume" in printed) == (1, True), printed
    three.start_secondary()
    resumed(tmp_path, three.uri, name)
