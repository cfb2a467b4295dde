"""Starting servers, watching them, and ending them with all they have started."""

import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from demo.errors import DemoError
from demo.processes.guardian import RELEASE
from demo.processes.process_tree import Leader, ask_to_end, end_families, kill_family
from demo.processes.records import Entry, Roster, read_roster, this_process, write_roster

ROSTER_NAME = "processes.json"
# Airflow gives its tasks five seconds to end; a scheduler with tasks under way would wait for ever.
_GRACE_S = 5.0
_LAST_GRACE = 4
# Runs the command only once it is in the roster: nothing starts that a guardian would not know of.
_GATE = ("/bin/sh", "-c", 'read -r _ && exec "$@" </dev/null', "gate")


@dataclass(frozen=True, slots=True)
class Child:
    """A started server.

    Attributes:
        name: What it is.
        popen: The process.
        log: The file with its standard output and error.
    """

    name: str
    popen: subprocess.Popen[bytes]
    log: Path


class Supervisor:
    """Starts servers in sessions of their own and leaves none behind.

    Whatever happens to this process, SIGKILL included, its servers end: by `stop`, or by a guardian process.
    `release` is the one way to leave them running. Threads may share it.

    Attributes:
        roster_path: The file that records what runs.
    """

    def __init__(self, state_dir: Path, *, grace_s: float = _GRACE_S) -> None:
        self.roster_path = state_dir / ROSTER_NAME
        self._logs = state_dir / "logs"
        self._grace_s = grace_s
        self._children: list[Child] = []
        self._roster = Roster(owner=this_process())
        self._guardian: subprocess.Popen[bytes] | None = None
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
            name: What it is; its output goes to `logs/<name>.log`.
            command: Program and arguments.
            env: Its whole environment; None for this process's.
            outlives: Whether it must end only after the others.
        """
        with self._lock:
            self._check_going()
            self._guard()
            log = self._logs / f"{name}.log"
            child = Child(name, _spawn(command, env, log), log)
            self._record(Entry(name, Leader.of(child.popen.pid), str(log), outlives))
            _open_gate(child.popen)
            self._children.append(child)
        return child

    def call(self, name: str, command: Sequence[str], *, env: Mapping[str, str] | None = None) -> None:
        """Run a command to its end.

        Raises:
            DemoError: It failed, or `stop` ended it.
        """
        child = self.start(name, command, env=env)
        status = child.popen.wait()
        self._watch_no_longer(child)
        if status:
            raise DemoError(f"{name} failed with exit status {status}", log=child.log)

    def kill(self, name: str) -> None:
        """End a server with all it has started by SIGKILL, as if its machine were lost."""
        child = next(child for child in self._children if child.name == name)
        self._watch_no_longer(child)
        kill_family(Leader.of(child.popen.pid))
        child.popen.wait()

    def check(self) -> None:
        """Make sure that all servers run.

        Raises:
            DemoError: One has ended, or they are being stopped.
        """
        self._check_going()
        for child in self._children:
            status = child.popen.poll()
            if status is not None:
                raise DemoError(f"{child.name} ended by itself with exit status {status}", log=child.log)

    def stop(self) -> None:
        """End all servers, those that others need last, and forget them. A second call does nothing."""
        with self._lock:
            self._stopping = True
        end_roster(self._roster, grace_s=self._grace_s)
        for child in self._children:
            child.popen.wait()
        self._forget()

    def release(self, notes: Mapping[str, str]) -> None:
        """Leave all servers running, with notes for a later run or `down`."""
        self._roster = replace(self._roster, owner=None, notes=dict(notes))
        write_roster(self.roster_path, self._roster)
        for child in self._children:
            child.popen.returncode = 0  # Otherwise Popen's destructor warns of a process left running.
        self._roster = Roster()
        self._forget()

    def _watch_no_longer(self, child: Child) -> None:
        with self._lock:
            self._children = [other for other in self._children if other is not child]

    def _forget(self) -> None:
        self._children = []
        if self._roster.entries:
            self.roster_path.unlink(missing_ok=True)
            self._roster = Roster(owner=self._roster.owner)
        self._dismiss_guardian()

    def _check_going(self) -> None:
        if self._stopping:
            raise DemoError("the demo is being stopped")

    def _record(self, entry: Entry) -> None:
        self._roster = self._roster.with_entry(entry)
        write_roster(self.roster_path, self._roster)

    def _guard(self) -> None:
        if self._guardian is None:
            self._guardian = subprocess.Popen(
                [sys.executable, "-m", "demo.processes.guardian", str(self.roster_path)],
                stdin=subprocess.PIPE,
                start_new_session=True,
            )

    def _dismiss_guardian(self) -> None:
        if self._guardian is not None:
            self._guardian.communicate(RELEASE)
            self._guardian = None


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


def end_roster(roster: Roster, *, grace_s: float) -> None:
    """End the families of a roster, those that others need last."""
    for outlives in (False, True):
        leaders = [entry.leader for entry in roster.entries if entry.outlives is outlives]
        end_families(leaders, grace_s=_LAST_GRACE * grace_s if outlives else grace_s)


def end_recorded(path: Path, *, grace_s: float = _GRACE_S) -> Roster:
    """End what a roster file records, its owner first (it then ends the rest itself), and remove the file.

    Returns:
        What was recorded.
    """
    roster = read_roster(path)
    if roster.owner is not None:
        ask_to_end(roster.owner, timeout_s=3 * grace_s)
    end_roster(roster, grace_s=grace_s)
    path.unlink(missing_ok=True)
    return roster
