"""No collection that a run writes is the source, or another one of them."""

from __future__ import annotations

import pytest
from pymongo import AsyncMongoClient

from engine import (
    ConfigError,
    Settings,
    Window,
    conclude,
    plan_ranges,
    range_reports,
    repair,
    replay,
    report_html,
    run,
    run_range,
    split_range,
    verify,
)
from engine.keys.key import Key, KeyRange
from tests.support.samples import first_word

pytestmark = pytest.mark.asyncio

PARTS = ("entities", "dead_letters", "plans", "checkpoints")
RANGE = KeyRange(Key((1, 1)), Key((2, 1)), "0000", "r")


async def _every_function(source, target, settings):
    where = {"source": source, "target": target, "settings": settings}
    yield plan_ranges(source, Window(), settings, target)
    yield run(Window(), extractor=first_word, **where)
    yield run_range(RANGE, extractor=first_word, **where)
    yield verify(Window(), **where)
    yield repair(Window(), extractor=first_word, **where)
    yield replay(Window(), extractor=first_word, **where)
    yield split_range("r", "0000", **where)


@pytest.mark.parametrize("part", PARTS)
async def test_trap_34_the_source_is_never_written(pymongo_messages, mongod_uri, part):
    """Every function refuses it before it reads, through another client of the deployment as well."""
    settings = Settings(**{f"{part}_collection": pymongo_messages.name})
    async with AsyncMongoClient(mongod_uri) as other:
        target = other[pymongo_messages.database.name]
        async for call in _every_function(pymongo_messages, target, settings):
            with pytest.raises(ConfigError, match=f"into the source {pymongo_messages.full_name}"):
                await call
    assert await pymongo_messages.count_documents({}) == 1000
    assert await pymongo_messages.database.list_collection_names() == [pymongo_messages.name]


async def test_trap_34_a_default_name_is_compared_too(pymongo_messages):
    """The settings see the names that are set; here the entities have the default name."""
    settings = Settings(plans_collection="messages_entities")
    target = pymongo_messages.database
    async for call in _every_function(pymongo_messages, target, settings):
        with pytest.raises(ConfigError, match="entities and plans would both be written"):
            await call


async def test_the_same_name_in_another_database_is_another_collection(pymongo_messages, mongod_uri):
    """Only the two names together name a collection."""
    settings = Settings(entities_collection=pymongo_messages.name)
    async with AsyncMongoClient(mongod_uri) as client:
        other = client[pymongo_messages.database.name + "_other"]
        plan = await plan_ranges(pymongo_messages, Window(), settings, other)
        await client.drop_database(other.name)
    assert plan.documents == 1000


async def test_trap_34_a_plan_knows_the_source_when_its_run_is_looked_at(pymongo_messages):
    """Functions that are given a plan, and not the source, compare the names with the source of the plan."""
    database = pymongo_messages.database
    plan = await plan_ranges(pymongo_messages, Window(), Settings(run_id="r"), database)
    wrong = Settings(entities_collection=pymongo_messages.name)
    report = await conclude(plan, [], database, Settings())
    for call in (
        range_reports(plan, database, wrong),
        conclude(plan, [], database, wrong),
        report_html(plan, report, database, wrong),
    ):
        with pytest.raises(ConfigError, match=f"into the source {pymongo_messages.full_name}"):
            await call


async def test_neither_target_nor_writer_is_refused_before_anything_is_read(pymongo_messages):
    """The source has no documents to plan, which would be said otherwise."""
    nothing = pymongo_messages.database["nothing"]
    with pytest.raises(ConfigError, match="neither a target database nor a writer"):
        await run(Window(), source=nothing, extractor=first_word)
    with pytest.raises(ConfigError, match="neither a target database nor a writer"):
        await run_range(RANGE, source=nothing, extractor=first_word)
