"""Starts the stub service in a process of its own, and collects its statistics."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from benchmarks.stub.service import Service

_END_S = 10.0


class StubProcess:
    """A running stub.

    Attributes:
        url: the address for requests.
    """

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/extract"
        self._process = process

    def stop(self) -> dict[str, Any]:
        """Ends the stub, and returns its statistics (`ServiceStats.to_json`)."""
        output, _ = self._process.communicate("stop\n", timeout=_END_S)
        seen: dict[str, Any] = json.loads(output)
        return seen


@contextmanager
def stub(service: Service) -> Iterator[StubProcess]:
    """Starts a stub. It ends with the context, or with this process, even if that is killed."""
    command = [sys.executable, "-m", "benchmarks.stub.server"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(asdict(service)) + "\n")
            process.stdin.flush()
            yield StubProcess(process, json.loads(process.stdout.readline())["port"])
        finally:
            process.kill()
