"""The cross-check of a plan's counts, on servers with and without snapshots."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
from bson import ObjectId
from pymongo import AsyncMongoClient

from engine import Plan, PlanError, Settings, Tuning, Window, plan_ranges
from engine.planning import cross_check, partitioning, planner
from tests.support.mongod import mongod
from tests.support.samples import fill, message

pytestmark = pytest.mark.asyncio

CUT = partitioning.partition_window
COUNTS = cross_check._counts


@pytest.fixture(autouse=True)
def _small_is_large(monkeypatch):
    """Makes a plan of a thousand documents use the strategies for millions."""
    monkeypatch.setattr(partitioning, "WALKED_DOCUMENTS", 100)


@pytest.mark.parametrize("strategy", ["exact", "counted"])
async def test_counts_are_proven_at_one_snapshot_time(messages, strategy):
    """The plan says so, also when it is read back."""
    plan = await plan_ranges(
        messages, Window(), Settings(range_documents=100, tuning=Tuning(strategy=strategy))
    )
    assert (plan.proof, plan.documents) == ("snapshot", 1000)
    assert "independent count of the window at one time" in plan.guarantee
    assert Plan.from_document(plan.to_document()).proof == "snapshot"


async def test_ranges_of_any_bounds_are_proven(database):
    """They may have boundaries within ties, `_id`s of mixed types, or a view as their source."""
    ids = [*range(50), *(f"s{n}" for n in range(50)), *(ObjectId() for _ in range(50))]
    collection = await fill(database["messages"], [message(id_) for id_ in ids])
    await database.command("create", "view", viewOn="messages", pipeline=[])
    for source in (collection, database["view"]):
        for order_field in ("created_at", "_id"):
            settings = Settings(range_documents=7, order_field=order_field)
            plan = await plan_ranges(source, Window(), settings)
            assert (plan.proof, plan.documents) == ("snapshot", 150)
            assert len(plan.ranges) > 20


async def test_documents_that_come_while_planning_are_in_every_count_or_in_none(messages, monkeypatch):
    """All expected numbers are those at the snapshot time, not at the time each range was counted."""

    async def cut(scan, *rest):
        made = await CUT(scan, *rest)
        await messages.insert_many([message(f"late{n}", 20) for n in range(5)])
        await messages.delete_many({"_id": {"$in": [900, 901]}})
        return made

    monkeypatch.setattr(planner, "partition_window", cut)
    plan = await plan_ranges(
        messages, Window(), Settings(range_documents=100, tuning=Tuning(strategy="exact"))
    )
    assert (plan.proof, plan.documents) == ("snapshot", 1003)
    assert [r.expected for r in plan.ranges if r.expected > 100] == [104]


async def test_ranges_that_leave_a_gap_are_refused(messages, monkeypatch):
    """The sum of their counts is not the window's count at the same time."""

    async def cut(*arguments):
        made = await CUT(*arguments)
        first, second, *others = made.segments
        return replace(made, segments=[first, replace(second, start=second.stop, stop=second.stop), *others])

    monkeypatch.setattr(planner, "partition_window", cut)
    with pytest.raises(PlanError, match=r"ranges hold 9\d\d documents, but their window holds 1,000"):
        await plan_ranges(messages, Window(), Settings(range_documents=100, tuning=Tuning(strategy="exact")))


async def test_only_counts_are_proven_and_only_so_many(messages):
    """Estimates, and plans beyond `max_proven_documents`, claim no proof."""
    large = await plan_ranges(messages, Window(), Settings(tuning=Tuning(max_proven_documents=999)))
    assert (large.proof, large.exact) == ("none", True)
    assert "not compared with a count of the window" in large.guarantee
    assert (
        await plan_ranges(messages, Window(), Settings(tuning=Tuning(max_proven_documents=1000)))
    ).proof == "snapshot"
    sampled = await plan_ranges(
        messages, Window(), Settings(range_documents=100, tuning=Tuning(strategy="sample"))
    )
    assert (sampled.proof, sampled.exact) == ("none", False)


async def test_without_snapshots_the_counts_agree_or_the_plan_says_why_not(tmp_path, monkeypatch):
    """On a standalone server, counts are repeated a few times until they agree, while others insert."""
    with mongod(tmp_path) as uri:
        async with AsyncMongoClient(uri) as client:
            collection = await fill(client["db"]["messages"], [message(n, n) for n in range(200)])
            plan_it = partial(plan_ranges, collection, Window("2020-01-01", "2020-01-02"))
            plan = await plan_it(Settings(range_documents=50))
            assert (plan.proof, plan.documents) == ("agreement", 200)
            asked = []

            async def counts(scan, segments, at):
                asked.append(at)
                window, counted = await COUNTS(scan, segments, at)
                return window + (len(asked) < changing), counted  # as if one had been deleted meanwhile

            monkeypatch.setattr(cross_check, "_counts", counts)
            changing = 2
            assert (await plan_it(Settings())).proof == "agreement"
            changing, asked[:] = 99, []
            plan = await plan_it(Settings())
            assert (plan.proof, asked, plan.documents) == ("changing", [None] * 3, 200)
            assert "not proven" in plan.guarantee
