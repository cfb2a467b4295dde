"""The reports of a range and of a run, and the merge of range reports into a run's, which must reconcile."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any, Self

from engine.model import Counts, Effort, Status
from engine.wording import seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Report(ABC):
    """Counts and durations: the part that the reports of a range and of a run have in common.

    Attributes:
        expected: documents counted at planning, if they were counted.
        read, written, unchanged, dead_lettered: documents by outcome, summed over all attempts.
        requests, retries, throttled, refused: requests to the service (`engine.model.Effort`).
        attempts: attempts at the range (for a run: the largest number among its ranges).
        active_s: seconds of work (for a run: the sum over its ranges).
        problems: sentences that say why it failed or does not reconcile.
        notes: sentences about what was noticed and is no failure, such as a limit of the service (for a run:
            those of its ranges, each once).
        reason: class of the error that ended it early, such as `ServiceDown` (for a run: of the first range
            that has one).
        digest: digest of the `_id`s read, in hexadecimal; equal for the same documents in any order.
        dead_letter_reasons: how many dead letters have which reason, as dicts with `reason` and `count`.
    """

    run_id: str
    status: Status
    expected: int | None = None
    read: int = 0
    written: int = 0
    unchanged: int = 0
    dead_lettered: int = 0
    requests: int = 0
    retries: int = 0
    throttled: int = 0
    refused: int = 0
    attempts: int = 0
    active_s: float = 0.0
    started_at: datetime | None = None
    finished_at: datetime | None = None
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    reason: str | None = None
    digest: str = "0" * 32
    dead_letter_reasons: Sequence[Mapping[str, Any]] = ()

    @property
    def counts(self) -> Counts:
        """The four numbers of documents, which must balance, and the digest."""
        return Counts.from_document({f.name: getattr(self, f.name) for f in fields(self)})

    @property
    def effort(self) -> Effort:
        """The numbers of requests to the service."""
        return Effort(self.requests, self.retries, self.throttled, self.refused)

    @property
    @abstractmethod
    def reconciled(self) -> bool:
        """Whether nothing was lost: the work is complete, and every document read is accounted for."""

    @property
    @abstractmethod
    def drift(self) -> tuple[int, int]:
        """Numbers of documents inserted and deleted since planning, as far as counts show them."""

    @property
    @abstractmethod
    def differences(self) -> tuple[str, ...]:
        """Sentences about documents inserted or deleted since planning; they are no failure."""

    @property
    def duration_s(self) -> float | None:
        """Seconds from start to end, with waiting times; None if it has not started or not ended."""
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()

    def to_json(self) -> dict[str, Any]:
        """Returns a dict for JSON (times in ISO 8601), with `reconciled`, `duration_s` and `differences`.

        The reports of ranges and of runs have the same keys; what only the other has is None or empty.
        """
        plain: dict[str, Any] = {"range_id": None, "outside": {}, "ranges": (), "planned_ranges": None}
        plain |= {f.name: getattr(self, f.name) for f in fields(self)}
        plain["status"] = self.status.value
        plain["started_at"] = self.started_at.isoformat() if self.started_at else None
        plain["finished_at"] = self.finished_at.isoformat() if self.finished_at else None
        plain["outside"], plain["problems"] = dict(plain["outside"]), list(self.problems)
        plain["notes"], plain["dead_letter_reasons"] = list(self.notes), list(self.dead_letter_reasons)
        plain["ranges"] = [r.to_json() for r in plain["ranges"]]
        derived = {"reconciled": self.reconciled, "duration_s": self.duration_s}
        return {**plain, **derived, "differences": list(self.differences)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Returns the report that `to_json` was called on; fields that it lacks get their defaults."""
        kind: Any = RunReport if data.get("range_id") is None else RangeReport
        plain = {f.name: data[f.name] for f in fields(kind) if f.name in data}
        plain["status"] = Status(plain["status"])
        for name in ("started_at", "finished_at"):
            plain[name] = datetime.fromisoformat(plain[name]) if plain[name] else None
        for name in ("problems", "notes", "dead_letter_reasons"):
            plain[name] = tuple(plain.get(name, ()))
        if "ranges" in plain:
            plain["ranges"] = tuple(RangeReport.from_json(r) for r in plain["ranges"])
        report: Self = kind(**plain)
        return report


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeReport(Report):
    """The report of one range over all its attempts; its other attributes are those of `Report`."""

    range_id: str

    @property
    def reconciled(self) -> bool:
        """Whether it succeeded and its counts balance.

        A range succeeds only if a recount finds no document in it that was not read. A dead letter accounts
        for its document.
        """
        return self.status is Status.SUCCEEDED and self.counts.balanced

    @property
    def drift(self) -> tuple[int, int]:
        """Numbers of documents inserted and deleted since planning, as far as counts show them.

        A finished range that read more documents than were counted has gained at least the difference. A
        range that read fewer has lost it, because a recount found no others.
        """
        if self.expected is None or self.status is not Status.SUCCEEDED:
            return 0, 0
        return max(0, self.read - self.expected), max(0, self.expected - self.read)

    @property
    def differences(self) -> tuple[str, ...]:
        """A sentence about documents inserted or deleted since planning, if there is a difference."""
        gained, lost = self.drift
        more = f"range {self.range_id} read {gained:,} more than planned: inserted since"
        fewer = f"range {self.range_id} read {lost:,} fewer than planned: deleted since"
        return (more,) if gained else (fewer,) if lost else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport(Report):
    """The report of a run: sums over its ranges, and their reports.

    Attributes:
        outside: documents whose order field has another type than the window, by type, counted at planning.
        ranges: the reports of the ranges that have reported.
        planned_ranges: number of ranges that the run has planned.
    """

    outside: Mapping[str, int] = field(default_factory=dict)
    ranges: tuple[RangeReport, ...] = ()
    planned_ranges: int | None = None

    @property
    def reconciled(self) -> bool:
        """Whether every planned range has reported and reconciles, and the counts are the sums of theirs.

        A run with dead letters may reconcile.
        """
        summed = sum((r.counts for r in self.ranges), Counts())
        complete = len(self.ranges) == self.planned_ranges and all(r.reconciled for r in self.ranges)
        return complete and self.counts.balanced and self.counts == summed

    @property
    def drift(self) -> tuple[int, int]:
        """The sums of its ranges' numbers of documents inserted and deleted since planning."""
        drifts = [r.drift for r in self.ranges]
        return sum(gained for gained, _ in drifts), sum(lost for _, lost in drifts)

    @property
    def differences(self) -> tuple[str, ...]:
        """The differences of its ranges, and a total if some gained and others lost documents.

        Counts alone cannot distinguish a document that moved to another range from one deleted and one
        inserted.
        """
        each = [difference for r in self.ranges for difference in r.differences]
        more = len(each) - MOST_DIFFERENCES
        rest = [f"and {more:,} ranges more"] if more > 0 else []
        gained, lost = self.drift
        total = f"in all {gained:,} more and {lost:,} fewer: moved, or deleted and inserted"
        return (*each[:MOST_DIFFERENCES], *rest, *([total] if gained and lost else []))


