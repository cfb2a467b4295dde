"""A real server that answers with error labels: labels decide what is repeated, whatever the code."""

from __future__ import annotations

import uuid

import pytest
import pytest_asyncio
from pymongo import AsyncMongoClient, MongoClient, monitoring
from tenacity import wait_none

from engine import Settings, Status, Tuning, Window, WriteError, plan_ranges, run
from engine.errors import EngineError
from engine.mongo import bulk, calls
from tests.support.mongod import replica_set
from tests.support.samples import fill, first_word, message

pytestmark = pytest.mark.asyncio

UNKNOWN = 8
"""A server code that by itself is not repeated: UnknownError."""

SHED = ["SystemOverloadedError", "RetryableError"]
SENT_BY_THE_DRIVER = 3
"""How often PyMongo sends a command that a server has shed: once, and twice more."""

LABELS = {
    "overloaded": ["SystemOverloadedError"],
    "retryable": ["RetryableError"],
    "transaction": ["TransientTransactionError"],
    "nothing written": ["NoWritesPerformed"],
}
COMMANDS = ("find", "aggregate", "count", "explain", "listIndexes", "listCollections", "insert", "update")
SETTINGS = Settings(run_id="r", range_documents=20, tuning=Tuning(page_documents=8))


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    """A server of its own, which can be told to fail."""
    with replica_set(tmp_path_factory.mktemp("labels"), "--setParameter=enableTestCommands=1") as uri:
        yield uri


@pytest.fixture
def fail(uri):
    """Tells the server to fail the engine's next commands of a name."""
    with MongoClient(uri) as client:

        def fail(command, times, **data):
            mode = {"times": times} if times else "alwaysOn"
            data = {"failCommands": [command], "appName": "engine", **data}
            client.admin.command({"configureFailPoint": "failCommand", "mode": mode, "data": data})

        yield fail
        client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})


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


@pytest.fixture
def sent():
    """The commands of the engine's client."""
    return Sent()


@pytest_asyncio.fixture
async def source(uri, sent, monkeypatch):
    """Forty messages, and no pauses of ours between repeats."""
    monkeypatch.setattr(calls, "WAIT", wait_none())
    async with AsyncMongoClient(uri, appname="engine", event_listeners=[sent]) as client:
        database = client[f"test_{uuid.uuid4().hex[:12]}"]
        yield await fill(database["messages"], [message(n, n) for n in range(40)])
        await client.drop_database(database.name)


@pytest.mark.parametrize("way", LABELS)
@pytest.mark.parametrize("command", COMMANDS)
async def test_a_label_lets_any_command_be_repeated(source, fail, measured, command, way):
    """The code alone would end the run. The repeat is counted, and the run loses nothing."""
    fail(command, 1, errorCode=UNKNOWN, errorLabels=LABELS[way])
    report = await run(
        Window(), source=source, extractor=first_word, target=source.database, settings=SETTINGS
    )
    assert (report.status, report.written, report.unchanged) == (Status.SUCCEEDED, 40, 0), report.problems
    assert measured.numbers()["command.repeats", LABELS[way][0]] == 1


@pytest.mark.parametrize("command", COMMANDS)
async def test_what_the_driver_repeats_too_is_repeated(source, fail, command):
    """PyMongo gives up after three commands; a run goes on."""
    fail(command, 2 * SENT_BY_THE_DRIVER, errorCode=462, errorLabels=SHED)
    report = await run(
        Window(), source=source, extractor=first_word, target=source.database, settings=SETTINGS
    )
    assert (report.status, report.written, report.unchanged) == (Status.SUCCEEDED, 40, 0), report.problems


@pytest.mark.parametrize("command", ["find", "explain", "insert", "update"])
async def test_without_a_label_the_code_ends_it(source, fail, measured, command):
    """The same code is told at once, as one error of the engine."""
    fail(command, 1, errorCode=UNKNOWN)
    where = {"source": source, "extractor": first_word, "target": source.database, "settings": SETTINGS}
    try:
        report = await run(Window(), **where)
        problems = report.problems
    except EngineError as error:
        problems = [str(error)]
    assert "code 8" in " ".join(problems)
    assert [name for name, _ in measured.numbers() if name == "command.repeats"] == []


async def test_a_server_that_sheds_load_for_ever_is_one_error(source, fail, sent):
    """The driver's repeats are not multiplied by `insert_many`: each try of ours sends three commands."""
    fail("insert", None, errorCode=462, errorLabels=SHED)
    sent.names.clear()
    with pytest.raises(WriteError, match="messages could not be written: .*462") as raised:
        await bulk.insert(source, [{"_id": "new"}])
    assert raised.value.code == 462
    assert sent.names == ["insert"] * SENT_BY_THE_DRIVER * (1 + calls.ATTEMPTS)


@pytest.mark.parametrize(
    "answer",
    [
        {"code": 91},
        {"code": 189},
        {"code": 8, "labels": ["RetryableWriteError"]},
        {"code": 8, "labels": ["RetryableError"]},
    ],
    ids=["shutdown", "election", "label", "another label"],
)
@pytest.mark.parametrize("command", ["insert", "update"])
async def test_what_a_majority_did_not_confirm_is_sent_again(source, fail, measured, command, answer):
    """The writes were made, but not confirmed: after the repeat they count as written, each once."""
    concern = {"code": answer["code"], "errmsg": "not confirmed"}
    labels = {"errorLabels": answer["labels"]} if "labels" in answer else {}
    await plan_ranges(source, Window(), SETTINGS, source.database)
    fail(command, 2, writeConcernError=concern, **labels)
    report = await run(
        Window(), source=source, extractor=first_word, target=source.database, settings=SETTINGS
    )
    assert (report.status, report.written, report.unchanged) == (Status.SUCCEEDED, 40, 0), report.problems
    assert report.reconciled


async def test_a_refused_confirmation_without_a_passing_reason_ends_the_range(source, fail):
    """100 is UnsatisfiableWriteConcern: a repeat would not help."""
    fail("insert", 1, writeConcernError={"code": 100, "errmsg": "not enough nodes"})
    with pytest.raises(WriteError, match="messages: the target did not confirm a write: not enough nodes"):
        await bulk.insert(source, [{"_id": "new"}])


async def test_a_single_refused_document_is_named(source):
    """A code that does not pass: the server refuses one document of a bulk, and inserts the others."""
    target = await source.database.create_collection("results", validator={"bad": {"$exists": False}})
    with pytest.raises(WriteError, match=r"results: 1 documents refused by the target: _id 'bad'"):
        await bulk.insert(target, [{"_id": "good"}, {"_id": "bad", "bad": 1}, {"_id": "fine"}])
    assert await target.distinct("_id") == ["fine", "good"]
