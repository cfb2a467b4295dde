"""The DAGs that run after a backfill, under a real scheduler."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import MongoClient

from demo.errors import DemoError
from engine import HttpExtractor, Settings, Window, run
from tests.support.cluster import DAILY, OUTAGE_DELAY_S, awaited
from tests.support.misbehaviour import status
from tests.support.slow_ranges import DOCUMENTS, FIRST, sent, text_of

pytestmark = [pytest.mark.scheduler, pytest.mark.timeout(300)]

REFUSED, LOST = 5, 7
"""Two documents: a dead letter, and one whose result is gone."""


@pytest.fixture
def gaps(databases, service, secret_uri):
    """What a run has left open: one dead letter, and one result that was deleted."""
    service.delay_s = 0
    service.poison = {text_of(REFUSED): status(400)}

    async def work():
        client = AsyncIOMotorClient(secret_uri)
        try:
            source, target = client[databases.source.name]["messages"], client[databases.target.name]
            places = {"source": source, "target": target, "settings": Settings(max_dead_letters=1)}
            return await run(Window(), extractor=HttpExtractor(service.url), **places)
        finally:
            client.close()

    assert asyncio.run(work()).reconciled
    service.poison = {}
    databases.target["messages_entities"].delete_one({"_id": LOST})
    service.calls.clear()
    return databases


@pytest.fixture
def a_day(secret_uri):
    """A source for the incremental DAG: ten documents on the first day, and one on the second."""
    with MongoClient(secret_uri, tz_aware=True) as client:
        source = client[DAILY]["messages"]
        source.create_index([("created_at", 1), ("_id", 1)])
        moments = [FIRST + timedelta(hours=2.4 * n) for n in range(11)]
        source.insert_many(
            {"_id": n, "created_at": at, "text": f"daily {n} in Paris"} for n, at in enumerate(moments)
        )
        yield client[DAILY]
        client.drop_database(DAILY)


def test_replay_verify_and_incremental_run_under_a_scheduler(cluster, service, gaps, a_day):
    """All run at the same time; each sends only the documents it is responsible for.

    Replay resolves the dead letter, verify repairs the lost result. The incremental DAG, once unpaused,
    catches up the interval that it has missed, and notifies followers of its Asset.
    """
    params = {name: gaps.params[name] for name in ("database", "collection", "target_database")}
    cluster.asked("PATCH", "dags/ner_incremental", {"is_paused": False})
    replayed = cluster.trigger("ner_replay", params)
    repaired = cluster.trigger("ner_verify", {**params, "repair": True})

    for begun in (replayed, repaired):
        begun.await_end("success")
    assert awaited(lambda: cluster.ended("ner_incremental") or None, "the end of the interval") == ["success"]

    assert replayed.states() == {"replay": "success"}
    assert repaired.states() == dict.fromkeys(("find", "repair", "conclude"), "success")
    assert sorted(a_day["messages_entities"].distinct("_id")) == list(range(10))
    taken = [f"daily {n} in Paris" for n in range(10)]
    assert sent(service) == dict.fromkeys([text_of(REFUSED), text_of(LOST), *taken], 1)
    assert gaps.target["messages_dead_letters"].find_one({"_id": REFUSED})["resolved_by"]
    assert len(gaps.entities()) == DOCUMENTS
    told = cluster.asked("GET", "assets/events?source_dag_id=ner_incremental")
    assert [event["extra"]["written"] for event in told["asset_events"]] == [10]


def test_the_api_client_of_the_demo_takes_a_refusal_for_an_error(cluster, gaps):
    """A run id is taken once: the second answer is 409."""
    begun = cluster.trigger("ner_verify", {**gaps.params, "mongo_conn_id": "mongo_refused"})
    with pytest.raises(DemoError, match="409"):
        cluster.api.trigger("ner_verify", begun.name, {})


def test_an_outage_is_retried_after_a_delay_of_its_own(cluster, service, gaps):
    """The retry policy, not the task's own delay, sets the time: as long as a service takes to return."""
    service.down = status(503)
    params = {name: gaps.params[name] for name in ("database", "collection", "target_database")}
    begun = cluster.trigger("ner_replay", params)

    delays = awaited(lambda: begun.retry_delays_s() or None, "the end of the first try")
    service.down = None
    begun.await_end("success")

    assert delays == [OUTAGE_DELAY_S]
    assert [ti["try_number"] for ti in begun.instances("replay")] == [2]
    assert gaps.target["messages_dead_letters"].find_one({"_id": REFUSED})["resolved_by"]
