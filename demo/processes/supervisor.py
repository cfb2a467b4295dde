"""Starts servers, watches them, and ends them with everything that they have started."""

import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from demo.errors import DemoError
from demo.processes.process_tree import SessionLeader, ask_to_end, end_trees, kill_tree
from demo.processes.records import ProcessRecords, ServerRecord, read_records, this_process, write_records

RECORDS_NAME = "processes.json"
# Airflow gives its tasks five seconds to end; a scheduler with running tasks would wait forever.
_GRACE_S = 5.0
_LAST_GRACE = 4
# Waits for a line on standard input before it runs the command. The line is sent after the process was
# recorded, so nothing runs that a later command could not find. If the supervisor is killed before, the input
# ends and the command never runs.
_GATE = ("/bin/sh", "-c", 'read -r _ && exec "$@" </dev/null', "gate")


@dataclass(frozen=True, slots=True)
class Child:
    """A started server.

    Attributes:
        name: The name of the server.
        popen: The process.
        log: The file with its standard output and error.
    """

    name: str
    popen: subprocess.Popen[bytes]
    log: Path


class Supervisor:
    """Starts servers in sessions of their own, and ends them when its context ends.

    Only `release` leaves them running. If this process is killed by SIGKILL, its servers go on; the file of
    records names them, and `end_recorded` ends them: `make demo` and `make demo-down` call it first. Threads
    may share a supervisor.

    Attributes:
        records_path: The file that records what runs.
    """

    def __init__(self, state_dir: Path, *, grace_s: float = _GRACE_S) -> None:
        self.records_path = state_dir / RECORDS_NAME
        self._logs = state_dir / "logs"
        self._grace_s = grace_s
        self._children: list[Child] = []
        self._records = ProcessRecords(owner=this_process())
        self._stopping = False
        self._lock = threading.RLock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        outlives: bool = False,
    ) -> Child:
        """Start a server.

        Args:
            name: The name of the server; its output goes to `logs/<name>.log`.
            command: Program and arguments.
            env: The whole environment of the server; None passes on that of this process.
            outlives: Whether it must end after the other servers.

        Raises:
            DemoError: The servers are being stopped.
        """
        with self._lock:
            self._check_not_stopping()
            log = self._logs / f"{name}.log"
            child = Child(name, _spawn(command, env, log), log)
            try:
                self._record(ServerRecord(name, SessionLeader.of(child.popen.pid), str(log), outlives))
            except BaseException:
                _close_gate(child.popen)
                raise
            _open_gate(child.popen)
            self._children.append(child)
        return child

    def call(self, name: str, command: Sequence[str], *, env: Mapping[str, str] | None = None) -> None:
        """Run a command and wait for its end.

        Raises:
            DemoError: It failed, or `stop` ended it.
        """
        child = self.start(name, command, env=env)
        status = child.popen.wait()
        self._stop_watching(child)
        if status:
            raise DemoError(f"{name} failed with exit status {status}", log=child.log)

    def kill(self, name: str) -> None:
        """End a server and everything that it has started by SIGKILL, as if its machine were lost."""
        child = next(child for child in self._children if child.name == name)
        self._stop_watching(child)
        kill_tree(SessionLeader.of(child.popen.pid))
        child.popen.wait()

    def check(self) -> None:
        """Make sure that all servers run.

        Raises:
            DemoError: One of them has ended, or they are being stopped.
        """
        self._check_not_stopping()
        for child in self._children:
            status = child.popen.poll()
            if status is not None:
                raise DemoError(f"{child.name} ended by itself with exit status {status}", log=child.log)

    def stop(self) -> None:
        """End all servers, those that others need last, and remove the record. A second call does nothing."""
        with self._lock:
            self._stopping = True
        end_servers(self._records, grace_s=self._grace_s)
        for child in self._children:
            child.popen.wait()
        self._forget()

    def release(self, notes: Mapping[str, str]) -> None:
        """Leave all servers running, and record notes about them for a later command."""
        self._records = replace(self._records, owner=None, notes=dict(notes))
        write_records(self.records_path, self._records)
        for child in self._children:
            child.popen.returncode = 0  # Otherwise Popen's destructor warns of a process left running.
        self._records = ProcessRecords()
        self._forget()

    def _stop_watching(self, child: Child) -> None:
        with self._lock:
            self._children = [other for other in self._children if other is not child]

    def _forget(self) -> None:
        self._children = []
        if self._records.servers:
            self.records_path.unlink(missing_ok=True)
            self._records = ProcessRecords(owner=self._records.owner)

    def _check_not_stopping(self) -> None:
        if self._stopping:
            raise DemoError("the demo is being stopped")

    def _record(self, server: ServerRecord) -> None:
        self._records = self._records.with_server(server)
        write_records(self.records_path, self._records)


def _spawn(command: Sequence[str], env: Mapping[str, str] | None, log: Path) -> subprocess.Popen[bytes]:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        return subprocess.Popen(
            [*_GATE, *command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=None if env is None else dict(env),
            start_new_session=True,
        )


def _open_gate(popen: subprocess.Popen[bytes]) -> None:
    if popen.stdin is not None:
        with suppress(BrokenPipeError), popen.stdin:
            popen.stdin.write(b"go\n")


def _close_gate(popen: subprocess.Popen[bytes]) -> None:
    if popen.stdin is not None:
        popen.stdin.close()
    popen.wait()


def end_servers(records: ProcessRecords, *, grace_s: float) -> None:
    """End the recorded servers with everything that they have started; those that others need end last."""
    for outlives in (False, True):
        leaders = [server.leader for server in records.servers if server.outlives is outlives]
        end_trees(leaders, grace_s=_LAST_GRACE * grace_s if outlives else grace_s)


def end_recorded(path: Path, *, grace_s: float = _GRACE_S) -> ProcessRecords:
    """End what the file records, and remove the file.

    If the owner still runs, it is asked first to end, and then it ends its servers itself.

    Returns:
        What was recorded.
    """
    records = read_records(path)
    if records.owner is not None:
        ask_to_end(records.owner, timeout_s=3 * grace_s)
    end_servers(records, grace_s=grace_s)
    path.unlink(missing_ok=True)
    return records
