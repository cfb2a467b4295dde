"""The strategies that split a window: the ranges always cover it exactly, and counts are right."""

from __future__ import annotations

import pytest
from bson import MinKey, ObjectId

from engine import ConfigError, PlanError, Settings, Tuning, Window, plan_ranges, run
from engine.planning import partitioning
from tests.support.samples import fill, first_word, message

pytestmark = pytest.mark.asyncio

EVERY = ["exact", "counted", "sample"]


@pytest.fixture(autouse=True)
def _small_is_large(monkeypatch):
    """Makes a plan of a thousand documents use the strategies for millions."""
    monkeypatch.setattr(partitioning, "WALKED_DOCUMENTS", 100)


def tiled(plan):
    """The plan's ranges, after a check that they are contiguous."""
    assert all(one.stop == other.start for one, other in zip(plan.ranges, plan.ranges[1:], strict=False))
    return plan.ranges


async def held(collection, key_range, fields=("created_at", "_id")):
    """Counts a range's documents by index bounds."""
    cursor = collection.find({}, {"_id": 1}).hint([(name, 1) for name in fields])
    bounds = [list(zip(fields, key.values, strict=True)) for key in (key_range.start, key_range.stop)]
    return len(await cursor.min(bounds[0]).max(bounds[1]).to_list(length=None))


@pytest.mark.parametrize("strategy", EVERY)
async def test_every_strategy_tiles_the_window(messages, strategy):
    """The ranges cover the window without a gap, and expected numbers are the real counts."""
    plan = await plan_ranges(
        messages, Window(), Settings(range_documents=100, tuning=Tuning(strategy=strategy))
    )
    holds = [await held(messages, r) for r in tiled(plan)]
    assert sum(holds) == 1000
    assert plan.strategy == strategy
    assert plan.exact == (strategy != "sample")
    if plan.exact:
        assert [r.expected for r in plan.ranges] == holds
    else:
        assert all(r.expected is None and r.about for r in plan.ranges)


@pytest.mark.parametrize("strategy", EVERY)
async def test_boundaries_rest_between_timestamps(messages, strategy):
    """With three documents a second, ranges of thirty need not separate them."""
    plan = await plan_ranges(
        messages, Window(), Settings(range_documents=30, tuning=Tuning(strategy=strategy))
    )
    assert all(isinstance(r.start.values[1], MinKey) for r in tiled(plan))


@pytest.mark.parametrize("strategy", EVERY)
async def test_trap_3_a_group_of_ties_is_split_only_if_it_is_larger_than_a_range(database, strategy):
    """Of all timestamps only the one with five hundred documents is split by `_id`."""
    documents = [message(n, n if n < 250 else (250 if n < 750 else n)) for n in range(1000)]
    collection = await fill(database["messages"], documents)
    plan = await plan_ranges(
        collection, Window(), Settings(range_documents=100, tuning=Tuning(strategy=strategy))
    )
    holds = [await held(collection, r) for r in tiled(plan)]
    assert sum(holds) == 1000
    assert max(holds) <= 300
    split = {
        r.start.values[0].second + 60 * r.start.values[0].minute
        for r in plan.ranges
        if r.start.values[1] != MinKey()
    }
    assert split == {250}


@pytest.mark.parametrize("strategy", EVERY)
async def test_ids_of_mixed_types_are_cut_too(database, strategy):
    """Ordered by `_id`: integers, strings and ObjectIds."""
    ids = [*range(400), *(f"s{n}" for n in range(400)), *(ObjectId() for _ in range(400))]
    await database["messages"].insert_many([{"_id": id_, "text": "x"} for id_ in ids])
    settings = Settings(range_documents=100, order_field="_id", tuning=Tuning(strategy=strategy))
    plan = await plan_ranges(database["messages"], Window(), settings)
    assert len(tiled(plan)) > 5
    assert (not plan.exact) or plan.documents == 1200


@pytest.mark.parametrize("strategy", EVERY)
async def test_ranges_are_capped(messages, strategy):
    """There are at most `max_ranges`, however small `range_documents` is."""
    plan = await plan_ranges(
        messages, Window(), Settings(range_documents=10, max_ranges=7, tuning=Tuning(strategy=strategy))
    )
    assert 1 < len(tiled(plan)) <= 7


async def test_auto_walks_counts_or_samples_by_size(messages, monkeypatch):
    """The plan says which strategy was used, and on what estimate."""
    monkeypatch.setattr(partitioning, "WALKED_DOCUMENTS", 10_000)
    small = await plan_ranges(messages, Window(), Settings(range_documents=100))
    assert (small.strategy, small.estimate) == ("exact", 1000)
    monkeypatch.setattr(partitioning, "WALKED_DOCUMENTS", 100)
    counted = await plan_ranges(messages, Window(), Settings(range_documents=100))
    assert (counted.strategy, counted.estimate) == ("counted", 1000)
    sampled = await plan_ranges(
        messages, Window(), Settings(range_documents=100, tuning=Tuning(max_counted_documents=500))
    )
    assert (sampled.strategy, sampled.exact) == ("sample", False)
    assert "by a sample" in sampled.guarantee


