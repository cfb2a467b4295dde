"""The data that the HTML report of a run is rendered from. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from engine.observing.timeline import Timeline
from engine.planning.plan import Plan
from engine.report import RunReport


@dataclass(frozen=True, slots=True)
class DeadLetterRow:
    """One dead letter, without its message and its text.

    Attributes:
        id: the document's `_id` in relaxed Extended JSON.
        kind: class of the failure.
        resolved: whether it has been resolved since.
    """

    id: str
    kind: str
    status: int | None
    attempts: int
    range_id: str
    last_at: datetime | None
    resolved: bool = False


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """The dead letters of a run.

    Attributes:
        by_kind: their number by class; None if they could not be counted in time.
        resolved: how many of them have been resolved since.
        first: the first of them by `_id`.
        problem: why the query failed, for people.
    """

    by_kind: Mapping[str, int] | None = None
    resolved: int = 0
    first: tuple[DeadLetterRow, ...] = ()
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class TopEntities:
    """The most frequent entities of the documents that a run wrote.

    Attributes:
        top: label, text and count of each; the most frequent first.
        documents: number of documents counted, beginning with the last one written.
        written: number of documents that the run wrote.
        problem: why the count is incomplete, for people.
    """

    top: tuple[tuple[str, str, int], ...] = ()
    documents: int = 0
    written: int = 0
    problem: str | None = None

    @property
    def sampled(self) -> bool:
        """Whether only a part of the documents was counted."""
        return self.documents < self.written


@dataclass(frozen=True, slots=True)
class ReportData:
    """All data of one run's HTML report.

    Attributes:
        made_at: time of the queries.
        timelines: the timelines of its ranges, by range id.
        entities: None if a setting leaves them out.
    """

    report: RunReport
    plan: Plan
    made_at: datetime
    timelines: Mapping[str, Timeline] = field(default_factory=dict)
    letters: DeadLetters = field(default_factory=DeadLetters)
    entities: TopEntities | None = None
