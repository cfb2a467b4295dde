"""The value types that the rooms of the engine share. They do no I/O, and only arithmetic."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Any, NamedTuple, Self


class Status(StrEnum):
    """State of a range or a run.

    pending -> running -> succeeded
                       -> interrupted -> running   (stopped from outside; resumes)
                       -> failed      -> running   (an error ended it; resumes)
    succeeded -> running                           (asked to run again: finds everything unchanged)
    """

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


class QueryForm(StrEnum):
    """The form of a range query.

    Bounds of the index; or a filter where a server has no `min()`/`max()`; or, where the index has the order
    field alone, a filter on it and pages that end with all documents of one value.
    """

    INDEX_BOUNDS = "index_bounds"
    FILTER = "filter"
    WHOLE_TIES = "whole_ties"

    @property
    def guarantee(self) -> str:
        """What reading in this form guarantees."""
        return _GUARANTEES[self]


_GUARANTEES = {
    QueryForm.INDEX_BOUNDS: "each range is one index scan between its bounds, for keys of any BSON types",
    QueryForm.FILTER: "each range is one filter: the order field compares within its type, _id across types",
    QueryForm.WHOLE_TIES: "the index has no _id: ranges and pages end between two values of the order field, "
    "and more documents of one value than max_tied_documents are refused",
}


class Entity(NamedTuple):
    """One named entity: `text[start:end]` of a document's text, with offsets in Unicode code points."""

    start: int
    end: int
    label: str
    text: str
    score: float | None = None


entity_of: Callable[[tuple[int, int, str, str, float | None]], Entity] = partial(tuple.__new__, Entity)
"""Makes an Entity from a tuple, as `Entity._make` does, in a third of its time: every entity passes here."""


@dataclass(frozen=True, slots=True)
class Page:
    """The documents of one round trip to MongoDB, as columns, in reading order.

    There is a list for each column instead of an object for each document, because that is faster.

    Attributes:
        keys: the values of the documents' Keys, one column for each field of the order; the last has the
            `_id`s.
        texts: the values of `text_field`, of any type; None where the field is missing, Unreadable where it
            cannot be decoded.
    """

    keys: tuple[Sequence[Any], ...]
    texts: Sequence[Any]

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def ids(self) -> Sequence[Any]:
        """The `_id`s, exactly as stored."""
        return self.keys[-1]

    def values(self, at: int) -> tuple[Any, ...]:
        """Returns the values of one document's Key; `at` is its position in the page."""
        return tuple(column[at] for column in self.keys)


class Unreadable(NamedTuple):
    """Stands for a value that the driver cannot decode; `problem` says why."""

    problem: str


class Extraction(NamedTuple):
    """The entities of one document, and the hash of the text in which they were found."""

    document_id: Any
    entities: tuple[Entity, ...]
    text_hash: str


extraction_of: Callable[[tuple[Any, Any, str]], Extraction] = partial(tuple.__new__, Extraction)
"""Makes an Extraction from a tuple, as fast as `entity_of` makes an Entity."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One document that failed for good.

    Attributes:
        kind: `permanent`, `transient` or `throttled` failure of the service, or `invalid_text`.
        reason: the failure in the engine's own words, without values, so that equal ones can be counted.
        status: HTTP status of the last answer, if there was one.
        message: the beginning of the service's error body, with the text removed.
        text_length: length in code points; None if there was no text.
        text: the text itself, only with the setting `keep_failed_text`.
    """

    document_id: Any
    kind: str
    message: str
    range_id: str
    status: int | None = None
    attempts: int = 0
    first_at: datetime | None = None
    last_at: datetime | None = None
    text_length: int | None = None
    text_hash: str | None = None
    text: str | None = None
    reason: str = ""

    def to_document(self) -> dict[str, Any]:
        """Returns the fields as they are stored, without the `_id`, and without the text if that is None."""
        fields = asdict(self)
        del fields["document_id"]
        if self.text is None:
            del fields["text"]
        return fields


MOST_REASONS = 50
OTHER_REASONS = "other reasons"
"""So many reasons of dead letters are counted apart; any further one is counted as `OTHER_REASONS`."""