async def test_auto_walks_a_window_that_the_sample_hardly_meets(messages):
    """A minute of a long history has few documents, and fewer of them are in the sample."""
    plan = await plan_ranges(
        messages, Window("2020-01-01T00:01:00", "2020-01-01T00:01:30"), Settings(range_documents=40)
    )
    assert (plan.strategy, plan.documents) == ("exact", 90)


@pytest.mark.parametrize("strategy", EVERY)
async def test_a_run_of_any_plan_reconciles(messages, database, strategy):
    """Without counts no number is expected, and still every document is read."""
    settings = Settings(range_documents=100, tuning=Tuning(strategy=strategy))
    report = await run(Window(), source=messages, extractor=first_word, target=database, settings=settings)
    assert (report.reconciled, report.read, report.written) == (True, 1000, 1000)
    assert report.expected == (None if strategy == "sample" else 1000)


async def test_counts_of_ranges_sum_to_an_independent_count(messages):
    """They add up to the server's own count of the window."""
    window = Window("2020-01-01T00:00:10", "2020-01-01T00:05:00")
    condition = {"created_at": {"$gte": _at(10), "$lt": _at(300)}}
    for strategy in ("exact", "counted"):
        plan = await plan_ranges(
            messages, window, Settings(range_documents=50, tuning=Tuning(strategy=strategy))
        )
        assert plan.documents == await messages.count_documents(condition)


def _at(second):
    return message(0, second)["created_at"]


async def test_trap_7_a_view_without_an_index_behind_it_is_refused(messages, database):
    """Only `explain` shows the index behind a view; a partial one is refused too."""
    await messages.drop_indexes()
    await database.command("create", "view", viewOn="messages", pipeline=[])
    with pytest.raises(PlanError, match="createIndex"):
        await plan_ranges(database["view"], Window(), Settings())
    await messages.create_index([("created_at", 1), ("_id", 1)], partialFilterExpression={"text": "x"})
    with pytest.raises(PlanError, match="createIndex"):
        await plan_ranges(database["view"], Window(), Settings())


async def test_a_view_that_computes_its_order_is_refused(messages, database):
    """No index can serve a computed field, so each page would sort all documents."""
    pipeline = [{"$set": {"created_at": {"$add": ["$created_at", 1]}}}]
    await database.command("create", "view", viewOn="messages", pipeline=pipeline)
    with pytest.raises(PlanError, match="would sort|full index"):
        await plan_ranges(database["view"], Window(), Settings())


COLLATED = {"locale": "en", "strength": 1}
"""Upper and lower case are the same string: "B" sorts after "a", and Python has it before."""


async def collated(database, values):
    """Messages whose times are strings, in a collection with a collation."""
    await database.create_collection("messages", collation=COLLATED)
    documents = [{"_id": n, "created_at": value, "text": "x"} for n, value in enumerate(values)]
    return await fill(database["messages"], documents)


@pytest.mark.parametrize("strategy", EVERY)
@pytest.mark.parametrize("window", [Window(), Window("B", None), Window(None, "y"), Window("a", "Y")])
async def test_trap_8_strings_under_a_collation_are_cut_by_every_strategy(pymongo_database, strategy, window):
    """Sampled keys stay in order although some strings are equal under the collation: nothing is lost."""
    values = ["aAbBcCxXyY"[n % 10] for n in range(1000)]
    collection = await collated(pymongo_database, values)
    settings = Settings(range_documents=50, order_type="string", tuning=Tuning(strategy=strategy))
    plan = await plan_ranges(collection, window, settings)
    start, stop = (end and end.lower() for end in (window.start, window.end))
    inside = sum((start or "a") <= value.lower() < (stop or "z") for value in values)
    report = await run(
        window, source=collection, extractor=first_word, target=pymongo_database, settings=settings
    )
    assert (report.reconciled, report.read, len(tiled(plan)) > 7) == (True, inside, True)
    assert plan.documents == inside or not plan.exact


async def test_trap_8_the_server_says_whether_a_window_ends_before_it_starts(database):
    """By the collation "a" is before "B", by code points after it."""
    collection = await collated(database, ["a", "b", "C"])
    strings = Settings(order_type="string")
    assert (await plan_ranges(collection, Window("a", "B"), strings)).documents == 1
    with pytest.raises(ConfigError, match="start='B' is after end='a'"):
        await plan_ranges(collection, Window("B", "a"), strings)
    assert (await plan_ranges(collection, Window("A", "a"), strings)).documents == 0
