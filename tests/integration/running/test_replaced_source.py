"""A source that is dropped, renamed or replaced in the middle of a run is never taken for its end."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from engine import (
    KeyRange,
    Settings,
    Window,
    conclude,
    plan_ranges,
    range_reports,
    run,
    run_range,
    split_range,
)
from engine.errors import SourceError
from engine.model import QueryForm
from engine.reading import index_choice
from engine.verdict import verdict_of
from tests.support.checking import places
from tests.support.replaced import DROPPED, REPLACEMENTS, at_page, drop, rename, restore, swap
from tests.support.samples import DAY, fill, first_word, message
from tests.support.settings import settings_with

pytestmark = pytest.mark.asyncio

SMALL = settings_with(range_documents=100, page_documents=20, batch_texts=10, range_concurrency=1)
SAMPLED = settings_with(SMALL, strategy="sample")
"""Ranges that were not counted, so that no recount can tell that documents are missing."""

DATES = Window(DAY, DAY + timedelta(days=1))


async def source_of(database, form=QueryForm.INDEX_BOUNDS):
    """200 messages, which are read by the given query form."""
    messages = [message(n, n) for n in range(200)]
    if form is QueryForm.WHOLE_TIES:
        await database["messages"].create_index([("created_at", 1)])
        await database["messages"].insert_many(messages)
        return database["messages"]
    await fill(database["messages"], messages)
    return database["messages"]


async def stored(database):
    """How many results there are."""
    return await database["messages_entities"].count_documents({})


@pytest.mark.parametrize("settings", [SMALL, SAMPLED], ids=["counted", "sampled"])
@pytest.mark.parametrize("act", REPLACEMENTS)
async def test_whatever_replaces_it_the_run_fails_and_says_so(pymongo_database, monkeypatch, act, settings):
    """Before the fourth page the collection is another one, or none."""
    source = await source_of(pymongo_database)
    at_page(monkeypatch, 4, lambda: act(source))
    report = await run(Window(), extractor=first_word, **places(source, settings))
    assert not verdict_of(report).succeeded
    assert DROPPED in "; ".join(report.problems)
    assert report.read < 200


@pytest.mark.parametrize("act", [rename, drop, restore, swap])
async def test_a_server_that_knows_no_uuid_in_queries(pymongo_database, monkeypatch, act):
    """The end of a range is then believed only after a look at the collection."""

    async def no(scan):
        return False

    monkeypatch.setattr(index_choice, "_takes_uuid", no)
    source = await source_of(pymongo_database)
    at_page(monkeypatch, 4, lambda: act(source))
    report = await run(Window(), extractor=first_word, **places(source, SAMPLED))
    assert DROPPED in "; ".join(report.problems)


@pytest.mark.parametrize("act", [rename, drop, swap])
async def test_a_source_that_is_read_by_whole_ties(pymongo_database, monkeypatch, act):
    """An index on the order field alone."""
    source = await source_of(pymongo_database, QueryForm.WHOLE_TIES)
    at_page(monkeypatch, 4, lambda: act(source))
    report = await run(DATES, extractor=first_word, **places(source, SAMPLED))
    assert DROPPED in "; ".join(report.problems)


@pytest.mark.parametrize("act", [rename, drop, swap])
async def test_the_collection_below_a_view_on_a_view(pymongo_database, monkeypatch, act):
    """A view has no UUID of its own."""
    source = await source_of(pymongo_database)
    match = [{"$match": {"text": {"$ne": "x"}}}]
    await pymongo_database.create_collection("lower", viewOn="messages", pipeline=match)
    await pymongo_database.create_collection("upper", viewOn="lower", pipeline=match)
    at_page(monkeypatch, 4, lambda: act(source))
    report = await run(DATES, extractor=first_word, **places(pymongo_database["upper"], SMALL))
    assert DROPPED in "; ".join(report.problems)


async def test_a_view_whose_definition_changes(pymongo_database, monkeypatch):
    """It shows other documents of the same collection."""
    await source_of(pymongo_database)
    await pymongo_database.create_collection("shown", viewOn="messages", pipeline=[])

    async def narrowed():
        match = [{"$match": {"_id": {"$lt": 50}}}]
        await pymongo_database.command({"collMod": "shown", "viewOn": "messages", "pipeline": match})

    at_page(monkeypatch, 4, narrowed)
    report = await run(DATES, extractor=first_word, **places(pymongo_database["shown"], SMALL))
    assert DROPPED in "; ".join(report.problems)


async def test_a_collection_that_is_cleared_is_still_the_same(pymongo_database, monkeypatch):
    """Its documents were deleted, which the counts tell."""
    source = await source_of(pymongo_database)
    at_page(monkeypatch, 4, lambda: source.delete_many({}))
    report = await run(Window(), extractor=first_word, **places(source, SMALL))
    assert (report.reconciled, report.read) == (True, await stored(pymongo_database))
    assert report.drift == (0, 200 - report.read)


async def test_a_swap_and_back_between_two_pages(pymongo_database, monkeypatch):
    """While another collection has the name, the query itself is refused."""
    source = await source_of(pymongo_database)

    async def away():
        await source.rename("aside")
        await pymongo_database["messages"].create_index([("created_at", 1), ("_id", 1)])

    at_page(monkeypatch, 4, away)
    report = await run(Window(), extractor=first_word, **places(source, SAMPLED))
    assert DROPPED in report.problems[0]
    await pymongo_database["aside"].rename("messages", dropTarget=True)
    report = await run(Window(), extractor=first_word, **places(source, SAMPLED))
    assert verdict_of(report).succeeded
    assert await stored(pymongo_database) == 200


async def test_a_resume_on_another_collection_is_refused_while_results_are_of_the_one_before(
    pymongo_database, monkeypatch
):
    """The message says how many ranges have begun, and what to do; then it goes."""
    source = await source_of(pymongo_database)
    at_page(monkeypatch, 8, lambda: restore(source))
    settings = settings_with(SMALL, run_id="nightly")
    await run(Window(), extractor=first_word, **places(source, settings))
    with pytest.raises(SourceError, match=rf"{DROPPED}; 2 of the 2 ranges of run 'nightly' have begun"):
        await run(Window(), extractor=first_word, **places(source, settings))
    await pymongo_database["engine_plans"].delete_one({"_id": "nightly"})
    report = await run(Window(), extractor=first_word, **places(source, settings))
    assert (verdict_of(report).succeeded, report.read) == (True, 100)


async def test_a_plan_of_which_no_range_has_begun_is_made_anew(database):
    """Nothing was read of the collection before, so nothing contradicts the new plan."""
    source = await source_of(database)
    first = await plan_ranges(source, Window(), SMALL, database)
    await restore(source)
    second = await plan_ranges(source, Window(), SMALL, database)
    assert (first.documents, second.documents) == (200, 100)
    assert first.source_uuid != second.source_uuid
    assert (await plan_ranges(source, Window(), SMALL, database)).planned_at == second.planned_at


async def test_a_range_is_refused_that_was_planned_on_another_collection(database):
    """The range carries the collection's identity, as an orchestrator passes it on."""
    source = await source_of(database)
    plan = await plan_ranges(source, Window(), SMALL, database)
    passed = KeyRange.from_json(json.loads(json.dumps(plan.ranges[1].to_json())))
    await restore(source)
    with pytest.raises(SourceError, match=DROPPED):
        await run_range(passed, extractor=first_word, **places(source, SMALL))
    assert await stored(database) == 0


