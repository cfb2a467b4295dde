"""Twelve ways to be ordered, from the collection to verified entities, by the command line alone."""

from __future__ import annotations

import uuid

import pymongo
import pytest
from typer.testing import CliRunner

from engine.cli import display
from engine.cli.commands import app
from tests.support.orders import DAYS, EACH_DAY, ORDERS

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
def test_from_import_to_verified_entities(database, call, order):
    """A day is planned, run and verified by times as ends; then the rest follows without ends."""
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
        code, printed = call("status", run_id, collection=None)
        assert (code, "nothing was lost" in printed) == (0, True), printed
        code, printed = call("verify", *window, **order.settings)
        assert (code, f"{documents} present, 0 dead letters, 0 missing" in printed) == (0, True), printed
        assert database["messages_entities"].count_documents({}) == documents
    stored = {str(found["_id"]) for found in database["messages_entities"].find()}
    assert stored == {str(document["_id"]) for document in order.documents()}
