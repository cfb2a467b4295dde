"""Which answers of MongoDB pass by themselves, so that the same command may be sent again. Pure.

Error labels decide, whatever the code: the server or the driver has put them there. Codes decide where a
server has no labels, and for the single documents of a bulk write, which mostly have none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pymongo.errors import AutoReconnect, PyMongoError

OVERLOAD = "SystemOverloadedError"
"""Label of an answer by which a server sheds load: it asks to wait before the command is sent again."""

PASSING_LABELS = (
    OVERLOAD,
    "RetryableError",
    "RetryableWriteError",
    "TransientTransactionError",
    "NoWritesPerformed",
)
"""Labels of MongoDB's specifications (client backpressure, retryable writes, transactions). Each write of the
engine leaves the same documents when it is sent twice, so that all of them allow a repeat."""

_ELSEWHERE = {6, 7, 63, 89, 91, 133, 134, 150, 189, 202, 216, 249, 262, 407, 9001, 10058, 10107, 11600, 11602}
_ELSEWHERE |= {13388, 13435, 13436}
_DISTURBED = {24, 43, 46, 107, 112, 136, 175, 237, 239, 246, 250, 272, 279, 290, 314, 355, 453, 11601, 46841}
_OVERLOADED = {365, 402, 433, 449, 450, 462, 16500}

PASSING_CODES = frozenset(_ELSEWHERE | _DISTURBED | _OVERLOADED)
"""Server codes after which a repeat may succeed, by the categories of MongoDB's `error_codes.yml`:

- another server answers now: an election, a shutdown, a broken connection between servers, a moved chunk;
- the command was disturbed: killed, its cursor, lock or snapshot lost, a conflict with a write (11601
  Interrupted, 237 CursorKilled, 175 QueryPlanKilled, 246 SnapshotUnavailable, 112 WriteConflict...);
- the server had too much to do (365 is TemporarilyUnavailable, 433 to 462 are of servers that shed load, and
  16500 is TooManyRequests of Azure Cosmos DB).

Its own time limit (50) is not one of them: a repeat takes as long."""

MOST_ASKED_S = 10.0
"""The longest pause that a server's `baseBackoffMS` can ask for: MAX_BACKOFF of the specification."""

Answer = Mapping[str, Any]
"""What a server says of a failure: a reply, an item of `writeErrors`, or a `writeConcernError`."""


class PassingRefusal(PyMongoError):
    """Some documents of a bulk write, or its confirmation, were refused for a reason that passes.

    Attributes:
        answer: what the server said of the first of them; empty if there is none.
        document_id: the `_id` of the first document that was refused.
    """

    def __init__(self, message: str, answers: Sequence[Answer], document_id: Any = None) -> None:
        super().__init__(message)
        self.answer: Answer = answers[0] if answers else {}
        self.document_id = document_id


def reason_to_repeat(error: BaseException) -> str | None:
    """Why the command may be sent again after this error of the driver; None if it must not be.

    The reason is a label, the server's name of the error, or the driver's name of a lost connection.
    """
    answer = answer_of(error)
    if answer and (reason := reason_of(answer)):
        return reason
    if isinstance(error, AutoReconnect):
        return type(error).__name__
    labels = [
        name for name in PASSING_LABELS if isinstance(error, PyMongoError) and error.has_error_label(name)
    ]
    return labels[0] if labels else None


def reason_of(answer: Answer) -> str | None:
    """Why the server's refusal passes by itself; None if it does not, or if that is not known."""
    code, labels = answer.get("code"), answer.get("errorLabels") or ()
    if OVERLOAD in labels or code in _OVERLOADED:
        return OVERLOAD
    if code in PASSING_CODES:
        return str(answer.get("codeName") or f"code {code}")
    return next((name for name in PASSING_LABELS if name in labels), None)


def is_overload(error: BaseException) -> bool:
    """Whether the server sheds load, so that even the first repeat has to wait."""
    return reason_of(answer_of(error)) == OVERLOAD


def asked_pause_s(error: BaseException) -> float:
    """The seconds that a server which sheds load asks to wait (`baseBackoffMS`); 0 if it asks for none."""
    asked = answer_of(error).get("baseBackoffMS")
    return min(asked / 1000, MOST_ASKED_S) if isinstance(asked, int | float) and asked > 0 else 0.0


def answer_of(error: BaseException) -> Answer:
    """What the server said; empty if the error is not of a server's making."""
    answer = error.answer if isinstance(error, PassingRefusal) else getattr(error, "details", None)
    if isinstance(answer, Mapping):
        return answer
    code = getattr(error, "code", None)
    return {} if code is None else {"code": code}
