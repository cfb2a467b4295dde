"""Ends a process together with everything that it has started.

Each server is started in a session of its own. Its descendants may be in other process groups (Airflow gives
every task one) and may outlive their parents, but none of the demo's servers leaves its session. So the
processes of a server are its descendants and the members of its session.
"""

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

import psutil

# Start times have a resolution of 10 ms, and the clock behind them may be corrected meanwhile.
_SAME_START_S = 2.0
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class SessionLeader:
    """A process that was started in a session of its own.

    Attributes:
        pid: Its process id, which is also the id of the session.
        created: When it was started, in seconds since the epoch. This distinguishes it from a later process
            with the same id.
    """

    pid: int
    created: float

    @classmethod
    def of(cls, pid: int) -> "SessionLeader":
        """The process `pid`, which must exist; a zombie counts."""
        return cls(pid, psutil.Process(pid).create_time())

    def process(self) -> psutil.Process | None:
        """The process, or None if it no longer exists or its id belongs to another process now."""
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.created) < _SAME_START_S:
                return process
        return None

    @property
    def alive(self) -> bool:
        """Whether the process runs; a zombie does not."""
        process = self.process()
        return process is not None and is_alive(process)


def is_alive(process: psutil.Process) -> bool:
    """Whether the process runs. A zombie does not, and it may stay one if no process reaps it."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def living_members(leader: SessionLeader) -> set[psutil.Process]:
    """All running processes among the leader, its descendants and the members of its session."""
    process = leader.process()
    if process is None and _id_was_reused(leader):
        return set()
    members = _in_session(leader.pid)
    if process is not None:
        with suppress(psutil.NoSuchProcess):
            members |= {process, *process.children(recursive=True)}
    return {member for member in members if is_alive(member)}


def _id_was_reused(leader: SessionLeader) -> bool:
    """Whether the id of the session may belong to another session by now, so that the leader's has ended.

    The kernel does not give a session's id to a new process while the session has members. After a restart of
    the machine all ids are reused.
    """
    return psutil.pid_exists(leader.pid) or leader.created + _SAME_START_S < psutil.boot_time()


def _in_session(session: int) -> set[psutil.Process]:
    return {process for process in psutil.process_iter() if _session_of(process.pid) == session}


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:  # The process has ended meanwhile, or this user may not look at it.
        return None


def end_trees(leaders: Iterable[SessionLeader], *, grace_s: float) -> None:
    """Send SIGTERM to all members, and SIGKILL to those that still run after `grace_s` seconds."""
    leaders = list(leaders)
    # Collected before the first signal: an orphan can no longer be found through its parent.
    members = _members_of_all(leaders)
    _signal(members, kill=False)
    _await_end(members, grace_s)
    members = {member for member in members if is_alive(member)} | _members_of_all(leaders)
    _signal(members, kill=True)
    _await_end(members, grace_s)


def kill_tree(leader: SessionLeader) -> None:
    """Send SIGKILL to all members, also to those that are started meanwhile, until none is left."""
    while members := living_members(leader):
        _signal(members, kill=True)
        _await_end(members, _POLL_S)


def ask_to_end(leader: SessionLeader, *, timeout_s: float) -> None:
    """Send SIGTERM to this process alone, and wait at most `timeout_s` seconds for its end."""
    process = leader.process()
    if process is not None:
        _signal([process], kill=False)
        _await_end([process], timeout_s)


def _members_of_all(leaders: Iterable[SessionLeader]) -> set[psutil.Process]:
    return set().union(*(living_members(leader) for leader in leaders))


def _signal(members: Iterable[psutil.Process], *, kill: bool) -> None:
    for member in members:
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            member.kill() if kill else member.terminate()


def _await_end(members: Iterable[psutil.Process], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline and any(is_alive(member) for member in members):
        time.sleep(_POLL_S)