DIGESTS = 1 << 128
"""Digests are sums modulo this number."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of documents by outcome. Unless `read = written + unchanged + dead_lettered`, some were lost.

    Attributes:
        digest: identifies the set of `_id`s read, in any order: the sum of their `digests_of`.
        reasons: the dead letters by their reasons.
    """

    read: int = 0
    written: int = 0
    unchanged: int = 0
    dead_lettered: int = 0
    digest: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict, compare=False)

    def __add__(self, other: Counts) -> Counts:
        """Adds field by field."""
        return Counts(
            self.read + other.read,
            self.written + other.written,
            self.unchanged + other.unchanged,
            self.dead_lettered + other.dead_lettered,
            (self.digest + other.digest) % DIGESTS,
            _added(self.reasons, other.reasons),
        )

    @property
    def balanced(self) -> bool:
        """Whether every document read is accounted for."""
        return self.read == self.written + self.unchanged + self.dead_lettered

    def to_document(self) -> dict[str, Any]:
        """Returns the fields as they are stored.

        The digest is hexadecimal, because BSON's integers are shorter. The reasons are a list, because they
        may have dots, which names in BSON should not have.
        """
        stored = {**asdict(self), "digest": f"{self.digest:032x}"}
        most_first = sorted(stored.pop("reasons").items(), key=lambda each: -each[1])
        return {**stored, "dead_letter_reasons": tuple({"reason": r, "count": n} for r, n in most_first)}

    @classmethod
    def from_document(cls, stored: Mapping[str, Any]) -> Self:
        """Returns the Counts that `to_document` was called on; ignores other fields."""
        read, written, unchanged = stored["read"], stored["written"], stored["unchanged"]
        reasons = {each["reason"]: each["count"] for each in stored.get("dead_letter_reasons", ())}
        return cls(read, written, unchanged, stored["dead_lettered"], int(stored["digest"], 16), reasons)


def _added(some: Mapping[str, int], more: Mapping[str, int]) -> Mapping[str, int]:
    if not (some and more):
        return some or more
    summed = dict(some)
    for reason, count in more.items():
        name = reason if reason in summed or len(summed) < MOST_REASONS else OTHER_REASONS
        summed[name] = summed.get(name, 0) + count
    return summed


@dataclass(frozen=True, slots=True)
class Effort:
    """Numbers of requests to the service, summed over the attempts of a range.

    Attributes:
        requests: all requests, retries included.
        retries: requests that were retries, after any failure.
        throttled: retries after the service asked to wait.
        refused: retries after a permanent failure that an outage explained afterwards. All other retries
            followed transient failures.
    """

    requests: int = 0
    retries: int = 0
    throttled: int = 0
    refused: int = 0

    def __add__(self, other: Effort) -> Effort:
        """Adds field by field."""
        return Effort(
            self.requests + other.requests,
            self.retries + other.retries,
            self.throttled + other.throttled,
            self.refused + other.refused,
        )


@dataclass(frozen=True, slots=True)
class Progress:
    """The state of a running range or run, as the progress callback gets it.

    Attributes:
        range_id: None for a run as a whole.
        documents: documents finished so far, in all attempts.
        expected: planned documents, if known.
        in_flight: requests in flight now.
    """

    range_id: str | None = None
    documents: int = 0
    expected: int | None = None
    in_flight: int = 0
    retries: int = 0
    dead_lettered: int = 0


NOT_UTF8 = re.compile("[\udc80-\udcff]")
"""Finds the bytes of a stored string that are not UTF-8, in the form that `engine.keys.utf8` describes."""


def hashes_of(texts: Sequence[Any]) -> list[str | None]:
    """Returns the SHA-256 of each text, in bulk; None for values that are not strings of UTF-8."""
    try:
        return [hashlib.sha256(text.encode()).hexdigest() for text in texts]
    except (AttributeError, UnicodeEncodeError):
        return [hash_text(text) if _is_text(text) else None for text in texts]


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and not NOT_UTF8.search(value)


def hash_text(text: str) -> str:
    """Returns the SHA-256 of the text in UTF-8, in hexadecimal, by which a changed text is recognized."""
    try:
        encoded = text.encode()
    except UnicodeEncodeError:  # a client may have chosen to decode halves of surrogate pairs
        encoded = text.encode("utf-8", "surrogatepass")
    return hashlib.sha256(encoded).hexdigest()


Sleep = Callable[[float], Awaitable[None]]
"""A function that waits for some seconds; tests inject their own."""
