"""The roles of docs/security.md on a mongod with access control: sufficient, and no privilege too many."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import pytest
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.errors import OperationFailure

from engine import (
    ConfigError,
    EngineError,
    ExtractionError,
    Settings,
    Status,
    Window,
    load_plan,
    plan_ranges,
    range_reports,
    repair,
    replay,
    run,
    run_range,
    verify,
)
from engine.mongo import privileges
from tests.support.roles import PASSWORD, TARGET, commands, privileges_of
from tests.support.secured_mongod import secured_mongod

DOCUMENTS = 12
SETTINGS = Settings(run_id="least", max_dead_letters=1, range_documents=6, batch_texts=2)
REMOVABLE = [(role, privilege) for role in ("ner_source", "ner_target") for privilege in privileges_of(role)]


def named(value):
    """The name of a test case: collection and action."""
    if isinstance(value, dict):
        return f"{value['resource']['collection'] or 'database'}-{value['actions'][0]}"
    return value


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A mongod with the roles and users of docs/security.md, and a few documents."""
    with secured_mongod(tmp_path_factory.mktemp("secured")) as server:
        for command in commands():
            server.admin.admin.command(command)
        messages = server.admin["chat"]["messages"]
        messages.create_index([("created_at", 1), ("_id", 1)])
        messages.insert_many(
            {"_id": n, "created_at": datetime(2025, 1, 1) + timedelta(minutes=n), "text": f"{n} in Paris"}
            for n in range(DOCUMENTS)
        )
        yield server


@pytest.fixture
def without(server):
    """Takes a privilege from a role until the test ends; the target starts empty."""
    server.admin.drop_database(TARGET)
    changed = []

    def take(role, privilege):
        changed.append(role)
        left = [other for other in privileges_of(role) if other != privilege]
        server.admin.admin.command("updateRole", role, privileges=left)

    yield take
    for role in changed:
        server.admin.admin.command("updateRole", role, privileges=privileges_of(role))


@asynccontextmanager
async def places(server, reader="ner_reader", writer="ner_writer", password=PASSWORD):
    """The source and target as these users see them."""
    clients = [AsyncIOMotorClient(server.uri(user, password), **server.options) for user in (reader, writer)]
    try:
        yield {"source": clients[0]["chat"]["messages"], "target": clients[1][TARGET]}
    finally:
        for client in clients:
            client.close()


def refusing(*texts):
    """An extractor that refuses these texts."""

    async def extract(given):
        if set(texts) & set(given):
            raise ExtractionError("refused")
        return [[] for _ in given]

    return extract


async def all_work(server):
    """A run with a dead letter, a rerun, a forced run, replay, verification, a repair and the status."""
    async with places(server) as where:
        for settings in (SETTINGS, SETTINGS, SETTINGS.model_copy(update={"run_id": "f", "force": True})):
            report = await run(Window(), extractor=refusing("3 in Paris"), **where, settings=settings)
            assert report.status is Status.SUCCEEDED, report.problems
        work = {"extractor": refusing(), **where, "settings": SETTINGS}
        replayed = await replay(Window(), **work)
        assert (replayed.status, replayed.written) == (Status.SUCCEEDED, 1)
        server.admin[TARGET]["messages_entities"].delete_one({"_id": 4})
        assert (await verify(Window(), **where, settings=SETTINGS)).missing == 1
        assert (await repair(Window(), **work)).written == 1
        plan = await load_plan("least", where["target"], SETTINGS)
        assert len(await range_reports(plan, where["target"], SETTINGS)) == 2


@pytest.mark.asyncio
async def test_the_roles_are_enough(server, without):
    """A run, its rerun, replay, verification, repair and status all succeed."""
    await all_work(server)
    assert server.admin[TARGET]["messages_entities"].count_documents({}) == DOCUMENTS


