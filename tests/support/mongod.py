"""Starts MongoDB servers for tests: a single one, or a replica set of one member.

Each server listens on the loopback interface and keeps its data in the given directory. When the context
ends, the server is stopped. The data stay: another server on the same directory and port finds them again.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from demo.servers.mongod_program import find_mongod
from demo.servers.ports import LOOPBACK, free_port

START_S = 60.0
ALREADY_INITIATED = 23
"""The server's error code: this directory's replica set exists, because an earlier server made it."""
OPTIONS = (
    "--wiredTigerCacheSizeGB=0.25",
    "--oplogSize=64",
    "--nounixsocket",
    "--setParameter=diagnosticDataCollectionEnabled=false",
    # A primary that stops waits up to 15 s for another member to take over; here there is none.
    "--setParameter=shutdownTimeoutMillisForSignaledShutdown=0",
)


@contextmanager
def mongod(directory: Path, *arguments: str, port: int | None = None, **options: Any) -> Iterator[str]:
    """Runs a server until the context ends, and yields its address, `mongodb://host:port/`.

    Args:
        arguments: added to the server's command line.
        port: by default one that is free.
        options: of the client that waits until the server answers (TLS, for instance).

    Raises:
        AssertionError: the server has ended instead of answering; the message holds the end of its log.
    """
    port = port or free_port()
    directory.mkdir(exist_ok=True)
    place = ["--dbpath", str(directory), "--bind_ip", LOOPBACK, "--port", str(port)]
    log = directory / "mongod.log"
    with (
        log.open("ab") as output,
        subprocess.Popen([str(find_mongod()), *place, *OPTIONS, *arguments], stdout=output) as process,
    ):
        try:
            with MongoClient(
                LOOPBACK, port, directConnection=True, serverSelectionTimeoutMS=200, **options
            ) as client:
                _await_answer(client, process, log)
            yield f"mongodb://{LOOPBACK}:{port}/"
        finally:
            process.terminate()


@contextmanager
def replica_set(directory: Path, *arguments: str, port: int | None = None, **options: Any) -> Iterator[str]:
    """Runs a server that is the only member, and the primary, of a replica set; yields `replica_set_uri`.

    The arguments are those of `mongod`. This works for a server that requires logins (`--keyFile`), too: as
    long as it has no user, a client on the same machine may initiate the set without a login.
    """
    port = port or free_port()
    host = f"{LOOPBACK}:{port}"
    with mongod(directory, "--replSet", "tests", *arguments, port=port, **options):
        with MongoClient(host, directConnection=True, **options) as client:
            try:
                members = [{"_id": 0, "host": host}]
                client.admin.command("replSetInitiate", {"_id": "tests", "members": members})
            except OperationFailure as error:
                if error.code != ALREADY_INITIATED:
                    raise
            while not client.admin.command("hello")["isWritablePrimary"]:
                time.sleep(0.02)
        yield replica_set_uri(port)


def replica_set_uri(port: int) -> str:
    """The address of the server that `replica_set(..., port=port)` runs."""
    return f"mongodb://{LOOPBACK}:{port}/?replicaSet=tests&directConnection=true"


def _await_answer(client: MongoClient, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            client.admin.command("ping")
        except PyMongoError:
            if process.poll() is not None or time.monotonic() > deadline:
                end = log.read_text(encoding="utf-8", errors="replace")[-2000:]
                raise AssertionError(f"mongod does not answer; the end of {log}:\n{end}") from None
            time.sleep(0.02)
        else:
            return
