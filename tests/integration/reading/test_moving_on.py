"""Reading always moves on: what would be read for ever, or left out in silence, is refused by name."""

from __future__ import annotations

from datetime import timedelta

import pytest
from bson import encode
from bson.raw_bson import RawBSONDocument

from engine import ConfigError, PlanError, Settings, Window, plan_ranges, repair, replay, run, verify
from engine.errors import SourceError
from engine.keys.key import Key
from engine.reading import index_choice
from engine.reading.documents_by_key import DocumentsByKey
from engine.reading.index_choice import choose_scan
from engine.verdict import verdict_of
from tests.support.checking import places
from tests.support.samples import DAY, INDEX, fill, first_word, message
from tests.support.settings import settings_with

pytestmark = pytest.mark.asyncio

SMALL = settings_with(range_documents=30, page_documents=5, batch_texts=5, range_concurrency=1)
NUMBERS = settings_with(SMALL, order_field="n", order_type="number")
CREATED = "created_at", {}, 1000
DATES = Window(DAY, DAY + timedelta(days=1))

REPEATING = {
    "unwind": [{"$unwind": "$events"}],
    "lookup": [{"$lookup": {"from": "messages", "pipeline": [], "as": "all"}}, {"$unwind": "$all"}],
    "union": [{"$unionWith": "messages"}],
    "other id": [{"$set": {"_id": "$created_at"}}],
    "no id": [{"$project": {"_id": 0}}],
}


async def events_of(database, count=30, each=3):
    """Messages with as many events each."""
    documents = [{**message(n, n), "events": [{"at": k} for k in range(each)]} for n in range(count)]
    return await fill(database["messages"], documents)


@pytest.mark.parametrize("pipeline", REPEATING.values(), ids=REPEATING)
async def test_a_view_whose_ids_may_repeat_is_refused(pymongo_database, pipeline):
    """By planning, verification and repair, also below another view; the message tells the way out."""
    await events_of(pymongo_database)
    await pymongo_database.create_collection("lower", viewOn="messages", pipeline=pipeline)
    await pymongo_database.create_collection(
        "upper", viewOn="lower", pipeline=[{"$match": {"text": {"$ne": ""}}}]
    )
    for name in ("lower", "upper"):
        view = pymongo_database[name]
        way_out = rf"{name} is a view: after \$\w+ an _id may repeat.*\$merge"
        with pytest.raises(PlanError, match=way_out):
            await plan_ranges(view, DATES, SMALL)
        with pytest.raises(PlanError, match=way_out):
            await verify(DATES, **places(view, SMALL))
        with pytest.raises(PlanError, match=way_out):
            await repair(DATES, extractor=first_word, **places(view, SMALL))


async def test_the_way_out_of_a_view_works(pymongo_database):
    """The copy has a document for each one of the view."""
    await events_of(pymongo_database)
    await pymongo_database.create_collection("shown", viewOn="messages", pipeline=[{"$unwind": "$events"}])
    copy = [{"$unset": "_id"}, {"$merge": "shown_copy"}]
    await (await pymongo_database["shown"].aggregate(copy)).to_list()
    await pymongo_database["shown_copy"].create_index(INDEX)
    report = await run(Window(), extractor=first_word, **places(pymongo_database["shown_copy"], SMALL))
    assert (verdict_of(report).succeeded, report.read) == (True, 90)


async def test_a_view_that_keeps_its_ids_is_read(pymongo_database):
    """Stages that only filter lose and repeat nothing."""
    await events_of(pymongo_database)
    keeping = [{"$match": {"_id": {"$lt": 20}}}, {"$match": {"text": {"$ne": ""}}}]
    await pymongo_database.create_collection("shown", viewOn="messages", pipeline=keeping)
    report = await run(DATES, extractor=first_word, **places(pymongo_database["shown"], SMALL))
    assert (verdict_of(report).succeeded, report.read) == (True, 20)


async def test_a_view_without_a_collection_below_it_is_refused(pymongo_database):
    """It shows nothing, which is not the same as an empty window."""
    await pymongo_database.create_collection("shown", viewOn="nothing", pipeline=[])
    with pytest.raises(PlanError, match="there is no collection 'nothing' below it"):
        await plan_ranges(pymongo_database["shown"], DATES, SMALL)


async def test_a_view_on_a_time_series_is_refused(pymongo_database):
    """It has the time series' `_id`s."""
    await pymongo_database.create_collection("measures", timeseries={"timeField": "created_at"})
    await pymongo_database.create_collection("shown", viewOn="measures", pipeline=[])
    with pytest.raises(PlanError, match="a view on a time series"):
        await plan_ranges(pymongo_database["shown"], DATES, SMALL)


@pytest.mark.parametrize("path", ["events.0.at", "0.at", "events.12", "a.b.007"])
async def test_a_place_in_an_array_cannot_order(path):
    """The setting is refused in one line."""
    with pytest.raises(ConfigError, match="would be a place in an array"):
        Settings(order_field=path)


async def test_names_that_only_contain_digits_may_order():
    """They are ordinary fields."""
    assert Settings(order_field="v2.at1").order_field == "v2.at1"


