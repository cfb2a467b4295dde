"""Addresses that are right for the driver and wrong for the server: one line, with exit status 2."""

from __future__ import annotations

import uuid

import pytest
from pymongo import MongoClient
from typer.testing import CliRunner

from engine.cli.commands import app
from tests.support.mongod import mongod
from tests.support.samples import INDEX, message
from tests.support.secured_mongod import ROOT_PASSWORD, secured_mongod

COMMANDS = ("plan", "run", "verify", "replay")
EXTRACTOR = ["--extractor", "tests.support.samples:first_word"]


def told(command, uri, database="chat"):
    """The exit status of a command on a collection `messages`, and what it printed."""
    arguments = [command, "--uri", uri, "--database", database]
    arguments += ["r"] if command == "status" else ["--collection", "messages"]
    done = CliRunner().invoke(app, arguments + (EXTRACTOR if command in ("run", "replay") else []))
    assert "Traceback" not in done.output
    return done.exit_code, done.output.strip()


@pytest.fixture(scope="module")
def secured(tmp_path_factory):
    """The address of a server with access control, with a login and a place for options."""
    with secured_mongod(tmp_path_factory.mktemp("secured")) as server:
        files = [f"{name}={server.options[name]}" for name in ("tlsCAFile", "tlsCertificateKeyFile")]
        options = "&".join(["tls=true", f"replicaSet={server.options['replicaSet']}", *files])
        yield f"mongodb://root:{ROOT_PASSWORD}@{server.address}/?{options}"


@pytest.fixture
def database(mongod_uri):
    """The name of a database with twenty messages."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with MongoClient(mongod_uri) as client:
        client[name]["messages"].create_index(INDEX)
        client[name]["messages"].insert_many([message(n, n) for n in range(20)])
        yield name
        client.drop_database(name)


@pytest.mark.parametrize("command", [*COMMANDS, "status"])
def test_a_wrong_auth_source(secured, command):
    """The line names the option; the password is in no line."""
    code, printed = told(command, f"{secured}&authSource=chat")
    assert (code, printed.count("\n")) == (2, 0)
    assert "refuses the login: check user, password, authSource" in printed
    assert ROOT_PASSWORD not in printed


@pytest.mark.parametrize(
    "option", ["authMechanism=SCRAM-SHA-1", "authSource=admin&authMechanism=MONGODB-X509"]
)
def test_a_login_by_another_mechanism(secured, option):
    """Whatever the driver then sends, the refusal is one line."""
    code, printed = told("plan", f"{secured}&{option}")
    assert (code in (1, 2), printed.count("\n")) == (True, 0), printed
    assert ROOT_PASSWORD not in printed


@pytest.mark.parametrize("command", COMMANDS)
def test_a_wrong_database(mongod_uri, database, command):
    """The line names the databases that there are, the nearest first."""
    code, printed = told(command, mongod_uri, f"{database}s")
    assert (code, printed.count("\n")) == (2, 0)
    assert f"database {database}s has no collections; the databases are {database}" in printed
    with MongoClient(mongod_uri) as client:
        assert f"{database}s" not in client.list_database_names()


@pytest.mark.parametrize("command", COMMANDS)
def test_linearizable_reads(mongod_uri, database, command):
    """A replica set answers them."""
    code, printed = told(command, f"{mongod_uri}&readConcernLevel=linearizable", database)
    assert code == (1 if command == "verify" else 0), printed
    assert "could not be" not in printed


@pytest.mark.parametrize("command", COMMANDS)
def test_linearizable_reads_of_a_server_alone(tmp_path, command):
    """It refuses them."""
    with mongod(tmp_path / "alone") as uri:
        with MongoClient(uri) as client:
            client["chat"]["messages"].create_index(INDEX)
            client["chat"]["messages"].insert_one(message(1))
        code, printed = told(command, f"{uri}?readConcernLevel=linearizable")
    assert (code, printed.count("\n")) == (2, 0), printed
    assert "readConcernLevel=linearizable, which this server does not allow: leave it out" in printed


@pytest.mark.parametrize("command", COMMANDS)
def test_a_read_concern_that_does_not_exist(mongod_uri, database, command):
    """The line names those that do."""
    code, printed = told(command, f"{mongod_uri}&readConcernLevel=best", database)
    assert (code, printed.count("\n")) == (2, 0)
    assert "readConcernLevel must be one of available, linearizable, local, majority" in printed


@pytest.mark.parametrize("command", ["plan", "run", "verify"])
def test_an_empty_window(mongod_uri, database, command):
    """It says what there is, and is no failure."""
    arguments = [command, "--uri", mongod_uri, "--database", database, "--collection", "messages"]
    arguments += ["--start", "2021-01-01", *(EXTRACTOR if command == "run" else [])]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    said = "none of about 20 documents; their keys go from 2020-01-01 00:00 to 2020-01-01 00:00:19"
    assert said in " ".join(done.output.split())
