"""The supervisor with real processes: nothing stays running, and what does is recorded."""

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from rich.console import Console
from typer.testing import CliRunner

from demo.cli import app
from demo.errors import DemoError
from demo.processes import supervisor as supervisor_module
from demo.processes.process_tree import is_alive
from demo.processes.supervisor import Supervisor, end_recorded
from demo.processes.waiting import wait_for
from demo.session import end_leftovers

# A server with a child in another process group that ignores SIGTERM, as Airflow's tasks may. It writes both
# process ids into a file.
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

# A demo that starts such a server and waits. It handles signals as `python -m demo` does.
DEMO = """
import sys, time
from pathlib import Path
from demo.cli import interrupt_on_signals
from demo.processes.supervisor import Supervisor
interrupt_on_signals()
with Supervisor(Path(sys.argv[1]), grace_s=0.2) as supervisor:
    supervisor.start("stubborn", [sys.executable, "-c", sys.argv[2], sys.argv[1] + "/pids"])
    if sys.argv[3] == "release":
        supervisor.release({"ui": "somewhere"})
    time.sleep(600)
"""


def processes(path: Path):
    """Waits for the file, and returns the processes whose ids it contains."""
    pids = wait_for(lambda: path.read_text().split() if path.exists() else None, "the file", timeout_s=30)
    return [psutil.Process(int(pid)) for pid in pids]


@pytest.fixture
def start_demo(tmp_path):
    """Starts a demo in a process of its own; whatever is left of it ends with the test."""
    demos = []

    def start(mode):
        command = [sys.executable, "-c", DEMO, str(tmp_path), STUBBORN, mode]
        demos.append(subprocess.Popen(command))
        return demos[-1]

    yield start
    for demo in demos:
        demo.kill()
        demo.wait()
    end_recorded(tmp_path / "processes.json", grace_s=0.2)


@pytest.fixture
def killed_demo(start_demo, tmp_path):
    """The processes that a demo has left running when it was killed by SIGKILL."""
    demo = start_demo("own")
    members = processes(tmp_path / "pids")
    demo.kill()
    demo.wait()
    assert all(map(is_alive, members))
    return members


def test_stopping_ends_grandchildren_in_other_groups(tmp_path):
    """Even one that ignores SIGTERM."""
    with Supervisor(tmp_path, grace_s=0.2) as supervisor:
        supervisor.start("stubborn", [sys.executable, "-c", STUBBORN, str(tmp_path / "pids")])
        members = processes(tmp_path / "pids")
        assert len({os.getpgid(member.pid) for member in members}) == 2
    assert not any(map(is_alive, members))


def test_stopping_ends_orphans_of_a_server_that_died(tmp_path):
    """Their parent has ended, but they are members of its session."""
    with Supervisor(tmp_path, grace_s=0.2) as supervisor:
        child = supervisor.start("stubborn", [sys.executable, "-c", STUBBORN, str(tmp_path / "pids")])
        members = processes(tmp_path / "pids")
        child.popen.kill()
        child.popen.wait()
        assert is_alive(members[1])
    assert not any(map(is_alive, members))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_demo_leaves_no_process_behind(start_demo, tmp_path, number):
    """Ctrl-C, SIGTERM and a closed terminal: the demo ends its servers before it ends itself."""
    demo = start_demo("own")
    members = processes(tmp_path / "pids")
    demo.send_signal(number)
    assert demo.wait(10) != 0
    assert not any(map(is_alive, members))
    assert not (tmp_path / "processes.json").exists()


def test_the_next_demo_ends_the_servers_of_a_killed_one(killed_demo, tmp_path):
    """SIGKILL leaves a demo no time to end anything. The record tells the next `make demo` what to end."""
    console = Console(file=io.StringIO())
    end_leftovers(tmp_path, console)
    assert not any(map(is_alive, killed_demo))
    assert "an earlier demo has left running" in console.file.getvalue()
    end_leftovers(tmp_path, console)


def test_the_next_demo_ends_orphans_whose_server_has_died(killed_demo, tmp_path):
    """A record of servers that have all ended may still lead to what they have started."""
    killed_demo[0].kill()
    wait_for(lambda: None if is_alive(killed_demo[0]) else True, "the server's end", timeout_s=10)
    end_leftovers(tmp_path, Console(file=io.StringIO()))
    assert not any(map(is_alive, killed_demo))


