"""The one exception tree of the engine.

Every error carries the range or the document it concerns, and its message says what to do next.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Any


class Failure(StrEnum):
    """How a failed call to the service is to be treated."""

    THROTTLED = "throttled"
    """The service asks for patience (429, or 503 with a hint): wait and send the same again."""
    TRANSIENT = "transient"
    """The call may succeed when repeated: connection, timeout, 408, 500, 502, 503, 504."""
    PERMANENT = "permanent"
    """Repeating changes nothing: the request itself is refused."""


class EngineError(Exception):
    """Base of all errors raised by the engine.

    Attributes:
        range_id: the KeyRange concerned, if one is.
        document_id: the `_id` of the document concerned, if one is.
    """

    def __init__(self, message: str, *, range_id: str | None = None, document_id: Any = None) -> None:
        super().__init__(message)
        self.range_id = range_id
        self.document_id = document_id


class ConfigError(EngineError):
    """A setting or argument is wrong; the message names it and what is allowed."""


class PlanError(EngineError):
    """The window cannot be planned safely; nothing has been read or written."""


class SourceError(EngineError):
    """The source collection could not be read."""


class ExtractionError(EngineError):
    """A call to the service failed.

    Extractors raise it to say how the failure is to be treated; any other exception of an extractor is
    classified by `engine.errors.classify`.

    Attributes:
        failure: throttled, transient or permanent.
        status: HTTP status of the answer, if there was one.
        retry_after_s: seconds the service asked to wait, if it did.
    """

    def __init__(
        self,
        message: str,
        *,
        failure: Failure = Failure.PERMANENT,
        status: int | None = None,
        retry_after_s: float | None = None,
        range_id: str | None = None,
    ) -> None:
        super().__init__(message, range_id=range_id)
        self.failure = failure
        self.status = status
        self.retry_after_s = retry_after_s


class WriteError(EngineError):
    """Extractions or dead letters could not be written durably."""


class Interrupted(EngineError):
    """The range was stopped before its end (it resumes from its checkpoint)."""


class ServiceDown(Interrupted):
    """The service did not work for longer than is allowed; no document is blamed."""


def root_error(raised: BaseException) -> BaseException:
    """Of the errors that a group of tasks ended with, the first of the engine's own, else the first."""
    errors = list(_leaves(raised))
    return next((error for error in errors if isinstance(error, EngineError)), errors[0])


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def classify(error: BaseException) -> Failure:
    """How an extractor's exception is to be treated.

    An `ExtractionError` says it itself; connection errors and timeouts are transient; whatever else is a
    fault of the request or of the extractor, and repeating it changes nothing.
    """
    if isinstance(error, ExtractionError):
        return error.failure
    return Failure.TRANSIENT if isinstance(error, OSError | TimeoutError | EOFError) else Failure.PERMANENT
