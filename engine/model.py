"""The values that flow through the engine. No I/O, no behaviour beyond arithmetic."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
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
    """One named entity: `text[start:end]` of the document, in Unicode code points."""

    start: int
    end: int
    label: str
    text: str
    score: float | None = None


entity_of: Callable[[tuple[int, int, str, str, float | None]], Entity] = partial(tuple.__new__, Entity)
"""`Entity._make` without its Python frame: a third of its time, and every entity passes here."""


@dataclass(frozen=True, slots=True)
class Page:
    """What the engine reads of the documents of one round trip: columns side by side, in reading order.

    Columns and no record a document: Python makes and passes one list faster than a thousand records.

    Attributes:
        keys: the values of the documents' Keys, a column for each field of the order; the last is the `_id`s.
        texts: what is found under `text_field`, of whatever type; None where it is missing.
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
        """The values of one document's Key."""
        return tuple(column[at] for column in self.keys)


class Extraction(NamedTuple):
    """One document's entities and the hash of the text they were found in."""

    document_id: Any
    entities: tuple[Entity, ...]
    text_hash: str


extraction_of: Callable[[tuple[Any, Any, str]], Extraction] = partial(tuple.__new__, Extraction)
"""Likewise."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One document that failed for good.

    Attributes:
        kind: `permanent` or `transient` failure of the service, or `invalid_text`.
        status: HTTP status of the last answer, if there was one.
        message: what the service said: the beginning of its body, without the text.
        text_length: in code points; None when there was no text.
        text: only if `keep_failed_text` says so.
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

    def to_document(self) -> dict[str, Any]:
        """As it is kept, without the `_id`; the text is there only if it is to be kept."""
        fields = asdict(self)
        del fields["document_id"]
        if self.text is None:
            del fields["text"]
        return fields


DIGESTS = 1 << 128
"""Digests are sums modulo this."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the documents: `read = written + unchanged + dead_lettered`, or something is lost.

    Attributes:
        digest: identifies the set of `_id`s read, in whatever order: the sum of their `digests_of`.
    """

    read: int = 0
    written: int = 0
    unchanged: int = 0
    dead_lettered: int = 0
    digest: int = 0

    def __add__(self, other: Counts) -> Counts:
        """The sums, field by field."""
        return Counts(
            self.read + other.read,
            self.written + other.written,
            self.unchanged + other.unchanged,
            self.dead_lettered + other.dead_lettered,
            (self.digest + other.digest) % DIGESTS,
        )

    @property
    def balanced(self) -> bool:
        """Whether every document read is accounted for."""
        return self.read == self.written + self.unchanged + self.dead_lettered

    def to_document(self) -> dict[str, Any]:
        """As checkpoints and reports keep it: the digest in hexadecimal, for BSON ends at 64 bits."""
        return {**asdict(self), "digest": f"{self.digest:032x}"}

    @classmethod
    def from_document(cls, stored: Mapping[str, Any]) -> Self:
        """The Counts that `to_document` was called on; other fields are left alone."""
        read, written, unchanged = stored["read"], stored["written"], stored["unchanged"]
        return cls(read, written, unchanged, stored["dead_lettered"], int(stored["digest"], 16))


@dataclass(frozen=True, slots=True)
class Effort:
    """What calling the service took; summed over attempts, outside the accounting identity.

    Attributes:
        retries: requests that were repeats, whatever the failure before them.
        throttled: repeats after the service asked for patience.
        refused: repeats after a refusal for good that an outage turned out to be the cause of. All others
            are repeats after transient failures.
    """

    requests: int = 0
    retries: int = 0
    throttled: int = 0
    refused: int = 0

    def __add__(self, other: Effort) -> Effort:
        """The sums, field by field."""
        return Effort(
            self.requests + other.requests,
            self.retries + other.retries,
            self.throttled + other.throttled,
            self.refused + other.refused,
        )


@dataclass(frozen=True, slots=True)
class Progress:
    """A glance at a running range or run, handed to the progress callback.

    Attributes:
        range_id: None for a run as a whole.
        documents: read and accounted for so far (restarts included).
        expected: documents planned, if known.
        in_flight: requests at the service right now.
    """

    range_id: str | None = None
    documents: int = 0
    expected: int | None = None
    in_flight: int = 0
    retries: int = 0
    dead_lettered: int = 0


def hashes_of(texts: Sequence[Any]) -> list[str | None]:
    """The `hash_text` of each text, without a call for each where it can be; None for what is no text."""
    try:
        return [hashlib.sha256(text.encode()).hexdigest() for text in texts]
    except (AttributeError, UnicodeEncodeError):
        return [hash_text(text) if isinstance(text, str) else None for text in texts]


def hash_text(text: str) -> str:
    """SHA-256 of the text in UTF-8, in hexadecimal: tells whether a document's text has changed."""
    try:
        encoded = text.encode()
    except UnicodeEncodeError:  # BSON may hold halves of surrogate pairs
        encoded = text.encode("utf-8", "surrogatepass")
    return hashlib.sha256(encoded).hexdigest()


Sleep = Callable[[float], Awaitable[None]]
