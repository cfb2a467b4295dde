"""What the collections of the target are decides, before any work, whether a run may write into them."""

from __future__ import annotations

import pytest
from pymongo import AsyncMongoClient, monitoring
from pymongo.errors import OperationFailure

from engine import (
    ConfigError,
    Settings,
    Window,
    plan_ranges,
    repair,
    replay,
    run,
    run_range,
    split_range,
    verify,
)
from engine.keys.key import Key, KeyRange
from engine.storing.target import target_of
from engine.storing.target_options import check_options
from engine.storing.writer import JsonLinesWriter
from tests.support.samples import first_word

pytestmark = pytest.mark.asyncio

SETTINGS = Settings(run_id="r", range_documents=400)
RANGE = KeyRange(Key((1, 1)), Key((2, 1)), "0000", "r")
NAMES = {
    "entities": "messages_entities",
    "dead_letters": "messages_dead_letters",
    "plans": "engine_plans",
    "checkpoints": "engine_checkpoints",
}
UNFIT = {
    "capped": ({"capped": True, "size": 100_000}, "it is a capped collection"),
    "time series": ({"timeseries": {"timeField": "at"}}, "it is a time series"),
    "view": ({"viewOn": "others", "pipeline": []}, "it is a view"),
    "collation": ({"collation": {"locale": "de", "strength": 1}}, "takes different _ids for one"),
}


async def _every_writer(source, parts):
    """The calls that write one of these parts."""
    where = {"source": source, "target": source.database, "settings": SETTINGS}
    yield plan_ranges(source, Window(), SETTINGS, source.database)
    yield run(Window(), extractor=first_word, **where)
    yield run_range(RANGE, extractor=first_word, **where)
    if parts & {"entities", "dead_letters"}:
        yield repair(Window(), extractor=first_word, **where)
        yield replay(Window(), extractor=first_word, **where)
    else:
        yield split_range("r", "0000", **where)


@pytest.mark.parametrize("part", NAMES)
@pytest.mark.parametrize("unfit", UNFIT)
async def test_trap_48_a_collection_that_keeps_something_else_is_refused(pymongo_messages, part, unfit):
    """Before anything is read or written, in one line that names the setting and the way out."""
    options, says = UNFIT[unfit]
    database = pymongo_messages.database
    await database.create_collection(NAMES[part], **options)
    async for call in _every_writer(pymongo_messages, {part}):
        with pytest.raises(ConfigError, match=says) as raised:
            await call
        assert f"{NAMES[part]}" in str(raised.value)
        assert f"choose another {part}_collection" in str(raised.value)
    written = [name for name in NAMES.values() if name in await database.list_collection_names()]
    assert written == [NAMES[part]]


@pytest.mark.parametrize("part", ["entities", "dead_letters"])
async def test_a_unique_index_on_a_field_that_no_result_has_is_refused(pymongo_messages, part):
    """All would be null in it, so that it takes one document only."""
    await pymongo_messages.database[NAMES[part]].create_index([("customer", 1), ("url", 1)], unique=True)
    async for call in _every_writer(pymongo_messages, {part}):
        with pytest.raises(ConfigError, match=f"unique index 'customer_1_url_1'.*another {part}_collection"):
            await call


async def ttl(collection):
    """An index that deletes documents an hour after they were written."""
    await collection.create_index("extracted_at", expireAfterSeconds=3600)


async def sparse(collection):
    """Unique, but only of documents that have the field."""
    await collection.create_index("customer", unique=True, sparse=True)


async def partial(collection):
    """Unique, but only of some documents."""
    matching = {"customer": {"$exists": True}}
    await collection.create_index("customer", unique=True, partialFilterExpression=matching)


async def with_id(collection):
    """Unique, as `_id` is already."""
    await collection.create_index([("run_id", 1), ("_id", 1)], unique=True)


async def by_text(collection):
    """Unique, of a field that results have."""
    await collection.create_index("text_hash", unique=True)


@pytest.mark.parametrize(
    ("options", "index", "told"),
    [
        ({}, None, []),
        ({}, ttl, ["index 'extracted_at_1' deletes documents 3600 s after the time in extracted_at (TTL)"]),
        ({}, by_text, ["unique index 'text_hash_1' refuses documents with equal text_hash"]),
        ({}, sparse, []),
        ({}, partial, []),
        ({}, with_id, []),
        ({"clusteredIndex": {"key": {"_id": 1}, "unique": True}}, None, []),
        (
            {"clusteredIndex": {"key": {"_id": 1}, "unique": True}, "expireAfterSeconds": 60},
            None,
            ["it deletes documents 60 s after the time in their _id (TTL)"],
        ),
        (
            {"validator": {"$jsonSchema": {"required": ["run_id"]}}},
            None,
            ["its validator refuses documents that do not fit it"],
        ),
        ({"validator": {"customer": 1}, "validationAction": "warn"}, None, []),
        ({"collation": {"locale": "de"}}, None, ["its collation (de) decides which texts are equal as _ids"]),
    ],
)
async def test_what_may_happen_to_results_is_told_and_nothing_else(
    pymongo_messages, caplog, options, index, told
):
    """The run goes on, and is right."""
    database = pymongo_messages.database
    entities = await database.create_collection("messages_entities", **options)
    if index:
        await index(entities)
    report = await run(
        Window(), source=pymongo_messages, extractor=first_word, target=database, settings=SETTINGS
    )
    notes = [line for line in caplog.messages if line.startswith("target_noted")]
    assert (report.reconciled, len(notes)) == (True, len(told)), report.problems
    assert [text in note for text, note in zip(told, report.notes, strict=True)] == [True] * len(told)
    assert [text in note for text, note in zip(told, notes, strict=True)] == [True] * len(told)