MOST_DIFFERENCES = 10
"""The number of ranges whose differences a run's report names."""


def merge(
    run_id: str,
    planned: Sequence[str],
    reports: Iterable[RangeReport],
    *,
    expected: int | None,
    max_dead_letters: int,
    outside: Mapping[str, int] | None = None,
    problem: str | None = None,
) -> RunReport:
    """Merges the reports of ranges into the report of their run.

    Args:
        planned: the ids of all planned ranges. A range without a report fails the run, because an
            orchestrator may lose a task and still call this.
        max_dead_letters: allowed number of dead letters; with more, the run fails although it may reconcile.
        problem: why the run has failed, whatever its ranges report.
    """
    by_id = {r.range_id: r for r in reports}
    ranges = tuple(by_id[range_id] for range_id in planned if range_id in by_id)
    counts = sum((r.counts for r in ranges), Counts())
    effort = sum((r.effort for r in ranges), Effort())
    problems = (*_problems(planned, ranges, counts, max_dead_letters), *([problem] if problem else []))
    starts = [r.started_at for r in ranges if r.started_at]
    ends = [r.finished_at for r in ranges if r.finished_at]
    return RunReport(
        run_id=run_id,
        status=_status(ranges, problems, stopped=problem is not None),
        expected=expected,
        **counts.to_document(),
        **asdict(effort),
        attempts=max((r.attempts for r in ranges), default=0),
        active_s=sum(r.active_s for r in ranges),
        started_at=min(starts, default=None),
        finished_at=max(ends, default=None),
        outside=dict(outside or {}),
        problems=problems,
        notes=tuple(dict.fromkeys(note for r in ranges for note in r.notes)),
        ranges=ranges,
        planned_ranges=len(planned),
        reason=next((r.reason for r in ranges if r.reason), None),
    )


def _status(ranges: Sequence[RangeReport], problems: Sequence[str], *, stopped: bool) -> Status:
    """Returns the status of a run; one that was stopped may have ranges that will not begin."""
    if not problems:
        return Status.SUCCEEDED
    statuses = {r.status for r in ranges}
    if Status.RUNNING in statuses or (Status.PENDING in statuses and not stopped):
        return Status.RUNNING
    return (
        Status.INTERRUPTED
        if statuses <= {Status.SUCCEEDED, Status.INTERRUPTED} and Status.INTERRUPTED in statuses
        else Status.FAILED
    )


def _problems(
    planned: Sequence[str], ranges: Sequence[RangeReport], counts: Counts, max_dead_letters: int
) -> Iterable[str]:
    for report in ranges:
        if not report.reconciled:
            yield f"range {report.range_id} {_why_not(report)}"
    missing = sorted(set(planned) - {r.range_id for r in ranges})
    if missing:
        yield f"{len(missing)} of {len(planned)} ranges did not report: {', '.join(missing[:10])}"
    if counts.dead_lettered > max_dead_letters:
        yield (
            f"{counts.dead_lettered} documents were dead-lettered, and max_dead_letters allows "
            f"{max_dead_letters}; everything else is done"
        )


def _why_not(report: RangeReport) -> str:
    if report.problems:
        return f"{report.status}: {'; '.join(report.problems)}"
    if report.status is not Status.SUCCEEDED:
        return f"is {report.status}"
    return f"does not add up: {report.counts}"


def rows(report: RunReport) -> list[tuple[str, ...]]:
    """Returns the report as a table, with a row for each range and a last row for the run.

    Columns: range, status, expected, read, written, unchanged, dead letters, retries, seconds.
    """
    return [*(_row(r.range_id, r) for r in report.ranges), _row("run", report)]


def _row(name: str, r: Report) -> tuple[str, ...]:
    numbers = (r.read, r.written, r.unchanged, r.dead_lettered, r.retries)
    expected = "?" if r.expected is None else f"{r.expected:,}"
    return (name, r.status.value, expected, *(f"{n:,}" for n in numbers), seconds(r.active_s))


COLUMNS = ("range", "status", "expected", "read", "written", "unchanged", "dead", "retries", "s")
