"""The record of what a demo has started."""

import psutil

from demo.processes import process_tree
from demo.processes.process_tree import SessionLeader, living_members
from demo.processes.records import (
    ProcessRecords,
    ServerRecord,
    read_records,
    this_process,
    write_records,
)

# Linux gives no process id above 2**22.
NOBODY = SessionLeader(pid=2**22 + 1, created=0.0)


def test_records_are_read_as_they_were_written(tmp_path):
    """Owner, servers in their order, notes."""
    records = ProcessRecords(
        owner=this_process(),
        servers=(
            ServerRecord("mongod", NOBODY, "a.log", outlives=True),
            ServerRecord("ner", NOBODY, "b.log"),
        ),
        notes={"ui": "http://127.0.0.1:1"},
    )
    path = tmp_path / "deep" / "processes.json"
    write_records(path, records)
    assert read_records(path) == records


def test_without_a_file_nothing_runs(tmp_path):
    """The state of a fresh checkout."""
    records = read_records(tmp_path / "none.json")
    assert not records.running
    assert not records.owned


def test_a_later_process_with_the_same_id_is_not_the_recorded_one():
    """Process ids are used again; the start time distinguishes them."""
    me = this_process()
    assert me.alive
    later = SessionLeader(me.pid, me.created - 60)
    assert not later.alive
    assert living_members(later) == set()


def test_a_record_from_before_the_last_start_of_the_machine_names_nobody(monkeypatch):
    """Another program's session may have the same id now, and a leader that has ended."""
    me = this_process()
    session = psutil.Process(me.pid)
    monkeypatch.setattr(process_tree, "_in_session", lambda _: {session})
    created = psutil.boot_time() - 60
    assert living_members(SessionLeader(NOBODY.pid, created)) == set()
    assert living_members(SessionLeader(NOBODY.pid, me.created)) == {session}


def test_what_has_ended_does_not_run():
    """Records outlive their processes, after a power cut for example."""
    assert not ProcessRecords(owner=NOBODY, servers=(ServerRecord("mongod", NOBODY, "a.log"),)).running