def test_down_ends_the_servers_of_a_killed_demo(killed_demo, tmp_path):
    """`make demo-down` works after SIGKILL as after `KEEP=1`, and says what it has ended."""
    result = CliRunner().invoke(app, ["down", "--state-dir", str(tmp_path)])
    assert (result.exit_code, result.output) == (0, "Ended: stubborn.\n")
    assert not any(map(is_alive, killed_demo))


def test_a_second_demo_is_refused_while_the_first_one_runs(start_demo, tmp_path):
    """Its servers are left alone."""
    demo = start_demo("own")
    members = processes(tmp_path / "pids")
    with pytest.raises(DemoError, match=rf"running already \(process {demo.pid}\)"):
        end_leftovers(tmp_path, Console(file=io.StringIO()))
    assert all(map(is_alive, members))


def test_what_was_released_outlives_its_demo_until_it_is_ended(start_demo, tmp_path):
    """That is `make demo KEEP=1` and `make demo-down`."""
    demo = start_demo("release")
    members = processes(tmp_path / "pids")
    record = tmp_path / "processes.json"
    wait_for(lambda: True if "somewhere" in record.read_text() else None, "the release", timeout_s=10)
    demo.kill()
    demo.wait()
    assert all(map(is_alive, members))
    assert end_recorded(record, grace_s=0.2).notes == {"ui": "somewhere"}
    assert not any(map(is_alive, members))


def test_a_running_demo_is_asked_to_end_first(start_demo, tmp_path):
    """`make demo-down` from another terminal: the demo ends its servers itself."""
    demo = start_demo("own")
    members = processes(tmp_path / "pids")
    end_recorded(tmp_path / "processes.json", grace_s=0.2)
    assert not any(map(is_alive, members))
    assert demo.wait(10) == -signal.SIGINT  # as Python ends after KeyboardInterrupt, not by SIGTERM


def test_nothing_runs_that_is_not_recorded(tmp_path, monkeypatch):
    """If the record cannot be written, the command never runs."""

    def fail(*_):
        raise OSError("the disk is full")

    monkeypatch.setattr(supervisor_module, "write_records", fail)
    with Supervisor(tmp_path, grace_s=0.2) as supervisor, pytest.raises(OSError, match="the disk is full"):
        supervisor.start("late", ["touch", str(tmp_path / "ran")])
    assert not (tmp_path / "ran").exists()


def test_a_server_that_died_is_noticed_with_its_log(tmp_path):
    """`check` raises, so whoever waits for another server learns of it."""
    with Supervisor(tmp_path) as supervisor:
        child = supervisor.start("short", ["/bin/sh", "-c", "echo the disk is full; exit 3"])
        child.popen.wait()
        with pytest.raises(DemoError, match="short ended by itself with exit status 3") as caught:
            supervisor.check()
        assert caught.value.log.read_text() == "the disk is full\n"


def test_a_killed_server_is_gone_at_once_and_missed_by_nobody(tmp_path):
    """Everything that it has started is gone too, as if its machine were lost; the other servers go on."""
    with Supervisor(tmp_path, grace_s=0.2) as supervisor:
        supervisor.start("stubborn", [sys.executable, "-c", STUBBORN, str(tmp_path / "pids")])
        other = supervisor.start("other", ["sleep", "600"])
        members = processes(tmp_path / "pids")
        supervisor.kill("stubborn")
        assert not any(map(is_alive, members))
        supervisor.check()
        assert other.popen.poll() is None


def test_a_command_runs_to_its_end(tmp_path):
    """A failure raises an error; after a success nothing is watched."""
    with Supervisor(tmp_path) as supervisor:
        supervisor.call("fine", ["/bin/sh", "-c", "exit 0"])
        supervisor.check()
        with pytest.raises(DemoError, match="bad failed with exit status 4"):
            supervisor.call("bad", ["/bin/sh", "-c", "exit 4"])


def test_nothing_starts_once_everything_is_being_stopped(tmp_path):
    """A thread that comes late cannot leave a server behind."""
    supervisor = Supervisor(tmp_path)
    supervisor.stop()
    with pytest.raises(DemoError, match="being stopped"):
        supervisor.start("late", ["/bin/sh", "-c", "exit 0"])
