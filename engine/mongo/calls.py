"""Sends every MongoDB command of the engine: repeats what may be repeated, and translates other errors.

    document = await calls.read_target(plans, lambda: plans.find_one({"_id": run_id}))

A command is given as a function, because a repeat needs a new coroutine. Reads change nothing, and each write
of the engine leaves the same documents when it is sent twice. So both are repeated after what passes by
itself: a lost connection, an election, a server that sheds load (`error_classes.py`). Each repeat is an event
and is counted with its reason. An error that remains becomes a SourceError or a WriteError with the server's
`code`, also if BSON cannot hold a value. Nothing else in the engine handles an exception of the driver, apart
from `unreadable.py`, which reads around a document that cannot be decoded.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from bson.errors import BSONError, InvalidDocument
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    DocumentTooLarge,
    InvalidName,
    OperationFailure,
    PyMongoError,
)
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_attempt,
    stop_before_delay,
    wait_random_exponential,
)

from engine.errors import ConfigError, EngineError, SourceError, WriteError
from engine.mongo import driver, waiting
from engine.mongo.error_classes import Answer, answer_of, asked_pause_s, is_overload, reason_to_repeat
from engine.observing import metrics
from engine.observing.events import Events

T = TypeVar("T")
Command = Callable[[], Awaitable[T]]

UNAUTHORIZED = 13
AUTHENTICATION_FAILED = 18
EXECUTION_TIMEOUT = 50
NOT_CONFIRMED = 64
DUPLICATE_KEY = 11000
DOCUMENT_TOO_LARGE = 10334
"""Server codes that the engine treats in a way of their own. 50 is MaxTimeMSExpired, and 64 is
WriteConcernTimeout."""

ATTEMPTS = 6
"""Repeats of a command: at once, then after up to 0.5, 1, 2, 4 and 8 s; the first after up to 0.25 s if the
server sheds load. A replica set elects a new primary within about 12 s. Before that, the driver repeats reads
and single writes once, and twice what a server has shed, after up to 0.2 and 0.4 s. So a server that sheds
load gets a command 3 x 7 times at most."""

PATIENCE_S = 30.0
"""No repeat begins later than this. The driver looks for a server for as long before it gives up."""

WAIT = wait_random_exponential(multiplier=0.25, max=8)

ADVICE = {
    UNAUTHORIZED: "docs/security.md has the roles as commands",
    AUTHENTICATION_FAILED: "check user, password, authSource and authMechanism",
    EXECUTION_TIMEOUT: "the query took longer than its time limit allows",
    NOT_CONFIRMED: "within wtimeoutMS too few members of the replica set have confirmed the write: "
    "bring those that hold data back, then run it again",
}
"""What to do about an error, by its code."""

_DETAILS = re.compile(r" \(configured timeouts|, Timeout: |, Topology Description: ")
"""Where the driver's message begins to describe its timeouts and every server of the set."""

_ANSWER = "an answer of the server"
_MAJORITY = "a majority of the replica set that confirms a write"
_UNREACHABLE = "check that the server can be reached, then run it again"


async def read_source(where: driver.Place, command: Command[T]) -> T:
    """Reads from the source: returns what the command returns.

    Args:
        where: the collection or database concerned, which the message names.

    Raises:
        SourceError: it failed and must not be repeated, or each repeat failed, too.
    """
    return await _sent(where, command, SourceError, "read", _ANSWER)


async def read_target(where: driver.Place, command: Command[T]) -> T:
    """Reads from the target, and otherwise does as `read_source`.

    Raises:
        WriteError: it failed and must not be repeated, or each repeat failed, too.
    """
    return await _sent(where, command, WriteError, "read", _ANSWER)


async def write_target(where: driver.Place, command: Command[T]) -> T:
    """Writes to the target. The command must leave the same documents when it is sent twice.

    Raises:
        WriteError: it failed and must not be repeated, or each repeat failed, too.
    """
    return await _sent(where, command, WriteError, "written", _MAJORITY)


