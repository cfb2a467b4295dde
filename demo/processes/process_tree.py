"""Ending a process together with everything it has started.

A leader is started in a session of its own. Its descendants may sit in other process groups (Airflow gives
every task one) and may outlive their parents, but none of these servers leaves the session: the tree and the
session together are the family.
"""

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

import psutil

# Start times have a resolution of 10 ms, and the clock they are added to may be corrected meanwhile.
_SAME_START_S = 2.0
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Leader:
    """A process that was started in its own session.

    Attributes:
        pid: Its process id, which is the session's id too.
        created: When it was started, in seconds of the epoch: tells it from a later process with the same id.
    """

    pid: int
    created: float

    @classmethod
    def of(cls, pid: int) -> "Leader":
        """The process `pid`, which must exist (a zombie will do)."""
        return cls(pid, psutil.Process(pid).create_time())

    def process(self) -> psutil.Process | None:
        """The process if it still exists and is the same one."""
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.created) < _SAME_START_S:
                return process
        return None

    @property
    def alive(self) -> bool:
        """Whether it runs; a zombie does not."""
        process = self.process()
        return process is not None and is_alive(process)


def is_alive(process: psutil.Process) -> bool:
    """Whether the process runs; nobody may be there to reap a zombie, so it counts as ended."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def family(leader: Leader) -> set[psutil.Process]:
    """All living processes of the leader's tree and of its session."""
    process = leader.process()
    if process is None and psutil.pid_exists(leader.pid):
        return set()  # Another process has the id: the kernel gives it away only after the session's end.
    members = _in_session(leader.pid)
    if process is not None:
        with suppress(psutil.NoSuchProcess):
            members |= {process, *process.children(recursive=True)}
    return {member for member in members if is_alive(member)}


def _in_session(session: int) -> set[psutil.Process]:
    return {process for process in psutil.process_iter() if _session_of(process.pid) == session}


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:  # It has ended meanwhile, or is not ours to see.
        return None


def end_families(leaders: Iterable[Leader], *, grace_s: float) -> None:
    """Ask all members to end, and kill those that are left after `grace_s` seconds."""
    leaders = list(leaders)
    # Collected before the first signal: an orphan can no longer be found through its parent.
    members = _families(leaders)
    _signal(members, kill=False)
    _await_end(members, grace_s)
    members = {member for member in members if is_alive(member)} | _families(leaders)
    _signal(members, kill=True)
    _await_end(members, grace_s)


def kill_family(leader: Leader) -> None:
    """End all members at once and unasked, those that are started meanwhile too."""
    while members := family(leader):
        _signal(members, kill=True)
        _await_end(members, _POLL_S)


def ask_to_end(leader: Leader, *, timeout_s: float) -> None:
    """Send SIGTERM to this process alone and wait for its end, `timeout_s` seconds at most."""
    process = leader.process()
    if process is not None:
        _signal([process], kill=False)
        _await_end([process], timeout_s)


def _families(leaders: Iterable[Leader]) -> set[psutil.Process]:
    return set().union(*(family(leader) for leader in leaders))


def _signal(members: Iterable[psutil.Process], *, kill: bool) -> None:
    for member in members:
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            member.kill() if kill else member.terminate()


def _await_end(members: Iterable[psutil.Process], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline and any(is_alive(member) for member in members):
        time.sleep(_POLL_S)
