"""Which index serves an order, and what is said where none does."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
import pytest_asyncio
from bson import MinKey
from pymongo import AsyncMongoClient

from engine import PlanError, Status, Window, plan_ranges, repair, replay, run, split_range, verify
from tests.support.index_shapes import DOWN, SHAPES, form_of
from tests.support.mongod import replica_set
from tests.support.samples import DAY, INDEX, first_word, ids_of, message
from tests.support.scans import scan_of
from tests.support.settings import settings_with

pytestmark = pytest.mark.asyncio

SMALL = settings_with(range_documents=40, page_documents=7, batch_texts=10, batch_attempts=1, max_attempts=1)


@pytest_asyncio.fixture
async def messages(pymongo_database):
    """A collection without an index, with a hundred messages, three a second."""
    collection = pymongo_database["messages"]
    await collection.insert_many([{**message(n, n // 3), "tags": [n, "x"]} for n in range(100)])
    return collection


async def chosen(collection, settings=SMALL):
    """The name of the index of a plan, and its query form."""
    plan = await plan_ranges(collection, Window(), settings)
    assert plan.documents == 100
    return plan.index, str(plan.form)


async def refusal(collection, settings=SMALL):
    """The one line by which planning is refused."""
    with pytest.raises(PlanError) as raised:
        await plan_ranges(collection, Window(), settings)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("shape", SHAPES)
async def test_every_command_works_with_every_index_that_begins_with_the_field(messages, shape):
    """Run, verify, repair, replay and split use the same index, and nothing is lost."""
    await messages.create_index(SHAPES[shape])
    where = {"source": messages, "target": messages.database}
    settings = settings_with(SMALL, run_id="one", max_dead_letters=10)

    async def not_all(texts):
        if "Hello 50" in texts:
            raise ValueError("not this one")
        return await first_word(texts)

    plan = await plan_ranges(messages, Window(), settings, messages.database)
    assert (plan.form, plan.documents, plan.proof) == (form_of(shape), 100, "snapshot")
    split = await split_range("one", plan.ranges[0].range_id, settings=settings, **where)
    assert (len(split.ranges), split.documents) == (len(plan.ranges) + 1, 100)
    report = await run(Window(), extractor=not_all, settings=settings, **where)
    assert (report.reconciled, report.read, report.dead_lettered) == (True, 100, 1)
    assert (await verify(Window(), settings=SMALL, **where)).complete
    replayed = await replay(Window(), extractor=first_word, settings=SMALL, **where)
    assert (replayed.status, replayed.written) == (Status.SUCCEEDED, 1)
    await messages.database["messages_entities"].delete_many({"_id": {"$lt": 20}})
    assert (await verify(Window(), settings=SMALL, **where)).missing == 20
    await repair(Window(), extractor=first_word, settings=SMALL, **where)
    assert await ids_of(messages.database["messages_entities"]) == list(range(100))


VIEWS = {
    "all": [],
    "a filter": [{"$match": {"text": {"$ne": "Hello 50"}}}],
    "on a view": [{"$match": {"_id": {"$lt": 1000}}}],
}


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("shape", SHAPES)
async def test_a_view_that_only_filters_is_read_by_every_index_behind_it(messages, shape, view):
    """Without a sort; a run, a verification and a window in the middle find what one query finds."""
    await messages.create_index(SHAPES[shape])
    database, behind = messages.database, "messages"
    if view == "on a view":
        behind = (
            await database.create_collection("below", viewOn="messages", pipeline=VIEWS["a filter"])
        ).name
    source = await database.create_collection("shown", viewOn=behind, pipeline=VIEWS[view])
    where = {"source": source, "target": database, "settings": SMALL}
    middle = Window(DAY + timedelta(seconds=10), DAY + timedelta(seconds=20))
    wanted = await source.count_documents({"created_at": {"$gte": middle.start, "$lt": middle.end}})
    assert (await plan_ranges(source, middle, SMALL)).documents == wanted
    everything = await ids_of(source)
    report = await run(Window(), extractor=first_word, **where)
    assert (report.status, report.written) == (Status.SUCCEEDED, len(everything))
    assert await ids_of(database["shown_entities"]) == everything
    assert (await verify(Window(), **where)).complete


@pytest.mark.parametrize("shape", [name for name in SHAPES if form_of(name) == "index_bounds"])
async def test_parts_are_read_forward_and_backward_with_every_index(messages, shape):
    """Each stretch between two Keys, with their ties and a MinKey among them, is what a list would give."""
    await messages.delete_many({"_id": {"$gte": 20}})
    await messages.insert_one({"_id": MinKey(), "created_at": DAY, "text": "x", "tags": []})
    await messages.create_index(SHAPES[shape])
    scan = await scan_of(messages, SMALL)
    ids = [MinKey(), *range(20)]
    keys = [scan.order.first(DAY)] + [
        key for n in range(1, 21) if (key := await scan.key_at(scan.order.first(DAY), after_all(scan), n))
    ]
    assert [key.values[-1] for key in keys] == ids
    for low in range(0, 20, 3):
        for high in range(low + 1, 21, 2):
            wanted = ids[low:high]
            assert await scan.count(keys[low], keys[high]) == len(wanted)
            for skip, limit in ((0, 1), (0, 50), (1, 2), (len(wanted) - 1, 3), (len(wanted), 2)):
                part = {"skip": skip, "limit": limit}
                found = await scan.fetch(keys[low], keys[high], **part)
                assert [d["_id"] for d in found] == wanted[skip : skip + limit]
                found = await scan.fetch(keys[low], keys[high], backward=True, **part)
                backward = wanted[::-1][skip : skip + limit]
                assert [d["_id"] for d in found] == backward[: len(found)]
                assert bool(found) == bool(backward)


def after_all(scan):
    """The first Key after all documents of the sample."""
    return scan.order.first(DAY.replace(hour=1))


@pytest.mark.parametrize(
    ("shapes", "taken"),
    [
        ([INDEX, DOWN, [*INDEX, ("text", 1)]], "created_at_1__id_1"),
        ([DOWN, [*INDEX, ("text", 1)]], "created_at_-1__id_-1"),
        ([[*INDEX, ("text", 1), ("x", 1)], [*INDEX, ("text", 1)]], "created_at_1__id_1_text_1"),
        ([INDEX[:1], [*INDEX, ("text", 1)]], "created_at_1__id_1_text_1"),
        ([[("created_at", -1), ("text", 1)], DOWN[:1]], "created_at_-1"),
        ([[("_id", 1), ("created_at", 1)], INDEX[:1]], "created_at_1"),
    ],
)
async def test_the_exact_index_is_taken_before_a_shorter_and_a_longer_one(messages, shapes, taken):
    """One that orders the documents of one value comes before all that do not."""
    for keys in shapes:
        await messages.create_index(keys)
    assert (await chosen(messages))[0] == taken


@pytest.mark.parametrize(
    ("keys", "options", "reason", "advice"),
    [
        (INDEX, {"sparse": True}, "it is sparse", '{"name": "created_at_1__id_1_full"}'),
        (DOWN, {"partialFilterExpression": {"text": "x"}}, "it is partial", "createIndex"),
        (DOWN, {"hidden": True}, "it is hidden", 'unhideIndex("created_at_-1__id_-1")'),
        ([("created_at", "hashed")], {}, "it is hashed", "createIndex"),
        ([("created_at", "text")], {}, "it is a text index", "createIndex"),
        ([("created_at", 1), ("place", "2dsphere")], {}, "it is a 2dsphere index", "createIndex"),
        ([("$**", 1)], {}, "it is a wildcard index", "createIndex"),
        ([("created_at.$**", 1)], {}, "it is a wildcard index", "createIndex"),
    ],
)
async def test_an_index_that_cannot_be_used_is_named_with_what_to_do(messages, keys, options, reason, advice):
    """A hidden index is made visible; beside the others a new one is created, which the server accepts."""
    await messages.create_index(keys, **options)
    message = await refusal(messages)
    assert reason in message
    assert advice in message
    assert "order_field=_id, which needs no index" in message
    if advice.startswith("unhide"):
        assert "createIndex" not in message
    else:
        await messages.create_index(INDEX, name="created_at_1__id_1_full")
        assert (await chosen(messages))[0] == "created_at_1__id_1_full"


async def test_an_index_that_is_prepared_to_be_unique_serves(messages):
    """It refuses new duplicates, and has all documents."""
    await messages.create_index(INDEX)
    index = {"name": "created_at_1__id_1", "prepareUnique": True}
    await messages.database.command({"collMod": "messages", "index": index})
    assert await chosen(messages) == ("created_at_1__id_1", "index_bounds")


@pytest.mark.parametrize("keys", [INDEX, DOWN, [*INDEX, ("text", 1)]])
@pytest.mark.parametrize("field", ["meta.at", "meta.events.at"])
async def test_a_multikey_index_is_named_with_one_document(messages, keys, field):
    """Also if the array is above the order field."""
    await messages.update_many({}, {"$set": {"meta": {"at": DAY, "events": {"at": DAY}}}})
    array = {"meta": {"at": [DAY, DAY]}} if field == "meta.at" else {"meta": {"events": [{"at": DAY}]}}
    await messages.update_one({"_id": 7}, {"$set": array})
    name = await messages.create_index([(field if n == "created_at" else n, to) for n, to in keys])
    message = await refusal(messages, settings_with(SMALL, order_field=field))
    assert f"index {name!r} is multikey" in message
    assert "holds an array in the document with _id 7" in message


async def test_arrays_in_other_fields_of_the_index_do_no_harm(messages):
    """The server gives each document once, though the index has several entries of it."""
    await messages.create_index([*INDEX, ("tags", 1)])
    assert await chosen(messages) == ("created_at_1__id_1_tags_1", "index_bounds")


async def test_an_index_that_is_still_being_built_is_waited_for(tmp_path):
    """It is in the list of indexes, but no query may use it; another usable index is taken."""
    with replica_set(tmp_path / "db", "--setParameter", "enableTestCommands=1") as uri:
        async with AsyncMongoClient(uri) as client:
            messages = client["test"]["messages"]
            await messages.insert_many([message(n, n) for n in range(100)])
            stop = {"configureFailPoint": "hangAfterStartingIndexBuild", "mode": "alwaysOn"}
            await client.admin.command(stop)
            building = asyncio.create_task(messages.create_index(INDEX))
            try:
                async with asyncio.timeout(60):
                    while len(await messages.index_information()) < 2:  # noqa: ASYNC110 - the server tells nobody
                        await asyncio.sleep(0.05)
                said = await refusal(messages)
            finally:
                await client.admin.command({**stop, "mode": "off"})
            await building
            assert "it is still being built" in said
            assert "Wait until it is built" in said
            assert "createIndex" not in said
            assert await chosen(messages) == ("created_at_1__id_1", "index_bounds")
