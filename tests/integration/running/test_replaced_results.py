"""Results, dead letters or checkpoints that are dropped in the middle of a run are never called written."""

from __future__ import annotations

import asyncio

import pytest

from engine import ExtractionError, Window, load_plan, range_reports, run
from engine.running.run import as_of_now
from engine.verdict import verdict_of
from tests.support.checking import places
from tests.support.replaced import at_page
from tests.support.samples import fill, first_word, message
from tests.support.settings import settings_with

pytestmark = pytest.mark.asyncio

SMALL = settings_with(
    range_documents=100, page_documents=20, batch_texts=10, range_concurrency=1, checkpoint_s=0
)


async def source_of(database):
    """200 messages, for two ranges of five pages and an empty one each."""
    return await fill(database["messages"], [message(n, n) for n in range(200)])


async def filled(collection):
    """Waits until something is written there."""
    for _ in range(1000):
        if await collection.find_one() is not None:
            return
        await asyncio.sleep(0.01)


async def refuses_fives(texts):
    """An extractor that refuses every text that ends with a 5."""
    if any(text.endswith("5") for text in texts):
        raise ExtractionError("refused", status=422)
    return await first_word(texts)


@pytest.mark.parametrize("page", [4, 9, 12], ids=["first range", "second range", "last page"])
@pytest.mark.parametrize("how", ["drop", "rename", "swap"])
async def test_lost_results_fail_the_run_and_the_next_one_writes_them_again(
    pymongo_database, monkeypatch, how, page
):
    """The results written before the moment are gone; the next run has all 200."""
    source = await source_of(pymongo_database)
    entities = pymongo_database["messages_entities"]

    async def lose():
        await filled(entities)
        if how == "drop":
            await entities.drop()
        elif how == "rename":
            await entities.rename("elsewhere")
        else:
            await pymongo_database["other"].insert_one({"_id": -1})
            await pymongo_database["other"].rename("messages_entities", dropTarget=True)

    at_page(monkeypatch, page, lose)
    report = await run(Window(), extractor=first_word, **places(source, SMALL))
    assert not verdict_of(report).succeeded
    assert "dropped or renamed" in "; ".join(report.problems)
    plan = await load_plan(report.run_id, pymongo_database, SMALL)
    now = as_of_now(plan, await range_reports(plan, pymongo_database, SMALL), SMALL)
    assert not verdict_of(now).succeeded
    report = await run(Window(), extractor=first_word, **places(source, SMALL))
    assert verdict_of(report).succeeded
    assert await entities.count_documents({"_id": {"$gte": 0}}) == 200


async def test_results_that_were_dropped_before_a_resume_are_made_again(pymongo_database):
    """The second range failed; before it is run again, somebody drops the results of the first."""
    source, broken = await source_of(pymongo_database), [True]

    async def fails_late(texts):
        if broken and texts[0] > "Hello 160":
            raise ExtractionError("refused", status=422)
        return await first_word(texts)

    await run(Window(), extractor=fails_late, **places(source, settings_with(SMALL, deadline_s=0.2)))
    await pymongo_database["messages_entities"].drop()
    broken.clear()
    report = await run(Window(), extractor=first_word, **places(source, SMALL))
    assert verdict_of(report).succeeded
    assert await pymongo_database["messages_entities"].count_documents({}) == 200


async def test_lost_dead_letters_fail_the_run(pymongo_database, monkeypatch):
    """Nobody could replay them."""
    source, settings = await source_of(pymongo_database), settings_with(SMALL, max_dead_letters=100)
    letters = pymongo_database["messages_dead_letters"]

    async def lose():
        await filled(letters)
        await letters.drop()

    at_page(monkeypatch, 5, lose)
    report = await run(Window(), extractor=refuses_fives, **places(source, settings))
    assert "messages_dead_letters was dropped or renamed" in report.problems[0]
    report = await run(Window(), extractor=refuses_fives, **places(source, settings))
    assert verdict_of(report).succeeded
    assert await letters.count_documents({"resolved_at": None}) == 20


async def test_checkpoints_that_are_dropped_are_named(pymongo_database, monkeypatch):
    """The range stops, and says which collection is gone; the next run starts it over."""
    source = await source_of(pymongo_database)
    at_page(monkeypatch, 4, pymongo_database["engine_checkpoints"].drop)
    report = await run(Window(), extractor=first_word, **places(source, SMALL))
    assert "engine_checkpoints was dropped, renamed or cleared" in report.problems[0]
    report = await run(Window(), extractor=first_word, **places(source, SMALL))
    assert verdict_of(report).succeeded
    assert await pymongo_database["messages_entities"].count_documents({}) == 200