@pytest.mark.parametrize("part", NAMES)
async def test_a_ttl_index_of_each_collection_is_told(pymongo_messages, caplog, part):
    """Checkpoints and plans that vanish cost work, and dead letters that vanish cost a replay."""
    await pymongo_messages.database[NAMES[part]].create_index("updated_at", expireAfterSeconds=60)
    await plan_ranges(pymongo_messages, Window(), SETTINGS, pymongo_messages.database)
    (note,) = [line for line in caplog.messages if line.startswith("target_noted")]
    assert NAMES[part] in note


@pytest.mark.parametrize(("part", "names"), [("plans", ["run_id"]), ("checkpoints", ["run_id", "range_id"])])
async def test_an_index_that_only_repeats_what_is_unique_is_no_news(pymongo_messages, caplog, part, names):
    """People add them to look up runs."""
    keys = [(name, 1) for name in names]
    await pymongo_messages.database[NAMES[part]].create_index(keys, unique=True)
    await plan_ranges(pymongo_messages, Window(), SETTINGS, pymongo_messages.database)
    assert [line for line in caplog.messages if line.startswith("target_noted")] == []


async def test_results_may_have_the_loose_collation_of_their_source(pymongo_database):
    """The source tells no two `_id`s apart that the results do not."""
    loose = {"locale": "en", "strength": 2}
    source = await pymongo_database.create_collection("messages", collation=loose)
    await source.create_index([("created_at", 1), ("_id", 1)])
    await pymongo_database.create_collection("messages_entities", collation=loose)
    assert (await plan_ranges(source, Window(), SETTINGS, pymongo_database)).ranges == ()


async def test_what_is_not_written_may_be_anything(pymongo_messages, tmp_path):
    """A run into a file writes no results into the target, and a verification nothing at all."""
    database = pymongo_messages.database
    await database.create_collection("messages_entities", capped=True, size=100_000)
    where = {"source": pymongo_messages, "target": database, "settings": SETTINGS}
    writer = JsonLinesWriter(tmp_path / "out.jsonl")
    assert (await run(Window(), extractor=first_word, writer=writer, **where)).reconciled
    assert (await verify(Window(), **where)).missing == 1000


class Listed(monitoring.CommandListener):
    """The commands that list collections or indexes of the target."""

    def __init__(self):
        self.names = []

    def started(self, event):
        """Records them."""
        if event.command_name in {"listCollections", "listIndexes"}:
            asked = event.command.get("filter", {}).get("name") or event.command["listIndexes"]
            if asked != "messages":
                self.names.append(event.command_name)

    def succeeded(self, event):
        """Nothing."""

    def failed(self, event):
        """Nothing."""


async def test_a_run_of_many_ranges_looks_once(pymongo_messages, mongod_uri):
    """Indexes are listed once for each collection that exists; collections are listed for their UUIDs."""
    listed = Listed()
    settings = Settings(range_documents=50)
    async with AsyncMongoClient(mongod_uri, event_listeners=[listed]) as client:
        database = client[pymongo_messages.database.name]
        for name in NAMES.values():
            await database.create_collection(name)
        listed.names.clear()  # the driver lists before it creates
        source = database["messages"]
        await run(Window(), source=source, extractor=first_word, target=database, settings=settings)
    assert listed.names.count("listIndexes") == 4


@pytest.mark.parametrize("name", ["engine.mongo.driver.indexes", "engine.storing.target_options.infos_of"])
async def test_a_login_that_may_not_list_is_asked_for_no_more(pymongo_messages, monkeypatch, name):
    """Then nothing is known of the target's collections, and the run goes on."""
    database = pymongo_messages.database
    target = target_of(database, pymongo_messages, SETTINGS)
    unknown = {"capped": True, "size": 10_000} if name.endswith("infos_of") else {}
    await database.create_collection("messages_entities", **unknown)

    async def refused(*_):
        raise OperationFailure("not authorized", 13)

    monkeypatch.setattr(name, refused)
    assert await check_options(target, pymongo_messages) == []