@pytest.mark.asyncio
@pytest.mark.parametrize(("role", "privilege"), REMOVABLE, ids=named)
async def test_each_action_is_needed(server, without, monkeypatch, role, privilege):
    """Without it some operation fails, even if the check of privileges is left out."""

    async def unchecked(*_):
        pass

    monkeypatch.setattr(privileges, "check_source", unchecked)
    monkeypatch.setattr(privileges, "check_target", unchecked)
    without(role, privilege)

    with pytest.raises((AssertionError, EngineError)):
        await all_work(server)


@pytest.mark.asyncio
@pytest.mark.parametrize(("role", "privilege"), REMOVABLE, ids=named)
async def test_what_is_missing_is_said_before_work(server, without, role, privilege):
    """The message names user, action and collection; only work that does not need the action has begun."""
    without(role, privilege)
    resource, (action,) = privilege["resource"], privilege["actions"]
    name = f"{resource['db']}.{resource['collection']}".rstrip(".")
    where = name if resource["collection"] else f"database {name}"
    user = {"ner_source": "ner_reader", "ner_target": "ner_writer"}[role]

    with pytest.raises(ConfigError) as raised:
        await all_work(server)

    assert str(raised.value).startswith(f"MongoDB user {user} lacks {action} on {where}; docs/security.md")
    kept = set(server.admin[TARGET].list_collection_names())
    needed_by_replay_alone = action == "listIndexes" or (role == "ner_target" and not resource["collection"])
    assert bool(kept) == (role == "ner_target" and needed_by_replay_alone)


@pytest.mark.asyncio
async def test_the_source_s_user_can_write_nowhere(server):
    """It can write neither documents nor results."""
    async with places(server, writer="ner_reader") as where:
        for collection in (where["source"], where["target"]["messages_entities"]):
            for write in (collection.insert_one({}), collection.delete_many({}), collection.drop()):
                with pytest.raises(OperationFailure, match="not authorized"):
                    await write


@pytest.mark.asyncio
async def test_the_verifier_reads_only(server, without):
    """It can verify; a repair is refused before anything is sent."""
    await all_work(server)
    async with places(server, "ner_verifier", "ner_verifier") as where:
        assert (await verify(Window(), **where)).complete
        lacks = (
            "ner_verifier lacks insert on results.messages_entities, update on results.messages_entities, "
        )
        with pytest.raises(ConfigError, match=lacks):
            await repair(Window(), extractor=refusing(), **where)


@pytest.mark.asyncio
async def test_the_viewer_sees_progress_and_no_results(server, without):
    """It can read plans and checkpoints, but neither entities nor dead letters."""
    await all_work(server)
    async with places(server, writer="ner_viewer") as where:
        plan = await load_plan("least", where["target"], SETTINGS)
        assert len(await range_reports(plan, where["target"], SETTINGS)) == 2
        with pytest.raises(ConfigError, match="ner_viewer lacks find on results.messages_entities"):
            await verify(Window(), **where)


@pytest.mark.asyncio
async def test_a_refused_login_is_a_configuration_error(server):
    """The error is raised at once, without the password in its message."""
    async with places(server, password="wrong") as where:
        with pytest.raises(ConfigError, match="MongoDB refuses the login") as raised:
            await plan_ranges(where["source"], Window())
    assert "wrong" not in str(raised.value)


@pytest.mark.asyncio
async def test_a_right_that_is_taken_away_later_is_explained(server, without):
    """A refusal during the work also names action and collection."""
    async with places(server) as where:
        plan = await plan_ranges(where["source"], Window(), SETTINGS, where["target"])
        (insert,) = [p for p in privileges_of("ner_target") if named(p) == "messages_entities-insert"]
        without("ner_target", insert)
        with pytest.raises(EngineError) as raised:
            await run_range(plan.ranges[0], extractor=refusing(), **where, settings=SETTINGS)
    expected = "the MongoDB user needs insert on results.messages_entities; docs/security.md"
    assert privileges.explained(raised.value).startswith(expected)
    assert privileges.explained(EngineError("something else")) is None
