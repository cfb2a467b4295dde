"""A primary, a secondary and an arbiter in one replica set: frozen, killed, started again."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pymongo import MongoClient

from demo.servers.ports import LOOPBACK, free_port
from tests.support.mongod import mongod


@dataclass
class ThreeMembers:
    """The running set. A majority are two members with data: no write is confirmed without the secondary."""

    uri: str
    folder: Path
    secondary: int
    stack: ExitStack

    def kill_secondary(self) -> None:
        """Kills the secondary; the arbiter goes on voting for the primary."""
        os.kill(pid_of(f"mongodb://{LOOPBACK}:{self.secondary}/"), signal.SIGKILL)

    def start_secondary(self) -> None:
        """Starts the secondary again, on its data."""
        self.stack.enter_context(_member(self.folder, self.secondary))


@contextmanager
def three_members(folder: Path) -> Iterator[ThreeMembers]:
    """Runs the set until the context ends."""
    primary, secondary, arbiter = ports = [free_port() for _ in range(3)]
    members = [
        {"_id": 0, "host": f"{LOOPBACK}:{primary}", "priority": 2},
        {"_id": 1, "host": f"{LOOPBACK}:{secondary}", "priority": 0},
        {"_id": 2, "host": f"{LOOPBACK}:{arbiter}", "arbiterOnly": True},
    ]
    with ExitStack() as stack:
        for port in ports:
            stack.enter_context(_member(folder, port))
        with MongoClient(LOOPBACK, primary, directConnection=True) as client:
            client.admin.command("replSetInitiate", {"_id": "three", "members": members})
            while not client.admin.command("hello")["isWritablePrimary"]:
                time.sleep(0.05)
        yield ThreeMembers(f"mongodb://{LOOPBACK}:{primary}/?replicaSet=three", folder, secondary, stack)


def pid_of(uri: str) -> int:
    """The process id of a server on this machine."""
    with MongoClient(uri, directConnection=True) as client:
        pid: int = client.admin.command("serverStatus")["pid"]
    return pid


@contextmanager
def frozen(uri: str) -> Iterator[None]:
    """Stops the process of a server inside the block: it answers nothing and keeps its connections."""
    pid = pid_of(uri)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _member(folder: Path, port: int):
    return mongod(folder / str(port), "--replSet", "three", port=port)
