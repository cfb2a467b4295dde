"""Finds the errors that an answer reports for some of its texts, beside the results of others. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from engine.errors import ExtractionError, Failure
from engine.extractors.redaction import redact

MULTI_STATUS = 207
"""The status of an answer in which each text has a status of its own."""

_SIGNS = ("error", "errors", "exception", "fault")
"""Fields that say by themselves that something failed, unless they are empty."""

_STATUSES = ("status", "statusCode", "status_code", "code", "http_status")
_WORDS = ("message", "msg", "detail", "details", "reason", "title", "description", "type", "code")
_INDEXES = ("index", "Index", "id", "i")
_LEAST_ERROR, _MOST_ERROR = 400, 599
_TOLD, _TOLD_CHARS = 3, 200
_THROTTLED, _PASSING = frozenset({429}), frozenset({408, 500, 502, 503, 504})


def item_error(texts: Sequence[str], answer: Any) -> ExtractionError | None:
    """Returns the errors of texts in an answer as one error; None if the answer reports none.

    One failing text fails the whole request, which the engine then halves until each failing text is alone.
    If any of the errors may pass, the request is tried again first.
    """
    found = list(_errors(answer))
    if not found:
        return None
    statuses = [status for _, status, _ in found]
    failure = Failure.PERMANENT
    if any(status in _PASSING for status in statuses):
        failure = Failure.TRANSIENT
    elif any(status in _THROTTLED for status in statuses):
        failure = Failure.THROTTLED
    listed = "; ".join(_told(*error) for error in found[:_TOLD])
    return ExtractionError(
        f"{len(found)} of {len(texts)} texts failed: {redact(listed, texts)}",
        failure=failure,
        status=next((status for status in statuses if status), None),
        reason="the answer reports an error of a text",
    )


def _errors(answer: Any) -> Iterator[tuple[Any, int | None, str]]:
    """Yields for each error the place of its text, its status and its words."""
    lists = [answer] if isinstance(answer, list) else []
    if isinstance(answer, Mapping):
        lists = [value for value in answer.values() if isinstance(value, list)]
        if any(answer.get(sign) and not isinstance(answer[sign], list) for sign in _SIGNS):
            yield _error_of(answer, None)
            return
    for items in lists:
        whole = isinstance(answer, Mapping) and any(answer.get(sign) is items for sign in _SIGNS)
        for at, item in enumerate(items):
            if isinstance(item, Mapping) and (whole or _failed(item)):
                yield _error_of(item, at)
            elif whole:
                yield at, None, str(item)


def _failed(item: Mapping[str, Any]) -> bool:
    return any(item.get(sign) for sign in _SIGNS) or _status_of(item) is not None


def _error_of(item: Mapping[str, Any], at: int | None) -> tuple[Any, int | None, str]:
    inner = next((item[sign] for sign in _SIGNS if item.get(sign)), item)
    status = _status_of(item)
    if isinstance(inner, Mapping):
        status = status or _status_of(inner)
        words = ": ".join(str(inner[word]) for word in _WORDS if isinstance(inner.get(word), str))
    else:
        words = str(inner)
    place = next((item[name] for name in _INDEXES if isinstance(item.get(name), int)), at)
    return place, status, words


def _status_of(item: Mapping[str, Any]) -> int | None:
    """The status of an item if it is that of an error, as a number or in digits."""
    for name in _STATUSES:
        value = item.get(name)
        if isinstance(value, str) and value[:3].isdecimal() and value.isascii():
            value = int(value[:3])
        if type(value) is int and _LEAST_ERROR <= value <= _MOST_ERROR:
            return value
    return None


def _told(place: Any, status: int | None, words: str) -> str:
    parts = ("the answer" if place is None else f"text {place}", f"status {status}" if status else "", words)
    return ": ".join(part for part in parts if part)[:_TOLD_CHARS]