async def test_the_verdict_looks_at_the_source_once_more(database):
    """It was dropped after the last range: the run has failed for everyone who asks."""
    source = await source_of(database)
    plan = await plan_ranges(source, Window(), SMALL, database)
    for key_range in plan.ranges:
        await run_range(key_range, extractor=first_word, **places(source, SMALL))
    await drop(source)
    report = await conclude(plan, await range_reports(plan, database, SMALL), database, SMALL, source)
    assert not verdict_of(report).succeeded
    assert DROPPED in report.problems[-1]


async def test_a_split_of_a_range_of_another_collection_is_refused(pymongo_database):
    """Its halves would be of documents that the plan never counted."""
    source = await source_of(pymongo_database)
    plan = await plan_ranges(source, Window(), SMALL, pymongo_database)
    await restore(source)
    with pytest.raises(SourceError, match=DROPPED):
        await split_range(plan.run_id, "0001", **places(source, SMALL))


async def test_a_plan_without_a_uuid_is_resumed(pymongo_database):
    """It was stored by a version that did not keep the UUID."""
    source = await source_of(pymongo_database)
    plan = await plan_ranges(source, Window(), SMALL, pymongo_database)
    ranges = [{**r.to_json()} for r in plan.ranges]
    for key_range in ranges:
        del key_range["source_uuid"]
    stored_ranges = [
        {"range_id": r["range_id"], "expected": r["expected"], "about": None, "key_range": json.dumps(r)}
        for r in ranges
    ]
    await pymongo_database["engine_plans"].update_one(
        {"_id": plan.run_id}, {"$unset": {"source_uuid": 1}, "$set": {"ranges": stored_ranges}}
    )
    report = await run(Window(), extractor=first_word, **places(source, SMALL))
    assert (verdict_of(report).succeeded, report.read) == (True, 200)


async def test_the_uuid_is_kept_with_the_plan_and_each_checkpoint(pymongo_database):
    """A run that nobody disturbs stores the same identity in both."""
    source = await source_of(pymongo_database)
    await run(Window(), extractor=first_word, **places(source, Settings()))
    plan = await pymongo_database["engine_plans"].find_one()
    checkpoint = await pymongo_database["engine_checkpoints"].find_one()
    assert checkpoint["collections"]["source"] == plan["source_uuid"]
    assert len(plan["source_uuid"]) == 32
