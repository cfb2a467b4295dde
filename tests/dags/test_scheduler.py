"""A real Airflow, with its scheduler and worker processes: what a killed or stopped worker costs."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
from faults.ner_service import serve_in_thread
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import MongoClient

from engine import HttpExtractor, KeyRange, Settings, Window, run
from engine.canary import CANARY_TEXT
from engine.demo.airflow import Airflow, AirflowSettings
from engine.demo.connections import http_connection, mongo_connection
from engine.demo.ports import LOOPBACK, free_port
from engine.demo.processes import Supervisor
from engine.keyset import Key

pytestmark = [pytest.mark.scheduler, pytest.mark.timeout(300)]

DAGS = Path(__file__).parents[2] / "airflow_dags"
FIRST = datetime(2025, 1, 1, tzinfo=UTC)
DOCUMENTS, RANGE_DOCUMENTS = 600, 300
BATCH_TEXTS, AHEAD_BATCHES, PAGE_DOCUMENTS = 4, 8, 32
CAPACITY, SHARE = 8, 2
"""Of the service, and of each of the pool's four slots."""
PARAMS = {"range_documents": RANGE_DOCUMENTS, "batch_texts": BATCH_TEXTS, "service_capacity": CAPACITY}
ENVIRONMENT = {
    "NER_RETRY_DELAY_S": "1",
    "ENGINE_CHECKPOINT_S": "0.1",
    "ENGINE_PAGE_DOCUMENTS": str(PAGE_DOCUMENTS),
    "ENGINE_MAX_AHEAD_BATCHES": str(AHEAD_BATCHES),
}
DAG_ID = "ner_backfill"
WAIT_S = 120.0


@pytest.fixture(scope="module")
def slow_service():
    """The one service that the Airflow of these tests knows."""
    with serve_in_thread() as service:
        yield service


@pytest.fixture
def service(slow_service):
    """It takes 0.15 s a request: a range is some six seconds of work."""
    slow_service.reset()
    slow_service.delay_s = 0.15
    return slow_service


@pytest.fixture
def databases(mongod_uri):
    """A source of 600 documents, profiled, and two empty targets."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with MongoClient(mongod_uri, tz_aware=True) as client:
        source, targets = client[name], [client[f"{name}_{kind}"] for kind in ("hard", "calm")]
        source["messages"].create_index([("created_at", 1), ("_id", 1)])
        source["messages"].insert_many(
            {
                "_id": n,
                "created_at": FIRST + timedelta(seconds=n),
                "text": f"message {n} from Ada{n} in Paris",
            }
            for n in range(DOCUMENTS)
        )
        source.command("profile", 2)
        yield source, *targets
        source.command("profile", 0)
        for database in (source, *targets):
            client.drop_database(database)


@pytest.fixture(scope="module")
def api(tmp_path_factory, mongod_uri, slow_service):
    """A client of an Airflow that knows the DAG."""
    home = tmp_path_factory.mktemp("scheduler")
    host, _, port = slow_service.url.removeprefix("http://").partition(":")
    own_port = free_port()
    connections = {
        "mongo_default": mongo_connection(mongod_uri),
        "ner_default": http_connection(host, int(port)),
        "airflow_api": http_connection(LOOPBACK, own_port),
    }
    settings = AirflowSettings(home / "airflow", DAGS, connections, ENVIRONMENT, port=own_port)
    with Supervisor(home) as supervisor:
        airflow = Airflow(settings, supervisor)
        airflow.migrate()
        airflow.start()
        airflow.await_dag(DAG_ID)
        yield airflow.api


def test_a_killed_worker_costs_only_what_was_in_flight(api, service, databases, mongod_uri):
    """SIGKILL in mid-range: Airflow retries; the result is a calm run's; nothing done before is read again.

    Shown by the service's counters (which texts came twice) and by mongod's profiler (which pages were read).
    """
    source, target, calm = databases
    trigger(api, "killed", source, target)

    checkpoint = awaited(lambda: in_mid_range(target), "a range in mid-work")
    kill_task_of(api, "killed", int(checkpoint["range_id"]))
    killed_at = source.command("hello")["localTime"].replace(tzinfo=UTC)
    checkpoint = target["engine_checkpoints"].find_one({"_id": checkpoint["_id"]})
    await_end(api, "killed", "success")

    # One retry of that task did it.
    tries = {ti["map_index"]: ti["try_number"] for ti in instances(api, "killed")}
    assert tries == {at: 2 if at == int(checkpoint["range_id"]) else 1 for at in range(2)}

    # The service was asked again only for what was in flight beyond the checkpoint.
    received = sent(service)
    assert len(received) == DOCUMENTS
    assert set(received.values()) <= {1, 2}
    assert sum(times == 2 for times in received.values()) <= AHEAD_BATCHES * BATCH_TEXTS

    # The retry read what stands after the checkpoint, and nothing before it.
    pages = [p for p in pages_read(source, checkpoint) if p["ts"] >= killed_at]
    position = Key.from_json(json.loads(checkpoint["position"])).values
    assert pages
    assert all(bound(page) >= position for page in pages)
    rest = RANGE_DOCUMENTS - checkpoint["read"]
    assert (
        rest <= sum(page["nreturned"] for page in pages) <= rest + len(pages)
    )  # each page repeats its anchor

    # Each task kept to its share of the service, which follows from the pool's size as Airflow knows it.
    assert {report["max_concurrency"] for report in reports(api, "killed")} == {SHARE}
    assert service.most_in_flight <= CAPACITY

    # The documents are those of a calm run.
    calm_run(mongod_uri, source, calm, service)
    assert entities(target) == entities(calm)
    assert len(entities(target)) == DOCUMENTS


def test_trap_31_a_task_stopped_by_airflow_saves_its_checkpoint(api, service, databases):
    """Marked failed in mid-range, a task gets SIGTERM and saves where it is; cleared, it goes on there.

    It alone is cleared, by its map index, with the summary, which reconciles all ranges again.
    """
    source, target, _ = databases
    service.delay_s = 0.5  # Airflow's worker looks every five seconds whether its task is still wanted.
    trigger(api, "stopped", source, target)

    in_work = {"range_id": "0000", "read": {"$gt": 8}}
    awaited(lambda: target["engine_checkpoints"].find_one(in_work), "a range in mid-work")
    patch_state(api, "stopped", map_index=0, state="failed")
    stopped = awaited(
        lambda: target["engine_checkpoints"].find_one({"status": "interrupted"}),
        "the checkpoint of the stopped",
    )
    service.delay_s = 0
    await_end(api, "stopped", "failed")
    assert (stopped["problem"], stopped["attempts"]) == ("cancelled", 1)

    clear(api, "stopped", [["run_range", 0], "summarize"])
    await_end(api, "stopped", "success")

    attempts = {found["range_id"]: found["attempts"] for found in target["engine_checkpoints"].find()}
    assert attempts == {"0000": 2, "0001": 1}
    assert len(entities(target)) == DOCUMENTS
    assert len(sent(service)) == DOCUMENTS
    assert sum(times > 1 for times in sent(service).values()) <= AHEAD_BATCHES * BATCH_TEXTS


def trigger(api, name, source, target, **conf):
    """Starts a run of that name."""
    places = {"database": source.name, "collection": "messages", "target_database": target.name}
    api.trigger(DAG_ID, name, {**PARAMS, **places, **conf})


def await_end(api, name, state):
    """Waits until the run has that state."""
    awaited(lambda: api.run_state(DAG_ID, name) == state or None, f"the state {state} of run {name}")


def patch_state(api, name, map_index, state):
    """Marks a mapped task, as people do in the user interface."""
    path = f"dags/{DAG_ID}/dagRuns/{name}/taskInstances/run_range/{map_index}"
    status, answer = api._request("PATCH", path, {"new_state": state})
    assert status == 200, answer


def clear(api, name, task_ids):
    """Clears tasks of a run, which takes it up again."""
    body = {"dag_run_id": name, "task_ids": task_ids, "dry_run": False, "only_failed": True}
    status, answer = api._request("POST", f"dags/{DAG_ID}/clearTaskInstances", body)
    assert status == 200, answer


def awaited(probe, what):
    """What the probe answers, once it does."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        if (found := probe()) is not None:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what} did not come within {WAIT_S} s")


