"""Sends every MongoDB command of the engine: repeats what may be repeated, and translates other errors.

    document = await calls.read_target(plans, lambda: plans.find_one({"_id": run_id}))

A command is given as a function, because a repeat needs a new coroutine. Reads change nothing, and each write
of the engine leaves the same documents when it is sent twice, so both are repeated after a lost connection
and an election. An error that remains becomes a SourceError or a WriteError with the server's `code`.
Nothing else in the engine handles an exception of the driver.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from bson.errors import BSONError, InvalidDocument
from pymongo.errors import AutoReconnect, BulkWriteError, DocumentTooLarge, OperationFailure, PyMongoError
from tenacity import (
    AsyncRetrying,
    retry_if_exception,
    stop_after_attempt,
    stop_before_delay,
    wait_random_exponential,
)

from engine.errors import EngineError, SourceError, WriteError
from engine.mongo import driver

T = TypeVar("T")
Command = Callable[[], Awaitable[T]]

UNAUTHORIZED = 13
AUTHENTICATION_FAILED = 18
EXECUTION_TIMEOUT = 50
DUPLICATE_KEY = 11000
"""Server codes that the engine treats in a way of their own. 50 is MaxTimeMSExpired."""

_ELSEWHERE = {6, 7, 63, 89, 91, 133, 134, 150, 189, 202, 216, 249, 262, 407, 9001, 10058, 10107, 11600, 11602}
_ELSEWHERE |= {13388, 13435, 13436}
_DISTURBED = {24, 43, 46, 107, 112, 136, 175, 237, 239, 246, 250, 272, 279, 290, 314, 355, 453, 11601, 46841}
_OVERLOADED = {365, 402, 433, 449, 450, 462}

REPEATABLE = frozenset(_ELSEWHERE | _DISTURBED | _OVERLOADED)
"""Server codes after which a repeat may succeed, by the categories of MongoDB's `error_codes.yml`:

- another server answers now: an election, a shutdown, a broken connection between servers, a moved chunk;
- the command was disturbed: killed, its cursor, lock or snapshot lost, a conflict with a write (11601
  Interrupted, 237 CursorKilled, 175 QueryPlanKilled, 246 SnapshotUnavailable, 112 WriteConflict...);
- the server had too much to do (365 is TemporarilyUnavailable).

Its own time limit (50) is not one of them: a repeat takes as long."""

ATTEMPTS = 6
"""Repeats of a command: at once, then after up to 0.5, 1, 2, 4 and 8 s. A replica set elects a new primary
within about 12 s."""

PATIENCE_S = 30.0
"""No repeat begins later than this. The driver looks for a server for as long before it gives up."""

WAIT = wait_random_exponential(multiplier=0.5, max=8)

_ADVICE = {
    UNAUTHORIZED: "docs/security.md has the roles as commands",
    AUTHENTICATION_FAILED: "check user, password, authSource and authMechanism",
    EXECUTION_TIMEOUT: "the query took longer than its time limit allows",
}
_UNREACHABLE = "check that the server can be reached, then run it again"


async def read_source(where: driver.Place, command: Command[T]) -> T:
    """Reads from the source: returns what the command returns.

    Args:
        where: the collection or database concerned, which the message names.

    Raises:
        SourceError: it failed and must not be repeated, or each repeat failed, too.
    """
    return await _sent(where, command, SourceError, "read")


async def read_target(where: driver.Place, command: Command[T]) -> T:
    """Reads from the target, and otherwise does as `read_source`.

    Raises:
        WriteError: it failed and must not be repeated, or each repeat failed, too.
    """
    return await _sent(where, command, WriteError, "read")


async def write_target(where: driver.Place, command: Command[T]) -> T:
    """Writes to the target. The command must leave the same documents when it is sent twice.

    Raises:
        WriteError: it failed and must not be repeated, or each repeat failed, too.
    """
    return await _sent(where, command, WriteError, "written")


async def _sent(where: driver.Place, command: Command[T], kind: type[EngineError], done: str) -> T:
    began = time.monotonic()

    async def once() -> T:  # tenacity awaits only what is a coroutine function by itself
        return await command()

    try:
        try:
            return await command()
        except PyMongoError as error:  # tenacity only now: each call through it costs 0.1 ms
            left_s = began + PATIENCE_S - time.monotonic()
            if not _may_repeat(error) or left_s <= 0:
                raise
            return await _repeats(left_s)(once)
    except (PyMongoError, BSONError) as error:
        cause = None if _shows_documents(error) else error
        raise translated(error, kind, f"{driver.namespace(where)} could not be {done}") from cause


def _repeats(left_s: float) -> AsyncRetrying:
    return AsyncRetrying(
        retry=retry_if_exception(_may_repeat),
        wait=WAIT,
        stop=stop_after_attempt(ATTEMPTS) | stop_before_delay(left_s),
        reraise=True,
    )


def _may_repeat(error: BaseException) -> bool:
    return isinstance(error, AutoReconnect) or getattr(error, "code", None) in REPEATABLE


def translated(error: Exception, kind: type[EngineError], what: str) -> EngineError:
    """Returns the engine's error for one of the driver: what failed, why, and what to do."""
    details = getattr(error, "details", None)
    answer = details if isinstance(details, dict) else {}
    code: int | None = getattr(error, "code", None) or answer.get("code")
    advice = _UNREACHABLE if isinstance(error, AutoReconnect) else _ADVICE.get(code or 0)
    raised = kind("; ".join(filter(None, [f"{what}: {_reason(error, answer, code)}", advice])))
    raised.code = code
    return raised


def _reason(error: Exception, answer: dict[str, Any], code: int | None) -> str:
    if _shows_documents(error):
        return f"a document is refused ({type(error).__name__})"
    if isinstance(error, OperationFailure) and code is not None:
        named = ", ".join(filter(None, [f"code {code}", answer.get("codeName")]))
        return f"{answer.get('errmsg') or error} ({named})"
    return str(error).partition(" (configured timeouts")[0]  # what follows describes every server of the set


def _shows_documents(error: Exception) -> bool:
    """Whether the driver's message quotes documents, which may hold texts (trap 30, docs/traps.md)."""
    encoding = isinstance(error, InvalidDocument) and not isinstance(error, DocumentTooLarge)
    return encoding or isinstance(error, BulkWriteError)