def named(parent: Any, name: str) -> Any:
    """Returns the database of a client, or the collection of a database, that has this name.

    Raises:
        ConfigError: the driver refuses the name.
    """
    try:
        return parent[name]
    except InvalidName as error:
        raise ConfigError(f"the name {name!r} cannot be used: {error}") from None


@contextmanager
def translating(what: str) -> Iterator[None]:
    """Translates an error of the driver in the block, for a synchronous client. Nothing is repeated.

    Args:
        what: what failed, for the message.

    Raises:
        SourceError: a command failed.
    """
    try:
        yield
    except PyMongoError as error:
        raise translated(error, SourceError, what) from error


async def _sent(
    where: driver.Place, command: Command[T], kind: type[EngineError], done: str, waits_for: str
) -> T:
    began = time.monotonic()
    try:
        with waiting.told(where, waits_for):
            return await _answered(where, command, began)
    except (PyMongoError, BSONError, UnicodeError, OverflowError) as error:
        cause = None if _shows_documents(error) else error
        raise translated(error, kind, f"{driver.namespace(where)} could not be {done}") from cause


async def _answered(where: driver.Place, command: Command[T], began: float) -> T:
    try:
        return await command()
    except PyMongoError as error:  # tenacity only now: each call through it costs 0.1 ms
        left_s = began + PATIENCE_S - time.monotonic()
        if reason_to_repeat(error) is None or left_s <= 0:
            raise
        return await _repeated(where, command, error, left_s)


async def _repeated(where: driver.Place, command: Command[T], error: PyMongoError, left_s: float) -> T:
    """Sends the command again and again after the error, and returns what it returns in the end."""
    failed = [error]

    async def once() -> T:
        if failed:
            raise failed.pop()
        return await command()

    def tell(state: RetryCallState) -> None:
        why = reason_to_repeat(_error_of(state)) or ""
        metrics.current().command_repeated(why)
        collection = driver.namespace(where)
        Events().warning("command_repeated", collection=collection, reason=why, repeat=state.attempt_number)

    repeats = AsyncRetrying(
        retry=retry_if_exception(lambda error: reason_to_repeat(error) is not None),
        wait=_pause_s,
        stop=stop_after_attempt(1 + ATTEMPTS) | stop_before_delay(left_s),
        before_sleep=tell,
        reraise=True,
    )
    return await repeats(once)


def _pause_s(state: RetryCallState) -> float:
    error = _error_of(state)
    if state.attempt_number == 1 and not is_overload(error):
        return 0.0
    return WAIT(state) + asked_pause_s(error)


def _error_of(state: RetryCallState) -> BaseException:
    return cast(BaseException, state.outcome and state.outcome.exception())


def translated(error: Exception, kind: type[EngineError], what: str) -> EngineError:
    """Returns the engine's error for one of the driver: what failed, why, and what to do."""
    answer = answer_of(error)
    code: int | None = getattr(error, "code", None) or answer.get("code")
    if isinstance(error, DocumentTooLarge):
        code = DOCUMENT_TOO_LARGE
    advice = _UNREACHABLE if isinstance(error, AutoReconnect) else ADVICE.get(code or 0)
    raised = kind("; ".join(filter(None, [f"{what}: {_reason(error, answer, code)}", advice])))
    raised.code, raised.document_id = code, getattr(error, "document_id", None)
    return raised


def _reason(error: Exception, answer: Answer, code: int | None) -> str:
    if _shows_documents(error):
        return f"a document is refused ({type(error).__name__})"
    if isinstance(error, OperationFailure) and code is not None:
        named = ", ".join(filter(None, [f"code {code}", answer.get("codeName")]))
        return f"{_in_one_line(answer.get('errmsg') or error)} ({named})"
    return _in_one_line(_DETAILS.split(str(error), maxsplit=1)[0])


def _in_one_line(text: object) -> str:
    return " ".join(str(text).split())


def _shows_documents(error: Exception) -> bool:
    """Whether the driver's message quotes documents, which may hold texts (trap 30, docs/traps.md)."""
    encoding = isinstance(error, InvalidDocument) and not isinstance(error, DocumentTooLarge)
    return encoding or isinstance(error, BulkWriteError)
