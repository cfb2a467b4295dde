"""Every command of the engine fails once in each way: one EngineError or a success, and nothing else."""

from __future__ import annotations

import asyncio
import uuid

import pytest
import pytest_asyncio
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import MongoClient, monitoring
from tenacity import wait_none

from engine import (
    EngineError,
    ExtractionError,
    Settings,
    SourceError,
    Status,
    Tuning,
    Window,
    load_plan,
    plan_ranges,
    range_reports,
    replay,
    report_html,
    run,
    split_range,
    verify,
)
from engine.mongo import calls
from engine.reading.reader import Reader
from engine.running.run import as_of_now
from tests.support.mongod import replica_set
from tests.support.samples import fill, message
from tests.support.scans import scan_of

SETTINGS = Settings(
    run_id="r", range_documents=20, batch_texts=4, max_dead_letters=5, tuning=Tuning(page_documents=8)
)
WAYS = {
    "network": {"closeConnection": True},
    "not primary": {"errorCode": 10107},
    "timeout": {"errorCode": 50},
    "unauthorized": {"errorCode": 13},
    "unknown": {"errorCode": 8},
}
REPEATED = ("network", "not primary")
COMMANDS = ("find", "count", "aggregate", "explain", "listIndexes", "listCollections", "connectionStatus")
COMMANDS += ("insert", "update", "delete")
BOUND_S = 30
PASSING = (24, 43, 112, 133, 136, 150, 175, 202, 237, 239, 246, 250, 262, 272, 314, 355, 365, 402, 449, 11601)
PASSING += (46841,)
LASTING = (2, 9, 26, 50, 96, 292)


async def extract(texts):
    """One text is refused, so that there is a dead letter."""
    if "bad" in texts:
        raise ExtractionError("refused")
    return [[] for _ in texts]


class Sent(monitoring.CommandListener):
    """The names of the commands that were sent."""

    def __init__(self):
        self.names = []

    def started(self, event):
        """Records the name."""
        self.names.append(event.command_name)

    def succeeded(self, event):
        """Nothing."""

    def failed(self, event):
        """Nothing."""


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    """A server of its own, which can be told to fail."""
    with replica_set(tmp_path_factory.mktemp("failing"), "--setParameter=enableTestCommands=1") as uri:
        yield uri


@pytest_asyncio.fixture
async def places(uri, monkeypatch):
    """Forty messages, and the names of the commands that are sent to them."""
    monkeypatch.setattr(calls, "WAIT", wait_none())
    sent = Sent()
    client = AsyncIOMotorClient(uri, event_listeners=[sent], appname="engine")
    database = client[f"test_{uuid.uuid4().hex[:12]}"]
    documents = [message(n, n, "bad" if n == 3 else f"text {n}") for n in range(40)]
    yield await fill(database["messages"], documents), sent
    await client.drop_database(database.name)
    client.close()


async def prepare(source, operation):
    """What an operation finds: a plan for a split, else a finished run, but nothing for a plan or a run."""
    if operation == "split":
        await plan_ranges(source, Window(), SETTINGS, source.database)
    elif operation not in {"plan", "run"}:
        await run(Window(), source=source, extractor=extract, target=source.database, settings=SETTINGS)


async def perform(source, operation):
    """One operation; a range that fails raises its error."""
    target = source.database
    where = {"source": source, "target": target, "settings": SETTINGS}
    if operation == "plan":
        await plan_ranges(source, Window(), SETTINGS, target)
    elif operation == "run":
        report = await run(Window(), extractor=extract, **where)
        if report.status is not Status.SUCCEEDED:
            raise EngineError("; ".join(report.problems))
    elif operation == "verify":
        await verify(Window(), **where)
    elif operation == "replay":
        await replay(Window(), extractor=extract, **where)
    elif operation == "split":
        await split_range("r", "0000", **where)
    else:
        plan = await load_plan("r", target, SETTINGS)
        report = as_of_now(plan, await range_reports(plan, target, SETTINGS), SETTINGS)
        if operation == "report":
            await report_html(plan, report, target, SETTINGS)


@pytest.mark.asyncio
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("operation", ["plan", "run", "verify", "replay", "split", "status", "report"])
async def test_every_command_that_fails_once_is_repeated_or_translated(uri, places, operation, way):
    """Each command of the operation in turn: what may be repeated succeeds, all else is one EngineError."""
    source, sent = places
    await prepare(source, operation)
    with MongoClient(uri) as admin:
        before = len(sent.names)
        await perform(source, operation)
        names = [name for name in dict.fromkeys(sent.names[before:]) if name in COMMANDS]
        assert names
        for name in names:
            for collection in await source.database.list_collection_names():
                if collection != source.name:
                    await source.database.drop_collection(collection)
            await prepare(source, operation)
            data = {"failCommands": [name], "appName": "engine", **WAYS[way]}
            admin.admin.command({"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": data})
            said = None
            try:
                async with asyncio.timeout(BOUND_S):
                    await perform(source, operation)
            except EngineError as error:
                said = str(error)
            finally:
                admin.admin.command({"configureFailPoint": "failCommand", "mode": "off"})
            assert said is None or (way not in REPEATED and "text 1" not in said), f"{name}: {said}"


def _failing(admin, name, times, code):
    """Makes the next commands of this name fail with a code."""
    data = {"failCommands": [name], "appName": "engine", "errorCode": code}
    admin.admin.command({"configureFailPoint": "failCommand", "mode": {"times": times}, "data": data})


@pytest.mark.asyncio
@pytest.mark.parametrize("code", PASSING)
async def test_a_page_is_read_again_after_what_passes(uri, places, code):
    """A page that was disturbed twice is read after all, from the same Key: each document once."""
    source, sent = places
    plan = await plan_ranges(source, Window(), SETTINGS, source.database)
    scan = await scan_of(source, SETTINGS)
    with MongoClient(uri) as admin:
        _failing(admin, "find", 2, code)
        before = len(sent.names)
        pages = [page async for page in Reader(scan, plan.ranges[0], SETTINGS).pages(after=None)]
    assert [id_ for page in pages for id_ in page.ids] == list(range(20))
    assert sent.names[before : before + 3] == ["find"] * 3


@pytest.mark.asyncio
@pytest.mark.parametrize("code", LASTING)
async def test_what_does_not_pass_is_told_at_once(uri, places, code):
    """An error that a repeat would meet again costs no repeat."""
    source, sent = places
    with MongoClient(uri) as admin:
        _failing(admin, "find", 1, code)
        before = len(sent.names)
        with pytest.raises(SourceError) as raised:
            await calls.read_source(source, lambda: source.find_one({}))
    assert (raised.value.code, sent.names[before:]) == (code, ["find"])
