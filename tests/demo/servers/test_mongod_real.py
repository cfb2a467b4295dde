"""The demo's own MongoDB server, started for real."""

import traceback

import pytest
from pymongo import MongoClient

from demo.errors import DemoError
from demo.servers.mongod import Mongod


def test_data_survive_a_restart_on_another_port(tmp_path):
    """The replica set's configuration names the old port; the server is a writable primary all the same."""
    with Mongod(tmp_path, environ={}) as first, MongoClient(first.uri) as client:
        client["chat"]["messages"].insert_one({"_id": 1})
    with Mongod(tmp_path, environ={}) as second, MongoClient(second.uri) as client:
        client["chat"]["messages"].insert_one({"_id": 2})
        assert client["chat"]["messages"].count_documents({}) == 2
    assert first.uri != second.uri


def test_a_stopped_server_leaves_no_record(tmp_path):
    """`down` has nothing to do after it, and nobody answers any more."""
    with Mongod(tmp_path, environ={}) as server:
        assert (tmp_path / "processes.json").exists()
    assert not (tmp_path / "processes.json").exists()
    with pytest.raises(DemoError, match="does not answer"):
        Mongod(tmp_path, environ={"MONGODB_URI": server.uri}, answer_ms=100).__enter__()


def test_the_users_own_server_is_used_and_left_alone(tmp_path, mongod_uri):
    """It is neither started nor ended here."""
    with Mongod(tmp_path, environ={"MONGODB_URI": mongod_uri}) as server:
        assert (server.uri, server.own) == (mongod_uri, True)
    assert list(tmp_path.iterdir()) == []
    with MongoClient(mongod_uri) as client:
        assert client.admin.command("ping")["ok"]


@pytest.mark.parametrize(
    "uri",
    [
        "mongodb://me:xK9qSecret@127.0.0.1:1/?serverSelectionTimeoutMS=1",
        "mongodb://me:a/xK9qSecret@127.0.0.1:1/",
        "mongodb://me:a@xK9qSecret@127.0.0.1:1/",
        "mongodb://127.0.0.1:1/?authMechanismProperties=ENVIRONMENT:xK9qSecret&authMechanism=MONGODB-OIDC",
    ],
)
def test_trap_57_the_users_own_address_is_told_without_secrets(tmp_path, uri):
    """It may be silent or wrong; the benchmarks say the same."""
    with pytest.raises(DemoError, match="does not answer") as raised:
        Mongod(tmp_path, environ={"MONGODB_URI": uri}, answer_ms=1).__enter__()
    assert "xK9qSecret" not in "".join(traceback.format_exception(raised.value))


def test_data_of_another_server_are_told_with_its_log(tmp_path):
    """Two servers cannot have one directory; the second one's log says so."""
    with Mongod(tmp_path, environ={}):
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / "mongodb").symlink_to(tmp_path / "mongodb")
        with pytest.raises(DemoError, match="mongod ended by itself") as caught:
            Mongod(elsewhere, environ={}).__enter__()
    assert "DBPathInUse" in caught.value.log.read_text(encoding="utf-8")
