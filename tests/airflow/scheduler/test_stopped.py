"""What stops tasks in mid-work: the next try resumes, and nothing is lost or done twice."""

from __future__ import annotations

import pytest
from pymongo import MongoClient

from tests.support.cluster import awaited
from tests.support.mongod import replica_set
from tests.support.slow_ranges import DOCUMENTS, RANGE_DOCUMENTS, expect_all_done_and_little_again, filled

pytestmark = [pytest.mark.scheduler, pytest.mark.timeout(300)]


def test_trap_31_a_task_marked_failed_saves_its_checkpoint(cluster, service, databases):
    """Marked failed in mid-range, a task gets SIGTERM and saves where it is; cleared, it goes on there.

    It alone is cleared, by its map index, with the summary, which reconciles all ranges again. Until then the
    run has failed, and its report says of how many documents.
    """
    service.delay_s = 0.5  # Airflow's worker looks every five seconds whether its task is still wanted.
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
    """Airflow's own time limit passes in mid-range, again and again: each try saves, and the next goes on."""
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
    """Scheduler, workers and tasks end at once in mid-range; the next scheduler takes the run up again."""
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
    """It ends in mid-range and comes back with its data: tasks wait for it, or are tried again."""
    with MongoClient(own_uri, tz_aware=True) as client:
        with replica_set(tmp_path, port=own_port):
            databases = filled(client)
            begun = cluster.trigger("ner_backfill", {**databases.params, "mongo_conn_id": "mongo_own"})
            awaited(databases.in_mid_range, "a range in mid-work")
        with replica_set(tmp_path, port=own_port):
            begun.await_end("success")
            expect_all_done_and_little_again(databases, service)
            client.close()  # while there is a server to take leave of
