"""Following a run of the DAG."""

import io

import mongomock
import pytest
from rich.console import Console

from demo.display import Display
from demo.following import DagRun, RunProgress, follow, read_progress

RUN = DagRun("ner_backfill", "demo-1")


class Airflow:
    """Answers one state after the other."""

    def __init__(self, *states):
        self._states = iter(states)

    def run_state(self, dag_id, dag_run_id):
        """Returns the next state."""
        assert (dag_id, dag_run_id) == ("ner_backfill", "demo-1")
        return next(self._states)


@pytest.fixture
def database():
    """An empty database in memory."""
    with mongomock.MongoClient() as client:
        yield client["chat"]


def checkpoint(database, **counts):
    """Store a range's checkpoint."""
    zero = {"written": 0, "unchanged": 0, "dead_lettered": 0, "retries": 0}
    database["engine_checkpoints"].insert_one({"run_id": RUN.run_id, **zero, **counts})


def test_a_run_without_a_plan_stands_at_nothing(database):
    """The first seconds of a run."""
    assert read_progress(database, RUN.run_id) == RunProgress()
    assert RunProgress().note(1.0) == "planning"


def test_the_standing_is_the_sum_of_the_ranges(database):
    """Written, unchanged and dead-lettered documents are all committed."""
    database["engine_plans"].insert_one({"run_id": RUN.run_id, "documents": 1500, "ranges": [{}] * 2})
    checkpoint(database, written=1000, retries=2)
    checkpoint(database, written=100, unchanged=50, dead_lettered=3)
    database["engine_checkpoints"].insert_one({"run_id": "another", "written": 9})
    progress = read_progress(database, RUN.run_id)
    assert progress == RunProgress(planned=1500, committed=1153, retries=2, dead_lettered=3)
    assert progress.note(10.0) == "1,153 of 1,500 messages, 115/s, 2 retries, 3 dead letters"


def test_following_ends_with_the_run(database):
    """It looks once a second, and returns the final state."""
    pauses = []
    with Display(Console(file=io.StringIO())) as display, display.step("extraction") as step:
        state = follow(
            RUN,
            Airflow("queued", "running", "success"),
            database,
            step,
            check=lambda: None,
            clock=lambda: 0.0,
            sleep=pauses.append,
        )
    assert state == "success"
    assert pauses == [1.0, 1.0]
