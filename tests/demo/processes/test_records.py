"""The record of what a demo has started."""

from demo.processes.process_tree import Leader
from demo.processes.records import Entry, Roster, read_roster, this_process, write_roster

# Linux gives no process id above 2**22.
NOBODY = Leader(pid=2**22 + 1, created=0.0)


def test_a_roster_comes_back_from_its_file_as_it_was(tmp_path):
    """Owner, entries in their order, notes."""
    roster = Roster(
        owner=this_process(),
        entries=(Entry("mongod", NOBODY, "a.log", outlives=True), Entry("ner", NOBODY, "b.log")),
        notes={"ui": "http://127.0.0.1:1"},
    )
    path = tmp_path / "deep" / "processes.json"
    write_roster(path, roster)
    assert read_roster(path) == roster


def test_without_a_file_nothing_runs(tmp_path):
    """The state of a fresh checkout."""
    roster = read_roster(tmp_path / "none.json")
    assert not roster.running
    assert not roster.owned


def test_a_process_of_another_time_is_not_the_recorded_one():
    """Process ids are used again; the start time tells."""
    me = this_process()
    assert me.alive
    assert not Leader(me.pid, me.created - 60).alive


def test_what_has_ended_does_not_run():
    """A roster outlives its processes, after a power cut for instance."""
    assert not Roster(owner=NOBODY, entries=(Entry("mongod", NOBODY, "a.log"),)).running
