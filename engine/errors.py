"""The exceptions of the engine, all derived from EngineError, and how failures of calls are classified.

An error carries the range or the document that it concerns, and its message says what to do next.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any


class Failure(StrEnum):
    """How the engine treats a failed call to the service."""

    THROTTLED = "throttled"
    """The service asks to wait (429, or 503 with `Retry-After`): wait, then send the same request again."""
    TRANSIENT = "transient"
    """A retry may succeed: connection error, timeout, 408, 500, 502, 503, 504."""
    PERMANENT = "permanent"
    """A retry would fail in the same way: the request itself is refused."""


class EngineError(Exception):
    """Base of all errors raised by the engine.

    Attributes:
        range_id: the id of the KeyRange concerned, if there is one.
        document_id: the `_id` of the document concerned, if there is one.
        code: MongoDB's code of the error, if a server has answered with one.
        ends_run: whether every range of the run would fail in the same way, so that `run` stops them all.
    """

    code: int | None = None
    ends_run = False

    def __init__(self, message: str, *, range_id: str | None = None, document_id: Any = None) -> None:
        super().__init__(message)
        self.range_id = range_id
        self.document_id = document_id


class ConfigError(EngineError):
    """A setting or argument is wrong; the message names it and the allowed values."""


class PlanError(EngineError):
    """The window cannot be planned safely; nothing has been read or written."""


class SourceError(EngineError):
    """The source collection could not be read."""


class ExtractionError(EngineError):
    """A call to the service failed.

    Extractors raise it to say how the failure should be treated. Any other exception of an extractor is
    classified by `engine.errors.classify`.

    Attributes:
        failure: throttled, transient or permanent.
        status: HTTP status of the answer, if there was one.
        retry_after_s: seconds that the service asked to wait, if it did.
        reason: the failure in the engine's own words, without values, so that equal ones can be counted. The
            engine gives it, and only with a message that holds no text.
    """

    def __init__(
        self,
        message: str,
        *,
        failure: Failure = Failure.PERMANENT,
        status: int | None = None,
        retry_after_s: float | None = None,
        range_id: str | None = None,
        reason: str | None = None,
    ) -> None:
        super().__init__(message, range_id=range_id)
        self.failure = Failure(failure)
        self.status = status
        self.retry_after_s = retry_after_s if retry_after_s is not None and retry_after_s >= 0 else None
        self.reason = reason


NO_ANSWER = "no answer in time"
"""The reason of an ExtractionError after the time for an attempt."""


class WrongAnswer(ExtractionError):
    """The service has answered, and its answer cannot be true for the texts that it was sent."""


class ImpossibleAnswer(WrongAnswer):
    """The answer has an object that no service can have sent: the code that made it is at fault."""


class ServiceUnusable(ExtractionError):
    """The service, or one's own function, works for no text: a fault in the code, a refused login.

    Neither time nor another document changes that, so the run ends at once, and no document is blamed.
    """

    ends_run = True


class TooManyDeadLetters(EngineError):
    """The share of dead letters is above `max_dead_letter_share`; the run is stopped before its end."""

    ends_run = True


class WriteError(EngineError):
    """Extractions or dead letters could not be written durably."""


class Unstorable(WriteError):
    """Some extractions can never be stored; all others of the same write are.

    Attributes:
        problems: what is wrong with each of them, by the `lookup_key` of its document's `_id`.
        unchanged: the look-up keys of those that were stored already, unchanged.
    """

    def __init__(self, problems: Mapping[Any, str], unchanged: frozenset[Any]) -> None:
        super().__init__(f"{len(problems)} results can never be stored: {next(iter(problems.values()))}")
        self.problems = problems
        self.unchanged = unchanged


class Interrupted(EngineError):
    """The range was stopped before its end; its next attempt resumes from the checkpoint."""


class ServiceDown(Interrupted):
    """The service was down for longer than `max_outage_s`; no document is blamed."""


def root_error(raised: BaseException) -> BaseException:
    """Returns the first EngineError of the errors in an exception group; without one, the first error."""
    errors = list(leaves(raised))
    return next((error for error in errors if isinstance(error, EngineError)), errors[0])


def leaves(error: BaseException) -> Iterator[BaseException]:
    """Yields the errors in an exception group, or the error itself."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error


def classify(error: BaseException) -> Failure:
    """Returns how the engine treats an extractor's exception.

    An `ExtractionError` carries its class. Connection errors and timeouts are transient. Anything else is a
    fault of the request or of the extractor, so it is permanent.
    """
    if isinstance(error, ExtractionError):
        return error.failure
    return Failure.TRANSIENT if isinstance(error, OSError | TimeoutError | EOFError) else Failure.PERMANENT
