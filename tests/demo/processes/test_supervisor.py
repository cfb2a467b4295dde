"""Nothing stays running: the supervisor and its guardian with real processes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from demo.errors import DemoError
from demo.processes.process_tree import is_alive
from demo.processes.supervisor import Supervisor, end_recorded
from demo.processes.waiting import wait_for

# A server with a child in another process group that ignores SIGTERM, as Airflow's tasks may. It writes both
# ids into a file.
STUBBORN = """
import os, signal, sys, time
child = os.fork()
if child == 0:
    os.setpgid(0, 0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)
draft = sys.argv[1] + ".draft"
open(draft, "w").write(f"{os.getpid()} {child}")
os.rename(draft, sys.argv[1])
time.sleep(600)
"""

# A parent that starts such a server and waits.
PARENT = """
import sys, time
from pathlib import Path
from demo.processes.supervisor import Supervisor
supervisor = Supervisor(Path(sys.argv[1]), grace_s=0.2)
supervisor.start("stubborn", [sys.executable, "-c", sys.argv[2], sys.argv[1] + "/pids"])
if sys.argv[3] == "release":
    supervisor.release({"ui": "somewhere"})
time.sleep(600)
"""


def processes(path: Path):
    """The processes whose ids the file holds, once it is there."""
    pids = wait_for(lambda: path.read_text().split() if path.exists() else None, "the file", timeout_s=30)
    return [psutil.Process(int(pid)) for pid in pids]


def await_end(members):
    """Wait until none of them runs."""
    wait_for(lambda: True if not any(map(is_alive, members)) else None, "the end", timeout_s=30)


@pytest.fixture
def start_parent(tmp_path):
    """Starts a parent in a process of its own; whatever is left of it ends with the test."""
    parents = []

    def start(mode):
        command = [sys.executable, "-c", PARENT, str(tmp_path), STUBBORN, mode]
        parents.append(subprocess.Popen(command))
        return parents[-1]

    yield start
    for parent in parents:
        parent.kill()
        parent.wait()
    end_recorded(tmp_path / "processes.json", grace_s=0.2)


def test_stopping_ends_grandchildren_in_other_groups(tmp_path):
    """Those that ignore SIGTERM too."""
    with Supervisor(tmp_path, grace_s=0.2) as supervisor:
        supervisor.start("stubborn", [sys.executable, "-c", STUBBORN, str(tmp_path / "pids")])
        members = processes(tmp_path / "pids")
        assert len({os.getpgid(member.pid) for member in members}) == 2
    assert not any(map(is_alive, members))


def test_stopping_ends_orphans_of_a_server_that_died(tmp_path):
    """Their parent is gone, their session is not."""
    with Supervisor(tmp_path, grace_s=0.2) as supervisor:
        child = supervisor.start("stubborn", [sys.executable, "-c", STUBBORN, str(tmp_path / "pids")])
        members = processes(tmp_path / "pids")
        child.popen.kill()
        child.popen.wait()
        assert is_alive(members[1])
    assert not any(map(is_alive, members))


def test_a_killed_parent_takes_everything_with_it(start_parent, tmp_path):
    """SIGKILL leaves it no time to end anything; its guardian does."""
    parent = start_parent("own")
    members = processes(tmp_path / "pids")
    parent.send_signal(signal.SIGKILL)
    await_end(members)
    wait_for(
        lambda: True if not (tmp_path / "processes.json").exists() else None, "the record's end", timeout_s=10
    )


def test_what_was_released_outlives_its_parent_until_it_is_ended(start_parent, tmp_path):
    """That is `make demo KEEP=1` and `make demo-down`."""
    parent = start_parent("release")
    members = processes(tmp_path / "pids")
    record = tmp_path / "processes.json"
    wait_for(lambda: True if "somewhere" in record.read_text() else None, "the release", timeout_s=10)
    parent.kill()
    parent.wait()
    assert all(map(is_alive, members))
    assert end_recorded(record, grace_s=0.2).notes == {"ui": "somewhere"}
    assert not any(map(is_alive, members))


def test_a_running_parent_is_asked_to_end_first(start_parent, tmp_path):
    """`make demo-down` from another terminal."""
    parent = start_parent("own")
    members = processes(tmp_path / "pids")
    end_recorded(tmp_path / "processes.json", grace_s=0.2)
    assert not any(map(is_alive, members))
    assert parent.wait(10) == -signal.SIGTERM


def test_a_server_that_died_is_noticed_with_its_log(tmp_path):
    """Whoever waits for something else learns of it."""
    with Supervisor(tmp_path) as supervisor:
        child = supervisor.start("short", ["/bin/sh", "-c", "echo the disk is full; exit 3"])
        child.popen.wait()
        with pytest.raises(DemoError, match="short ended by itself with exit status 3") as caught:
            supervisor.check()
        assert caught.value.log.read_text() == "the disk is full\n"


def test_a_killed_server_is_gone_at_once_and_missed_by_nobody(tmp_path):
    """With all that it has started, as if its machine were lost; the others go on."""
    with Supervisor(tmp_path, grace_s=0.2) as supervisor:
        supervisor.start("stubborn", [sys.executable, "-c", STUBBORN, str(tmp_path / "pids")])
        other = supervisor.start("other", ["sleep", "600"])
        members = processes(tmp_path / "pids")
        supervisor.kill("stubborn")
        assert not any(map(is_alive, members))
        supervisor.check()
        assert other.popen.poll() is None


def test_a_command_runs_to_its_end(tmp_path):
    """Its failure is an error; its success leaves nothing to watch."""
    with Supervisor(tmp_path) as supervisor:
        supervisor.call("fine", ["/bin/sh", "-c", "exit 0"])
        supervisor.check()
        with pytest.raises(DemoError, match="bad failed with exit status 4"):
            supervisor.call("bad", ["/bin/sh", "-c", "exit 4"])


def test_nothing_starts_once_everything_is_being_stopped(tmp_path):
    """A thread that is late must not leave a server behind."""
    supervisor = Supervisor(tmp_path)
    supervisor.stop()
    with pytest.raises(DemoError, match="being stopped"):
        supervisor.start("late", ["/bin/sh", "-c", "exit 0"])
