"""Runs a MongoDB server for the demo and the tests: a replica set of one member, with a data directory."""

import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from demo.errors import DemoError
from demo.processes.supervisor import Supervisor
from demo.processes.waiting import wait_for
from demo.servers.mongod_program import find_mongod
from demo.servers.ports import LOOPBACK, free_port
from engine.mongo.addresses import without_secrets

OWN_SERVER = "MONGODB_URI"
_REPLICA_SET = "demo"
_NOT_INITIATED = 94
_START_S = 60.0
_ANSWER_MS = 5_000


class Mongod:
    """A running server: the user's own if MONGODB_URI names one, otherwise one that is started here.

    Args:
        port: The port of a server that is started here; by default a free one.

    Attributes:
        uri: The connection string, once the context was entered.
        own: Whether the server is the user's own. It is never ended, and nothing in it is dropped.
    """

    def __init__(
        self,
        state_dir: Path,
        *,
        supervisor: Supervisor | None = None,
        environ: Mapping[str, str] = os.environ,
        cache_gb: float = 0.5,
        answer_ms: int = _ANSWER_MS,
        port: int | None = None,
    ) -> None:
        self.uri = environ.get(OWN_SERVER, "")
        self.own = bool(self.uri)
        self._data = state_dir / "mongodb"
        self._cache_gb = cache_gb
        self._answer_ms = answer_ms
        self._port = port
        self._shared = supervisor is not None
        self._supervisor = supervisor or Supervisor(state_dir)

    def __enter__(self) -> Self:
        try:
            if self.own:
                _ping(self.uri, self._answer_ms)
            else:
                self._start(find_mongod())
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        if not self._shared:  # Otherwise the owner of the supervisor decides when to stop.
            self._supervisor.stop()

    def _start(self, program: Path) -> None:
        port = self._port or free_port()
        self._data.mkdir(parents=True, exist_ok=True)
        command = [str(program), *_arguments(self._data, port, self._cache_gb)]
        self._supervisor.start("mongod", command, outlives=True)
        self._await_primary(port)
        self.uri = f"mongodb://{LOOPBACK}:{port}/?replicaSet={_REPLICA_SET}&directConnection=true"

    def _await_primary(self, port: int) -> None:
        check = self._supervisor.check
        with MongoClient[dict[str, Any]](
            LOOPBACK, port, directConnection=True, serverSelectionTimeoutMS=100
        ) as client:
            wait_for(lambda: _answers(client), "mongod", timeout_s=_START_S, check=check, interval_s=0.05)
            _configure(client, f"{LOOPBACK}:{port}")
            wait_for(
                lambda: client.admin.command("hello")["isWritablePrimary"] or None,
                "the primary",
                timeout_s=_START_S,
                check=check,
                interval_s=0.05,
            )


def _arguments(data: Path, port: int, cache_gb: float) -> list[str]:
    options = {
        "--dbpath": str(data),
        "--port": str(port),
        "--bind_ip": LOOPBACK,
        "--replSet": _REPLICA_SET,
        "--oplogSize": "512",
        "--wiredTigerCacheSizeGB": str(cache_gb),
    }
    # By default, a server that stops waits 15 s for an election. Here no other member could be elected.
    parameters = {"diagnosticDataCollectionEnabled": "false", "shutdownTimeoutMillisForSignaledShutdown": "0"}
    arguments = [word for option in options.items() for word in option]
    arguments += [word for item in parameters.items() for word in ("--setParameter", "=".join(item))]
    return [*arguments, "--quiet", "--nounixsocket"]


def _answers(client: MongoClient[dict[str, Any]]) -> bool | None:
    try:
        return bool(client.admin.command("ping")["ok"])
    except PyMongoError:
        return None


def _configure(client: MongoClient[dict[str, Any]], host: str) -> None:
    """Make `host` the only member of the set.

    The data contain the port of their last run. A node that does not find itself in the configuration of its
    set can only be reconfigured by force.
    """
    try:
        config = client.admin.command("replSetGetConfig")["config"]
    except OperationFailure as error:
        if error.code != _NOT_INITIATED:
            raise
        members = [{"_id": 0, "host": host}]
        client.admin.command("replSetInitiate", {"_id": _REPLICA_SET, "members": members})
        return
    if [member["host"] for member in config["members"]] != [host]:
        config["members"] = [{"_id": 0, "host": host}]
        config["version"] += 1
        client.admin.command("replSetReconfig", config, force=True)


def _ping(uri: str, answer_ms: int) -> None:
    try:
        with MongoClient[dict[str, Any]](uri, serverSelectionTimeoutMS=answer_ms) as client:
            client.admin.command("ping")
    except (PyMongoError, TypeError, ValueError) as error:
        reason = without_secrets(str(error).partition(" (configured timeouts")[0], uri)
        raise DemoError(f"the server that {OWN_SERVER} names does not answer: {reason}") from None
