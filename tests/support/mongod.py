"""Servers for tests that need another one than the session's replica set of one."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pymongo import MongoClient

from demo.servers.mongod import find_mongod
from demo.servers.ports import free_port


@contextmanager
def mongod(directory: Path, *arguments: str, **options: Any) -> Iterator[str]:
    """A mongod with a data directory of its own; yields its address, and stops it afterwards.

    Args:
        arguments: of the command line.
        options: of the client that waits for it.
    """
    port = free_port()
    directory.mkdir(exist_ok=True)
    place = ["--dbpath", str(directory), "--unixSocketPrefix", str(directory), "--bind_ip", "127.0.0.1"]
    size = ["--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "16"]
    command = [str(find_mongod()), *place, *size, "--port", str(port), *arguments]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            uri = f"mongodb://127.0.0.1:{port}/"
            with MongoClient(uri, directConnection=True, **options) as client:
                client.admin.command("ping")  # waits until it answers
            yield uri
        finally:
            process.kill()  # its data is thrown away, and a primary would hand over first
