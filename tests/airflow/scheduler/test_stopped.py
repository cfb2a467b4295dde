"""Tasks that are stopped during a range: the next try resumes, and nothing is lost or done twice."""

from __future__ import annotations

import pytest
from pymongo import MongoClient

from tests.support.cluster import awaited
from tests.support.mongod import replica_set
from tests.support.slow_ranges import DOCUMENTS, RANGE_DOCUMENTS, expect_all_done_and_little_again, filled

pytestmark = [pytest.mark.scheduler, pytest.mark.timeout(300)]


def test_trap_31_a_task_marked_failed_saves_its_checkpoint(cluster, service, databases):
    """A task marked as failed gets SIGTERM and saves its checkpoint; once cleared, it resumes there.

    Only this task is cleared, by its map index, together with the summary, which reconciles all ranges again.
    Until then the run has failed, and its report says how many documents are affected.
    """
    service.delay_s = 0.5  # Airflow's worker checks every five seconds whether its task should still run.
    begun = cluster.trigger("ner_backfill", databases.params)
    awaited(lambda: databases.checkpoint(range_id="0000", read={"$gt": 8}), "a range in mid-work")

    begun.mark(map_index=0, state="failed")
    stopped = awaited(lambda: databases.checkpoint(status="interrupted"), "the checkpoint of the stopped")
    service.delay_s = 0
    begun.await_end("failed")

    assert (stopped["range_id"], stopped["problem"], stopped["attempts"]) == ("0000", "cancelled", 1)
    report = databases.target["engine_plans"].find_one()["report"]
    assert (report["status"], report["reconciled"]) == ("interrupted", False)
    assert report["read"] == RANGE_DOCUMENTS + stopped["read"] < DOCUMENTS

    begun.clear([["run_range", 0], "summarize"])
    begun.await_end("success")

    attempts = {
        found["range_id"]: found["attempts"] for found in databases.target["engine_checkpoints"].find()
    }
    assert attempts == {"0000": 2, "0001": 1}
    expect_all_done_and_little_again(databases, service)


def test_trap_31_a_task_over_its_execution_timeout_goes_on_in_its_next_try(cluster, service, databases):
    """Airflow's time limit ends try after try during the range.

    Each saves its checkpoint, and the next resumes.
    """
    begun = cluster.trigger("timed_backfill", databases.params)

    begun.await_end("success")

    assert max(begun.tries()) > 1
    checkpoints = databases.target["engine_checkpoints"].find().sort("_id")
    # A try whose time is over before it has claimed its range is no attempt at it.
    attempts = [found["attempts"] for found in checkpoints]
    assert all(1 <= made <= tried for made, tried in zip(attempts, begun.tries(), strict=True))
    assert max(attempts) > 1
    expect_all_done_and_little_again(databases, service)


def test_a_lost_scheduler_costs_only_what_was_in_flight(cluster, service, databases):
    """Scheduler, workers and tasks end at once during a range; the next scheduler resumes the run."""
    begun = cluster.trigger("ner_backfill", databases.params)
    awaited(databases.in_mid_range, "a range in mid-work")

    cluster.lose_scheduler()
    lost = list(databases.target["engine_checkpoints"].find({"status": "running"}))
    cluster.start_scheduler()
    begun.await_end("success")

    assert lost
    for checkpoint in lost:
        assert databases.checkpoint(_id=checkpoint["_id"])["attempts"] == checkpoint["attempts"] + 1
    expect_all_done_and_little_again(databases, service)


def test_a_mongod_that_restarts_costs_only_what_was_in_flight(cluster, service, own_uri, own_port, tmp_path):
    """It ends during a range and returns with its data: the tasks wait for it or are retried."""
    with MongoClient(own_uri, tz_aware=True) as client:
        with replica_set(tmp_path, port=own_port):
            databases = filled(client)
            begun = cluster.trigger("ner_backfill", {**databases.params, "mongo_conn_id": "mongo_own"})
            awaited(databases.in_mid_range, "a range in mid-work")
        with replica_set(tmp_path, port=own_port):
            begun.await_end("success")
            expect_all_done_and_little_again(databases, service)
            client.close()  # while the server is still there, as closing ends the session on it
