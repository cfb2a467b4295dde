"""A name of a database or collection that MongoDB refuses is one line of the engine, wherever it is given."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from engine import ConfigError, Settings, Window, load_plan, plan_ranges, run, verify
from engine.cli.commands import app
from engine.mongo.calls import named
from tests.support.samples import first_word

WRONG = ["a..b", ".a", "a.", "a$b"]


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("option", ["--database", "--collection", "--target-database"])
def test_the_command_line_refuses_it(mongod_uri, option, name):
    """It ends with status 2, and the only line of its message has the name."""
    given = {"--database": "engine_names", "--collection": "messages", option: name}
    if option != "--collection" and name == "a$b":
        given[option] = "a b"
    arguments = [part for pair in given.items() for part in pair]
    done = CliRunner().invoke(app, ["plan", "--uri", mongod_uri, *arguments])
    said = " ".join(done.output.split())
    assert (done.exit_code, "Traceback" in done.output) == (2, False)
    assert f"the name {given[option]!r} cannot be used: " in said


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["a..b", ".a", "a."])
@pytest.mark.parametrize("part", ["entities", "dead_letters", "plans", "checkpoints"])
async def test_a_collection_of_the_settings_is_refused_before_work(pymongo_messages, part, name):
    """Whoever needs the collections of the target says it; nothing is written."""
    settings, database = Settings(run_id="r", **{f"{part}_collection": name}), pymongo_messages.database
    where = {"source": pymongo_messages, "target": database, "settings": settings}
    for call in (
        plan_ranges(pymongo_messages, Window(), settings, database),
        run(Window(), extractor=first_word, **where),
        verify(Window(), **where),
    ):
        with pytest.raises(ConfigError, match=r"^the name '[ab.]+' cannot be used: "):
            await call
    assert await database.list_collection_names() == [pymongo_messages.name]


@pytest.mark.asyncio
async def test_a_plan_is_not_looked_for_under_it(database):
    """The collection of plans is found by its name alone."""
    with pytest.raises(ConfigError, match="the name 'a..b' cannot be used"):
        await load_plan("r", database, Settings(plans_collection="a..b"))


@pytest.mark.parametrize("name", ["", "a b", "a.b", "a\x00b"])
def test_a_database_of_either_driver(database, pymongo_database, name):
    """Motor and PyMongo refuse the same names."""
    for client in (database.client, pymongo_database.client):
        with pytest.raises(ConfigError, match="cannot be used"):
            named(client, name)
