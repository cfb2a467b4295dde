"""Twelve ways to be ordered, from the collection to verified entities, and the ends of their windows.

All by the command line alone.
"""

from __future__ import annotations

import uuid

import pymongo
import pytest
from bson import ObjectId, Timestamp
from typer.testing import CliRunner

from engine.cli import display
from engine.cli.commands import app
from tests.support.orders import DAYS, EACH_DAY, FIRST, ORDERS
from tests.support.samples import INDEX

EXTRACTOR = "tests.support.samples:first_word"
WINDOW = ("--start", "2026-11-02", "--end", "2026-11-03T00:00:00Z")
"""The second day, given as times whatever the order holds."""


@pytest.fixture
def database(mongod_uri):
    """An empty database."""
    with pymongo.MongoClient(mongod_uri) as client:
        name = f"test_{uuid.uuid4().hex[:12]}"
        yield client[name]
        client.drop_database(name)


@pytest.fixture
def call(mongod_uri, database, monkeypatch):
    """Runs a command in this process; returns its exit status and all that it printed."""
    monkeypatch.setenv("MONGODB_URI", mongod_uri)
    for console in (display.out, display.err):
        monkeypatch.setattr(console, "_width", 200)

    def call(command, *arguments, collection="messages", **settings):
        line = [command, *arguments, "-d", database.name]
        line += ["-c", collection] if collection else []
        for name, value in settings.items():
            line += ["-s", f"{name}={value}"]
        result = CliRunner().invoke(app, line)
        assert isinstance(result.exception, SystemExit | None), result.exception
        return result.exit_code, result.output

    return call


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order.name)
def test_from_import_to_verified_entities(database, call, tmp_path, order):
    """A day is planned, run and verified by times as ends; then the rest follows without ends."""
    page = tmp_path / "report.html"
    order.fill(database["messages"])
    for window, documents in ((WINDOW, EACH_DAY), ((), DAYS * EACH_DAY)):
        run_id = f"run-of-{documents}"
        code, printed = call("plan", *window, **order.settings)
        assert (code, f"{documents} documents in 1 ranges" in printed) == (0, True), printed
        code, printed = call("verify", *window, **order.settings)
        assert (code, f"{documents} documents: " in printed) == (1, True), printed
        given = (*window, "--extractor", EXTRACTOR, "--run-id", run_id)
        code, printed = call("run", *given, **order.settings)
        assert (code, "nothing was lost" in printed) == (0, True), printed
        code, printed = call("status", run_id, "--html", str(page), collection=None)
        assert (code, "nothing was lost" in printed) == (0, True), printed
        assert f"{documents} docs" in page.read_text() or str(documents) in page.read_text()
        code, printed = call("verify", *window, **order.settings)
        assert (code, f"{documents} present, 0 dead letters, 0 missing" in printed) == (0, True), printed
        assert database["messages_entities"].count_documents({}) == documents
    stored = {str(found["_id"]) for found in database["messages_entities"].find()}
    assert stored == {str(document["_id"]) for document in order.documents()}


NUMBERS = [-7, -5, 0, 2.5, 1_700_000_003, 2**62]


@pytest.mark.parametrize("field", ["created_at", "_id"])
@pytest.mark.parametrize(
    ("ends", "documents"),
    [
        (("--start", "1700000003"), 2),
        (("--start=-5", "--end", "2.5"), 2),
        (("--start", "-5"), 5),
        (("--end", "1e12"), 5),
        (("--start", str(-(10**25)), "--end", str(10**25)), 6),
    ],
)
def test_a_window_of_numbers(database, call, field, ends, documents):
    """Every command that takes a window reads its ends as numbers, over a field and over `_id`."""
    database["messages"].create_index(INDEX)
    database["messages"].insert_many(
        {"_id": n, "created_at": value, "text": f"message {n}"} | {field: value}
        for n, value in enumerate(NUMBERS)
    )
    order = {"order_field": field, "order_type": "number"}
    code, printed = call("plan", *ends, **order)
    assert (code, f"{documents} documents in 1 ranges" in printed) == (0, True), printed
    assert call("run", *ends, "--extractor", EXTRACTOR, **order)[0] == 0
    code, printed = call("verify", *ends, **order)
    assert (code, f"{documents} documents: {documents} present" in printed) == (0, True), printed
    assert call("verify", *ends, "--repair", "--extractor", EXTRACTOR, **order)[0] == 0
    assert call("replay", *ends, "--extractor", EXTRACTOR, **order)[0] == 0


WRONG = {
    "no number": ({"order_type": "number"}, ("--start", "many"), "must be numbers"),
    "a time without a unit": (
        {"order_type": "number"},
        ("--start", "2024-01-01"),
        "set order_unit to s, ms or us",
    ),
    "not a number": ({"order_type": "number"}, ("--end", "nan"), "give a number that is finite"),
    "numbers in the wrong order": (
        {"order_type": "number"},
        ("--start", "9", "--end", "8"),
        "start='9' is after",
    ),
    "markup": ({}, ("--start", "[/bold]"), "start='[/bold]' is not an ISO-8601 time"),
    "year 10000": ({}, ("--end", "10000-01-01"), "of the years 1 to 9999"),
    "before the first year": ({}, ("--start", "0001-01-01T00:00+14:00"), "leave this end out"),
    "not UTF-8": ({"order_type": "string"}, ("--start", "\udce4"), "it is not valid UTF-8"),
    "too late": (
        {"order_type": "objectId", "order_field": "_id"},
        ("--end", "2200-01-01"),
        "times until 2106",
    ),
    "too late, in seconds": ({"order_type": "timestamp"}, ("--end", str(2**33)), "times until 2106"),
    "unsorted": ({"order_type": "string", "order_unit": "%d.%m.%Y"}, (), "do not sort by time"),
    "a unit of dates": ({"order_unit": "ms"}, (), "for order_type = 'number', not 'date'"),
}


@pytest.mark.parametrize("command", ["plan", "run", "verify", "replay"])
@pytest.mark.parametrize("name", WRONG)
def test_wrong_ends_are_one_line(database, call, name, command):
    """Exit status 2, a line that says what to give, and nothing written."""
    settings, ends, says = WRONG[name]
    database["messages"].create_index(INDEX)
    values = {"number": 5, "string": "x", "timestamp": Timestamp(5, 1)}
    value = values.get(settings.get("order_type"), FIRST)
    database["messages"].insert_one({"_id": ObjectId(), "created_at": value, "text": "x"})
    database["messages_dead_letters"].insert_one({"_id": 1, "kind": "permanent", "resolved_at": None})
    extractor = ("--extractor", EXTRACTOR) if command in ("run", "replay") else ()
    code, printed = call(command, *ends, *extractor, **settings)
    assert (code, says in printed, printed.count("\n")) == (2, True, 1), printed
    assert "messages_entities" not in database.list_collection_names()