def in_mid_range(target):
    """The checkpoint of a range that is under way, and has moved well beyond its first page."""
    third = RANGE_DOCUMENTS // 3
    return target["engine_checkpoints"].find_one(
        {"status": "running", "read": {"$gte": third, "$lt": 2 * third}}
    )


def instances(api, name):
    """The mapped task's instances."""
    return [ti for ti in api.task_instances(DAG_ID, name) if ti["task_id"] == "run_range"]


def sent(service):
    """How often each document's text was sent: without the canary, which each task asks once."""
    return {text: times for text, times in service.received.items() if text != CANARY_TEXT}


def reports(api, name):
    """What the mapped tasks returned."""
    for at in range(len(instances(api, name))):
        path = f"dags/{DAG_ID}/dagRuns/{name}/taskInstances/run_range/xcomEntries/return_value?map_index={at}"
        status, answer = api._request("GET", path)
        assert status == 200, answer
        yield answer["value"]


def kill_task_of(api, name, map_index):
    """Kills the process of a running mapped task, as the kernel does when memory is short."""
    (instance,) = [ti for ti in instances(api, name) if ti["map_index"] == map_index]
    assert instance["state"] == "running"
    process = psutil.Process(instance["pid"])
    process.kill()
    awaited(
        lambda: None if process.is_running() and process.status() != psutil.STATUS_ZOMBIE else True, "its end"
    )


def pages_read(source, checkpoint):
    """The profiler's records of pages of this range: finds with bounds that fetch the text."""
    key_range = KeyRange.from_json(json.loads(checkpoint["key_range"]))
    found = source["system.profile"].find(
        {"command.find": "messages", "command.projection.text": {"$exists": 1}}
    )
    return [record for record in found if tuple(record["command"]["max"].values()) == key_range.stop.values]


def bound(page):
    """The Key that a page begins at."""
    return tuple(page["command"]["min"].values())


def entities(database):
    """The entities written, by `_id`, without when and by which run."""
    return {found["_id"]: found["entities"] for found in database["messages_entities"].find()}


def calm_run(uri, source, target, service):
    """The same work through the engine alone, with nothing in its way."""
    service.delay_s = 0

    async def work():
        client = AsyncIOMotorClient(uri)
        try:
            collection, results = client[source.name]["messages"], client[target.name]
            extractor = HttpExtractor(service.url)
            await run(Window(), source=collection, extractor=extractor, target=results, settings=Settings())
        finally:
            client.close()

    asyncio.run(work())