@pytest.mark.parametrize("command", [run, verify])
async def test_ids_that_repeat_all_the_same_end_with_an_error(pymongo_database, monkeypatch, command):
    """Whatever the cause: here a view of which nobody knows that it repeats them."""
    monkeypatch.setattr(index_choice, "breaking_stage", lambda pipelines: None)
    await events_of(pymongo_database, 4, each=40)
    await pymongo_database.create_collection("shown", viewOn="messages", pipeline=[{"$unwind": "$events"}])
    where = places(pymongo_database["shown"], settings_with(SMALL, range_documents=1000))
    if command is verify:
        with pytest.raises(SourceError, match="cannot be read on from the document with _id 0"):
            await verify(DATES, **where)
        return
    report = await run(DATES, extractor=first_word, **where)
    assert "cannot be read on from the document with _id 0" in report.problems[0]
    assert report.read <= 10


async def test_a_walk_that_lands_where_it_began_ends_with_an_error(pymongo_database, monkeypatch):
    """Planning a view with more documents of one `_id` than a range holds."""
    monkeypatch.setattr(index_choice, "breaking_stage", lambda pipelines: None)
    await events_of(pymongo_database, 2, each=200)
    await pymongo_database.create_collection("shown", viewOn="messages", pipeline=[{"$unwind": "$events"}])
    with pytest.raises(SourceError, match="with _id 0"):
        await plan_ranges(pymongo_database["shown"], DATES, SMALL)


async def test_documents_by_key_refuse_an_id_that_repeats(pymongo_database, monkeypatch):
    """As a replay would read them."""
    monkeypatch.setattr(index_choice, "breaking_stage", lambda pipelines: None)
    await events_of(pymongo_database, 4)
    await pymongo_database.create_collection("shown", viewOn="messages", pipeline=[{"$unwind": "$events"}])
    scan = await choose_scan(pymongo_database["shown"], *CREATED)

    async def keys():
        yield [Key((DAY, 2)), Key((DAY, 3))]

    with pytest.raises(SourceError, match="with _id 2"):
        [page async for page in DocumentsByKey(keys(), scan, "text").pages(None)]


async def twice(collection, id_, first, second):
    """Inserts a document that holds `n` twice; the index has the first value, and drivers see the second."""
    once = encode({"_id": id_, "n": float(first), "m": float(second), "text": "twice"})
    doubled = RawBSONDocument(once.replace(b"\x01m\x00", b"\x01n\x00"))
    await collection.database.command({"insert": collection.name, "documents": [doubled]})


@pytest.mark.parametrize("second", [2, 4.5, 55], ids=["far behind", "behind", "ahead"])
@pytest.mark.parametrize("strategy", ["exact", "sample"])
@pytest.mark.parametrize("index", ["n and _id", "n alone"])
async def test_a_document_that_holds_its_order_field_twice(pymongo_database, second, strategy, index):
    """It ends a page, and the next one would begin elsewhere: nothing is repeated or left out."""
    source = pymongo_database["messages"]
    await source.create_index([("n", 1), ("_id", 1)] if index == "n and _id" else [("n", 1)])
    await source.insert_many([{"_id": n, "n": float(n), "text": f"Hello {n}"} for n in range(60) if n != 9])
    await twice(source, "d", 9, second)
    settings = settings_with(NUMBERS, strategy=strategy, range_documents=100)
    report = await run(Window(), extractor=first_word, **places(source, settings))
    assert not verdict_of(report).succeeded
    assert "cannot be read on from the document with _id 'd'" in report.problems[0]
    assert report.read <= 15


async def test_a_document_that_was_deleted_at_the_end_of_a_page_is_no_error(pymongo_database):
    """Nor is one that has moved: the next page begins after where it was."""
    source = await fill(pymongo_database["messages"], [message(n, n) for n in range(30)])
    scan = await choose_scan(source, *CREATED)
    start, stop = scan.order.first(DAY), scan.order.first(DAY + timedelta(days=1))
    found, last = await scan.page(start, stop, None, limit=5)
    await source.delete_one({"_id": found[-1]["_id"]})
    found, last = await scan.page(start, stop, last, limit=4)
    assert [document["_id"] for document in found] == [5, 6, 7, 8, 9]
    await source.update_one({"_id": 9}, {"$set": {"created_at": DAY}})
    found, last = await scan.page(start, stop, last, limit=4)
    assert [document["_id"] for document in found] == [10, 11, 12, 13, 14]


async def test_a_replay_of_a_view_that_repeats_ids_is_refused(pymongo_database):
    """Before it sends anything."""
    await events_of(pymongo_database)
    await pymongo_database.create_collection("shown", viewOn="messages", pipeline=[{"$unwind": "$events"}])
    await pymongo_database["shown_dead_letters"].insert_one(
        {"_id": 1, "resolved_at": None, "kind": "permanent"}
    )
    with pytest.raises(PlanError, match=r"after \$unwind"):
        await replay(Window(), extractor=first_word, **places(pymongo_database["shown"], SMALL))
