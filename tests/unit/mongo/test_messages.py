"""What is told of the driver's errors: one line, without a description of every server."""

from __future__ import annotations

import pytest
from pymongo import AsyncMongoClient
from pymongo.errors import AutoReconnect, OperationFailure, ServerSelectionTimeoutError

from engine import SourceError
from engine.mongo import calls

TOPOLOGY = "Topology Description: <TopologyDescription id: 1, servers: [<ServerDescription ('a', 1)>]>"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            ServerSelectionTimeoutError(f"no servers found yet, Timeout: 30s, {TOPOLOGY}"),
            "no servers found yet",
        ),
        (ServerSelectionTimeoutError(f"no primary, {TOPOLOGY}"), "no primary"),
        (
            ServerSelectionTimeoutError(
                f"a:1: refused (configured timeouts: connectTimeoutMS: 20000.0ms),b:2: {TOPOLOGY}"
            ),
            "a:1: refused",
        ),
        (AutoReconnect("connection closed\n"), "connection closed"),
        (OperationFailure("x", 2, {"errmsg": "bad\nTree: $and\n    a"}), "bad Tree: $and a (code 2)"),
    ],
)
def test_the_reason_is_one_line(error, said):
    """The servers of the set, their timeouts and line breaks are left out."""
    told = str(calls.translated(error, SourceError, "it failed"))
    assert told.partition(";")[0] == f"it failed: {said}"
    assert "Topology" not in told


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            {"replicaSet": "another", "directConnection": True},
            "replica set named 'another' but this node belongs to a set named",
        ),
        ({"replicaSet": "another"}, 'replica set name "another"'),
        ({"host": "127.0.0.1:1"}, "127.0.0.1:1: "),
        ({"host": ["127.0.0.1:1", "127.0.0.1:2"], "replicaSet": "tests"}, "127.0.0.1:"),
    ],
)
async def test_a_server_that_cannot_be_used(mongod_uri, monkeypatch, options, says):
    """As the driver tells it: of another replica set, or not there."""
    monkeypatch.setattr(calls, "PATIENCE_S", 0)
    given = {"host": mongod_uri.partition("?")[0], "serverSelectionTimeoutMS": 300, **options}
    async with AsyncMongoClient(**given) as client:
        with pytest.raises(SourceError) as raised:
            await calls.read_source(client["a"]["b"], client["a"]["b"].find_one)
    told = str(raised.value)
    assert says in told
    assert not [word for word in ("Topology", "Timeout", "\n") if word in told]
