"""What is known of a run besides its report: the parts that its HTML report is made of. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from engine.observing.timeline import Timeline
from engine.planning.plan import Plan
from engine.report import Report


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter, without its message and its text.

    Attributes:
        id: the document's `_id` in relaxed Extended JSON.
        kind: its class.
        resolved: whether the document has succeeded since.
    """

    id: str
    kind: str
    status: int | None
    attempts: int
    range_id: str
    last_at: datetime | None
    resolved: bool = False


@dataclass(frozen=True, slots=True)
class Letters:
    """The dead letters of a run.

    Attributes:
        by_kind: how many, by class; None if they could not be counted in time.
        first: the first of them by `_id`.
        problem: why they are not known, for people.
    """

    by_kind: Mapping[str, int] | None = None
    resolved: int = 0
    first: tuple[Letter, ...] = ()
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class TopEntities:
    """The most frequent entities of what a run wrote.

    Attributes:
        top: label, surface form and count; the most frequent first.
        documents: that were counted, the latest first.
        written: that there are to count.
        problem: why no more were counted, for people.
    """

    top: tuple[tuple[str, str, int], ...] = ()
    documents: int = 0
    written: int = 0
    problem: str | None = None

    @property
    def sampled(self) -> bool:
        """Whether some were left out."""
        return self.documents < self.written


@dataclass(frozen=True, slots=True)
class Findings:
    """A run and all that is known of it.

    Attributes:
        timelines: of its ranges, by range id.
        entities: None where a setting keeps them out.
        made_at: when this was looked up.
    """

    report: Report
    plan: Plan
    made_at: datetime
    timelines: Mapping[str, Timeline] = field(default_factory=dict)
    letters: Letters = field(default_factory=Letters)
    entities: TopEntities | None = None
