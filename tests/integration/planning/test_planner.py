"""Plans on a real server: they cover the window exactly, or are refused before work starts."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from bson import MaxKey, MinKey, ObjectId, Timestamp
from pymongo.errors import OperationFailure

from engine import ConfigError, Key, PlanError, Settings, Window, plan_ranges
from tests.support.samples import DAY, INDEX, fill, message

pytestmark = pytest.mark.asyncio


def tiles(plan):
    """Whether each range begins where the one before it ends."""
    return all(one.stop == other.start for one, other in zip(plan.ranges, plan.ranges[1:], strict=False))


async def test_a_plan_tiles_the_window_with_exact_counts(messages):
    """Each hop is as long as a range; the last range holds the rest."""
    plan = await plan_ranges(messages, Window(), Settings(range_documents=300))
    assert [r.expected for r in plan.ranges] == [300, 300, 300, 100]
    assert tiles(plan)
    assert plan.documents == 1000
    assert plan.form == "index_bounds"


async def test_trap_11_a_window_begins_with_minkey_and_its_end_is_pinned(messages):
    """Documents that arrive later belong to the next run."""
    plan = await plan_ranges(messages, Window(), Settings())
    assert plan.ranges[0].start == Key((DAY, MinKey()))
    assert plan.ranges[-1].stop == Key((DAY + timedelta(seconds=333, milliseconds=1), MinKey()))


async def test_a_window_given_by_dates_holds_exactly_those(messages):
    """The window is half-open: it includes its start and excludes its end."""
    window = Window(DAY + timedelta(seconds=10), "2020-01-01T00:00:20Z")
    plan = await plan_ranges(messages, window, Settings(range_documents=7))
    assert plan.documents == 30
    assert tiles(plan)
    assert plan.ranges[0].start == Key((DAY + timedelta(seconds=10), MinKey()))
    assert plan.ranges[-1].stop == Key((DAY + timedelta(seconds=20), MinKey()))


@pytest.mark.parametrize("most", [1, 2, 3, 7, 10])
async def test_ranges_grow_instead_of_multiplying(messages, most):
    """Beyond `max_ranges` neighbours are joined, and the counts stay exact."""
    plan = await plan_ranges(messages, Window(), Settings(range_documents=10, max_ranges=most))
    assert len(plan.ranges) <= most
    assert sum(r.expected for r in plan.ranges) == plan.documents == 1000
    assert tiles(plan)


@pytest.mark.parametrize("count", [0, 1, 2])
async def test_trap_14_small_collections_plan(database, count):
    """They are empty, or have one document, or fewer than a range."""
    collection = await fill(database["messages"], [message(n) for n in range(count)])
    plan = await plan_ranges(collection, Window(), Settings())
    assert (len(plan.ranges), plan.documents) == (min(count, 1), count)


async def test_trap_14_start_equal_to_end_is_an_empty_plan(messages):
    """So is the plan of a window without documents."""
    assert (await plan_ranges(messages, Window(DAY, DAY), Settings())).ranges == ()
    assert (await plan_ranges(messages, Window("2021-01-01", "2022-01-01"), Settings())).ranges == ()


async def test_a_window_that_ends_before_it_starts_is_refused(messages):
    """The message shows both ends."""
    with pytest.raises(ConfigError, match="start='2021-01-01' is after end='2020-01-01'"):
        await plan_ranges(messages, Window("2021-01-01", "2020-01-01"), Settings())


async def test_trap_3_ties_larger_than_a_range_are_split_by_id(database):
    """With a hundred documents on one timestamp and seven a range, boundaries contain the `_id`."""
    collection = await fill(database["messages"], [message(n) for n in range(100)])
    plan = await plan_ranges(collection, Window(), Settings(range_documents=7))
    assert [r.expected for r in plan.ranges] == [7] * 14 + [2]
    assert tiles(plan)


async def test_trap_7_without_an_index_the_message_holds_the_one_to_create(database):
    """No document is read before the index exists."""
    await database["messages"].insert_one({**message(1), "meta": {"at": DAY}})
    with pytest.raises(PlanError) as raised:
        await plan_ranges(database["messages"], Window(), Settings(order_field="meta.at"))
    assert 'db.getCollection("messages").createIndex({"meta.at": 1, "_id": 1})' in str(raised.value)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"sparse": True}, "it is sparse"),
        ({"partialFilterExpression": {"text": {"$exists": True}}}, "it is partial"),
        ({"hidden": True}, "it is hidden"),
        ({"collation": {"locale": "de"}}, "its collation is not the collection's"),
    ],
)
async def test_trap_7_an_index_that_leaves_documents_out_is_refused(database, options, reason):
    """If it were used as a hint, documents would be silently missing, or in another order."""
    await database["messages"].insert_one(message(1))
    await database["messages"].create_index(INDEX, **options)
    with pytest.raises(PlanError, match=reason):
        await plan_ranges(database["messages"], Window(), Settings())


async def test_trap_6_an_array_in_the_order_field_is_refused_by_id(messages):
    """Its document would be in two ranges; the message has its `_id`."""
    await messages.insert_one({"_id": "twice", "created_at": [DAY, DAY + timedelta(days=1)], "text": "x"})
    with pytest.raises(PlanError, match="array in the document with _id 'twice'") as raised:
        await plan_ranges(messages, Window(), Settings())
    assert raised.value.document_id == "twice"
    await messages.delete_one({"_id": "twice"})
    with pytest.raises(PlanError, match="drop the index and create it again"):
        await plan_ranges(messages, Window(), Settings())


async def test_trap_2_documents_outside_the_type_are_counted(messages):
    """No window of dates contains missing values, null, NaN, numbers, strings or timestamps."""
    others = [
        None,
        float("nan"),
        5,
        "2020-01-01",
        Timestamp(1, 1),
        MaxKey(),
        MinKey(),
        {"x": 1},
        True,
        ObjectId(),
    ]
    await messages.insert_many(
        [{"_id": f"o{n}", "created_at": v} for n, v in enumerate(others)] + [{"_id": "missing"}]
    )
    plan = await plan_ranges(messages, Window(), Settings())
    assert plan.documents == 1000
    assert plan.outside == {
        "minKey": 1,
        "null or missing": 2,
        "number": 2,
        "string": 1,
        "object": 1,
        "objectId": 1,
        "bool": 1,
        "timestamp": 1,
        "maxKey": 1,
    }


async def test_trap_9_dates_asked_of_strings_are_refused_with_the_way_out(database):
    """With strings as ends, the same collection can be planned."""
    documents = [{"_id": n, "created_at": f"2020-01-{n + 1:02d}T00:00:00Z", "text": "x"} for n in range(20)]
    collection = await fill(database["messages"], documents)
    with pytest.raises(
        PlanError, match="no value of type date, but 20 of type string: set order_type='string'"
    ):
        await plan_ranges(collection, Window("2020-01-01", "2020-02-01"), Settings())
    strings = Settings(order_type="string", range_documents=3)
    assert (await plan_ranges(collection, Window("2020-01-05", "2020-01-10"), strings)).documents == 5
    assert (await plan_ranges(collection, Window(), strings)).documents == 20
    with pytest.raises(ConfigError, match="must be strings"):
        await plan_ranges(collection, Window(DAY, None), strings)


async def test_trap_9_strings_asked_of_dates_are_refused_too(messages):
    """So are windows with strings as ends over a field of dates."""
    with pytest.raises(PlanError, match="set order_type='date'"):
        await plan_ranges(messages, Window(), Settings(order_type="string"))


async def test_numbers_order_too(database):
    """Epoch seconds, as integers and floats mixed."""
    documents = [{"_id": n, "created_at": n if n % 2 else n + 0.5, "text": "x"} for n in range(20)]
    collection = await fill(database["messages"], documents)
    plan = await plan_ranges(collection, Window(), Settings(order_type="number", range_documents=6))
    assert (plan.documents, tiles(plan)) == (20, True)
    assert (await plan_ranges(collection, Window(5, 10.5), Settings(order_type="number"))).documents == 5


async def test_a_window_of_times_over_objectids(database):
    """The order is `_id`: times are those within ObjectIds, and other `_id`s count as outside."""
    made = [ObjectId.from_datetime(DAY + timedelta(minutes=n)) for n in range(60)]
    collection = database["messages"]
    await collection.insert_many([{"_id": id_} for id_ in made] + [{"_id": "a"}, {"_id": 1}])
    plan = await plan_ranges(
        collection, Window(DAY, DAY + timedelta(minutes=10)), Settings(order_field="_id")
    )
    assert (plan.documents, plan.outside) == (10, {"number": 1, "string": 1})
    everything = await plan_ranges(collection, Window(), Settings(order_field="_id"))
    assert (everything.documents, everything.outside) == (62, {})


async def test_trap_7_a_document_beyond_every_key_is_refused(database):
    """Index bounds end before MaxKey."""
    await database["messages"].insert_many([{"_id": 1}, {"_id": MaxKey()}])
    with pytest.raises(PlanError, match="MaxKey"):
        await plan_ranges(database["messages"], Window(), Settings(order_field="_id"))


async def test_trap_17_a_plan_is_kept_and_found_again(messages, database):
    """Documents that are inserted meanwhile do not move its boundaries."""
    settings = Settings(range_documents=100)
    plan = await plan_ranges(messages, Window(), settings, database)
    await messages.insert_many([message(f"late{n}", 1) for n in range(50)])
    assert await plan_ranges(messages, Window(), settings, database) == plan
    assert (await plan_ranges(messages, Window(), settings)).documents == 1050


async def test_trap_17_two_planners_of_one_run_agree(messages, database):
    """The first stored plan wins."""
    plans = await asyncio.gather(*(plan_ranges(messages, Window(), Settings(), database) for _ in range(4)))
    assert all(plan == plans[0] for plan in plans)


async def test_trap_17_a_run_is_not_planned_with_other_parameters(messages, database):
    """The message names the parameters that differ."""
    await plan_ranges(messages, Window(), Settings(run_id="r"), database)
    with pytest.raises(ConfigError, match=r"filter was '{}', now"):
        await plan_ranges(messages, Window(), Settings(run_id="r", filter={"x": 1}), database)


async def test_an_extra_filter_counts_only_its_documents(messages):
    """The expected numbers of the ranges leave out all others."""
    settings = Settings(range_documents=100, filter={"_id": {"$gte": 500}})
    plan = await plan_ranges(messages, Window(), settings)
    assert plan.documents == 500
    assert all(0 < r.expected <= 100 for r in plan.ranges)


async def test_trap_5_a_view_is_planned_by_filters(messages, database):
    """A view refuses `min` and `max` (server error 168); the plan says that it uses the filter form."""
    await database.command(
        "create", "recent", viewOn="messages", pipeline=[{"$match": {"_id": {"$gte": 400}}}]
    )
    plan = await plan_ranges(database["recent"], Window(), Settings(range_documents=100))
    assert (plan.form, plan.documents, plan.index) == ("filter", 600, None)
    assert "filter" in plan.guarantee


async def test_a_server_that_refuses_surfaces(messages, database):
    """An error of the server while planning is raised, and never makes an empty plan."""
    with pytest.raises((OperationFailure, Exception), match="unknown operator"):
        await plan_ranges(messages, Window(), Settings(filter={"x": {"$nonsense": 1}}))
