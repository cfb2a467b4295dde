"""A worker that is killed costs only what was in flight."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC

import pytest
from motor.motor_asyncio import AsyncIOMotorClient

from engine import HttpExtractor, KeyRange, Settings, Window, run
from engine.keys.key import Key
from tests.support.cluster import awaited
from tests.support.slow_ranges import (
    CAPACITY,
    DOCUMENTS,
    RANGE_DOCUMENTS,
    SHARE,
    expect_all_done_and_little_again,
)

pytestmark = [pytest.mark.scheduler, pytest.mark.timeout(300)]


def test_a_killed_worker_costs_only_what_was_in_flight(cluster, service, databases, secret_uri):
    """After SIGKILL during a range, Airflow retries the task, which resumes at the checkpoint.

    The results are those of an undisturbed run. The service's counters show which texts were sent twice, and
    mongod's profiler shows which pages were read.
    """
    source = databases.source
    source.command("profile", 2)
    begun = cluster.trigger("ner_backfill", databases.params)

    checkpoint = awaited(databases.in_mid_range, "a range in mid-work")
    begun.kill(int(checkpoint["range_id"]))
    killed_at = source.command("hello")["localTime"].replace(tzinfo=UTC)
    checkpoint = databases.checkpoint(_id=checkpoint["_id"])
    begun.await_end("success")
    source.command("profile", 0)

    # One retry of that task was enough.
    assert begun.tries() == [2 if at == int(checkpoint["range_id"]) else 1 for at in range(2)]
    # Only texts that were in flight beyond the checkpoint were sent again.
    expect_all_done_and_little_again(databases, service)

    # The retry read only documents after the checkpoint.
    pages = [p for p in pages_read(source, checkpoint) if p["ts"] >= killed_at]
    position = Key.from_json(json.loads(checkpoint["position"])).values
    assert pages
    assert all(bound(page) >= position for page in pages)
    rest = RANGE_DOCUMENTS - checkpoint["read"]
    # Each page begins with the last document of the page before it.
    assert rest <= sum(page["nreturned"] for page in pages) <= rest + len(pages)

    # No task exceeded its share of the service, which follows from the pool's size in Airflow.
    assert {report["max_concurrency"] for report in begun.returned()} == {SHARE}
    assert begun.returned("summarize")[0]["max_concurrency"] == SHARE
    share = (
        f"at most {SHARE} requests in flight: service_capacity {CAPACITY} over 4 slots of pool extract_pool"
    )
    assert [share in log for log in begun.logs()] == [True] * 3
    assert service.most_in_flight <= CAPACITY

    # The results are those of an undisturbed run.
    calm = calm_run(secret_uri, databases, service)
    assert databases.entities() == calm
    assert len(calm) == DOCUMENTS


def pages_read(source, checkpoint):
    """The profiler's records of this range's pages: finds with bounds that fetch the text."""
    key_range = KeyRange.from_json(json.loads(checkpoint["key_range"]))
    found = source["system.profile"].find(
        {"command.find": "messages", "command.projection.text": {"$exists": 1}}
    )
    return [record for record in found if tuple(record["command"]["max"].values()) == key_range.stop.values]


def bound(page):
    """The Key at which a page begins."""
    return tuple(page["command"]["min"].values())


def calm_run(uri, databases, service):
    """The entities of the same documents, processed by the engine alone without disturbance."""
    service.delay_s = 0

    async def work():
        client = AsyncIOMotorClient(uri)
        try:
            collection, results = client[databases.source.name]["messages"], client[databases.source.name]
            extractor = HttpExtractor(service.url)
            await run(Window(), source=collection, extractor=extractor, target=results, settings=Settings())
            found = await results["messages_entities"].find().to_list(length=None)
        finally:
            client.close()
        return {extraction["_id"]: extraction["entities"] for extraction in found}

    return asyncio.run(work())
