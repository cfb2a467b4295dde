"""Checks, before any work, that the MongoDB logins have the privileges that a run needs.

Without the check a run would fail half-way. `docs/security.md` has commands that create the least roles.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pymongo import ReadPreference

from engine.errors import ConfigError, SourceError, WriteError
from engine.mongo import calls, driver
from engine.mongo.calls import AUTHENTICATION_FAILED, UNAUTHORIZED

Needs = Mapping[str, frozenset[str]]
"""The actions needed on each collection; those under the empty name are needed on the database."""

Reading = Callable[[driver.Database, calls.Command[Any]], Awaitable[Any]]
"""`calls.read_source` or `calls.read_target`."""

_ROLES = "docs/security.md has the roles as commands"

LIST = frozenset({"listCollections"})
READ = frozenset({"find"})
WRITE = frozenset({"find", "insert", "update"})
KEEP = frozenset({"find", "insert", "update", "remove"})
WALK = frozenset({"find", "listIndexes"})

_NO_READ_CONCERN = frozenset({9, 72, 123, 148})
"""Server codes of a read concern that is refused: FailedToParse, InvalidOptions, NotAReplicaSet,
ReadConcernMajorityNotEnabled."""

_COMMAND = re.compile(r'not authorized on (\S+) to execute command \{ (\w+): (?:"([^"]*)")?')
_ACTIONS = {
    "count": "find",
    "aggregate": "find",
    "explain": "find",
    "update": "insert and update",
    "delete": "remove",
}
"""The actions that a command needs, where they are not called as the command."""


def needs_of_source(name: str) -> Needs:
    """What planning and reading need: the documents, the indexes, and the options of the collection."""
    return {name: WALK, "": LIST}


async def check_source(source: driver.AnyCollection) -> None:
    """Checks that the login may read the source.

    Raises:
        ConfigError: the login failed or lacks a privilege; names collection and action. Or the source cannot
            be read by the read concern of its client.
        SourceError: the server did not answer.
    """
    await _check(driver.exact(source).database, needs_of_source(source.name), calls.read_source)
    if driver.has_server(source):
        await _check_read_concern(driver.exact(source))


async def _check_read_concern(source: driver.Collection) -> None:
    level = source.read_concern.level
    would = f"{driver.namespace(source)} would be read with readConcernLevel={level}, which"
    if level == "snapshot":
        raise ConfigError(
            f"{would} counting does not allow: leave it out of the address; planning compares its counts at "
            "a snapshot by itself"
        )
    if level in (None, "local"):
        return
    try:
        await calls.read_source(source, lambda: source.find_one({"_id": {"$in": []}}))
    except SourceError as error:
        if error.code not in _NO_READ_CONCERN:
            raise
        raise ConfigError(f"{would} this server does not allow: leave it out of the address") from error


async def check_target(target: driver.Database, needs: Needs) -> None:
    """Checks that the login may do what is needed in the target.

    Raises:
        ConfigError: the login failed or lacks a privilege; names collection and action.
        WriteError: the server did not answer.
    """
    await _check(target, needs, calls.read_target)


def explained(error: BaseException) -> str | None:
    """The missing privilege or failed login behind an error of the engine; None if it has another cause.

    The action is read from the server's message, because nothing else of its answer names the command.
    """
    if isinstance(error, SourceError | WriteError) and error.code in (UNAUTHORIZED, AUTHENTICATION_FAILED):
        return _refusal(error.code, str(error))
    return None


async def _check(database: driver.Database, needs: Needs, read: Reading) -> None:
    try:
        status = await read(database, lambda: _connection_status(database))
    except (SourceError, WriteError) as error:
        if error.code == AUTHENTICATION_FAILED:
            raise ConfigError(_refusal(error.code, str(error))) from error
        if error.code is None:
            raise
        return  # not every server answers connectionStatus
    granted = status.get("authenticatedUserPrivileges")
    if not granted:  # no access control, or a server that does not list privileges
        return
    missing = [
        f"{action} on {f'{database.name}.{name}' if name else f'database {database.name}'}"
        for name, actions in needs.items()
        for action in sorted(actions)
        if not any(_grants(privilege, database.name, name, action) for privilege in granted)
    ]
    if missing:
        users = ", ".join(user["user"] for user in status["authenticatedUsers"])
        raise ConfigError(f"MongoDB user {users} lacks {', '.join(missing)}; {_ROLES}")


async def _connection_status(database: driver.Database) -> Mapping[str, Any]:
    if not driver.has_server(database):
        return {}
    query = {"connectionStatus": 1, "showPrivileges": True}
    answer = await database.command(query, read_preference=ReadPreference.PRIMARY_PREFERRED)
    status: Mapping[str, Any] = answer["authInfo"]
    return status


def _grants(privilege: Mapping[str, Any], database: str, collection: str, action: str) -> bool:
    """Whether a privilege allows an action. An empty name in its resource stands for every name."""
    resource = privilege["resource"]
    inside = resource.get("db") in ("", database) and resource.get("collection") in ("", collection)
    return (inside or bool(resource.get("anyResource"))) and action in privilege["actions"]


def _refusal(code: int, message: str) -> str:
    if code == AUTHENTICATION_FAILED:
        return "MongoDB refuses the login: check user, password, authSource and authMechanism"
    found = _COMMAND.search(message)
    if found is None:
        return f"MongoDB asks for a login; {_ROLES}"
    database, command, collection = found.groups()
    where = f"{database}.{collection}" if collection else f"database {database}"
    return f"the MongoDB user needs {_ACTIONS.get(command, command)} on {where}; {_ROLES}"
