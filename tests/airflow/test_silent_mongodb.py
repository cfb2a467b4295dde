"""A task whose MongoDB answers nothing any more ends when Airflow stops it."""

# ruff: noqa: PLC0415  (Airflow reads its environment at import, so a fixture has to set it first)
from __future__ import annotations

import os
import signal
import threading
import time

import pytest
from pymongo import MongoClient

from demo.servers.connections import mongo_connection
from tests.support.mongod import replica_set
from tests.support.samples import INDEX, message
from tests.support.three_members import pid_of


@pytest.fixture
def given_uri(tmp_path, connection):
    """A server of its own with 300 messages, behind the Connection `given`."""
    with replica_set(tmp_path) as uri, MongoClient(uri) as client:
        connection(**mongo_connection(uri))
        client["chat"]["messages"].create_index(INDEX)
        client["chat"]["messages"].insert_many([message(n, n) for n in range(300)])
        yield uri


def test_trap_49_a_task_on_a_frozen_server_ends_with_sigterm(tasks, in_task, service, given_uri):
    """It ends before SIGKILL, and the next try finishes the range: nothing is lost or counted twice."""
    from airflow.sdk.exceptions import AirflowException

    in_task(mongo_conn_id="given", database="chat", batch_texts=2, max_concurrency=1)
    service.delay_s = 0.05
    (key_range,) = tasks.plan()
    pid = pid_of(given_uri)

    def freeze_and_stop():
        with MongoClient(given_uri) as client:
            while client["chat"]["messages_entities"].estimated_document_count() < 10:
                time.sleep(0.02)
        os.kill(pid, signal.SIGSTOP)
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGTERM)

    stopping = threading.Thread(target=freeze_and_stop)
    stopping.start()
    try:
        with pytest.raises(AirflowException, match="stopped by SIGTERM; the next try goes on"):
            tasks.run_range(key_range, deadline_s=60)
    finally:
        stopping.join()
        os.kill(pid, signal.SIGCONT)
    service.delay_s = 0
    report = tasks.run_range(key_range, deadline_s=60)
    assert (report["status"], report["read"], report["reconciled"]) == ("succeeded", 300, True)
