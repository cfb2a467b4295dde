"""A Redis server as the broker of the demo's Celery: loopback only, with a password, without persistence."""

import secrets
import socket
from pathlib import Path

from demo.processes.supervisor import Supervisor
from demo.processes.waiting import wait_for
from demo.servers.ports import LOOPBACK, free_port

_START_S = 30.0
_CONNECT_S = 1.0


class Redis:
    """A server that its supervisor ends.

    Attributes:
        url: Its address, which contains the password.
    """

    def __init__(self, state_dir: Path, program: Path, supervisor: Supervisor) -> None:
        self._port = free_port()
        self._password = secrets.token_urlsafe(24)
        self._configuration = state_dir / "redis.conf"
        self._program = program
        self._supervisor = supervisor
        self.url = f"redis://:{self._password}@{LOOPBACK}:{self._port}/0"

    def start(self) -> None:
        """Start the server, and wait until it accepts connections.

        Raises:
            DemoError: The server did not start.
        """
        _write_private(self._configuration, configuration(self._port, self._password))
        self._supervisor.start("redis", [str(self._program), str(self._configuration)], outlives=True)
        wait_for(self._answers, "Redis", timeout_s=_START_S, check=self._supervisor.check, interval_s=0.05)

    def _answers(self) -> bool | None:
        try:
            with socket.create_connection((LOOPBACK, self._port), timeout=_CONNECT_S):
                return True
        except OSError:
            return None


def configuration(port: int, password: str) -> str:
    """The text of the configuration file.

    The password is in this file and not on the command line, which every user may read.
    """
    options = {
        "bind": LOOPBACK,
        "port": str(port),
        "requirepass": password,
        "save": '""',
        "appendonly": "no",
    }
    return "".join(f"{name} {value}\n" for name, value in options.items())


def _write_private(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
