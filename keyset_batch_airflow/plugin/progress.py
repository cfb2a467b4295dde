"""The progress of a run: numbers computed from its plan, its checkpoints and the current time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from engine.verdict import Kind, Verdict, verdict_of_json
from engine.wording import reasons_of

SILENT_S = 30.0
"""Seconds without a checkpoint after which a running range is called silent.

A range saves a checkpoint about every second while documents are processed. If it does not, its worker is
lost or the service is down, and its rate is left out of the run's rate.
"""

MOST_PROBLEMS = 5
MOST_PROBLEM_CHARS = 300

FINAL_STATES = frozenset({"success", "failed"})
"""The states of a DAG run that has ended."""

STATUSES = ("failed", "interrupted", "running", "succeeded", "pending")
"""The statuses of ranges, ordered by how much attention they need."""

COUNTED = ("read", "written", "unchanged", "dead_lettered", "requests", "retries", "throttled")
"""The counts of a checkpoint, each over all attempts."""


@dataclass(frozen=True, slots=True)
class RangeProgress:
    """The progress of one range.

    Attributes:
        label: its first and last key, for people.
        size: the planned number of documents; None if there is not even an estimate.
        counted: True if `size` was counted, False if it is an estimate.
        counts: how many documents had which outcome, and how many requests were made: the names of `COUNTED`.
        attempts: how often it was started.
        active_s: seconds of work, over all attempts.
        updated_at: time of its last checkpoint.
        silent_s: seconds since its last checkpoint; None if the range is not running.
        problem: why it was interrupted or failed.
        notes: what was noticed that is no failure.
        reasons: how many dead letters have which reason.
    """

    range_id: str
    label: str
    size: int | None
    counted: bool
    status: str
    counts: Mapping[str, int]
    attempts: int = 0
    active_s: float = 0.0
    started_at: datetime | None = None
    updated_at: datetime | None = None
    silent_s: float | None = None
    problem: str | None = None
    notes: tuple[str, ...] = ()
    reasons: Mapping[str, int] = field(default_factory=dict)

    @property
    def read(self) -> int:
        """The number of documents read."""
        return self.counts["read"]

    @property
    def left(self) -> int:
        """Planned documents that are not read yet."""
        return 0 if self.status == "succeeded" else max(0, (self.size or 0) - self.read)

    @property
    def silent(self) -> bool:
        """Whether it has saved no checkpoint for longer than `SILENT_S`."""
        return self.silent_s is not None and self.silent_s > SILENT_S

    @property
    def rate(self) -> float | None:
        """Documents per second of work; None until some are read."""
        return self.read / self.active_s if self.active_s > 0 and self.read else None


class ShownVerdict(NamedTuple):
    """The verdict of a run as the tab shows it.

    Attributes:
        kind: `good`, `fair`, `bad` or `open`, as in `engine.verdict`.
        title: the outcome in a few words.
        text: why.
    """

    kind: Kind
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class RunProgress:
    """The progress of a run.

    Attributes:
        state: of the DAG run: `queued`, `running`, `success` or `failed`.
        report: the engine's report of the run, if there is one. While a cleared run is active again, it is
            the report of its earlier end.
        now: the time of these numbers.
    """

    run_id: str
    state: str
    ranges: Sequence[RangeProgress]
    report: Mapping[str, Any] | None
    now: datetime

    @property
    def ended(self) -> bool:
        """Whether the DAG run has ended."""
        return self.state in FINAL_STATES

    @property
    def totals(self) -> dict[str, int]:
        """The sums of the counts of all ranges."""
        return {name: sum(r.counts[name] for r in self.ranges) for name in COUNTED}

    @property
    def notes(self) -> list[str]:
        """What was noticed in the ranges and is no failure, each sentence once."""
        told = [note for r in self.ranges for note in r.notes] + list((self.report or {}).get("notes", ()))
        return [str(note)[:MOST_PROBLEM_CHARS] for note in dict.fromkeys(told)][:MOST_PROBLEMS]

    @property
    def reasons(self) -> list[str]:
        """How many dead letters of all ranges have which reason, in words."""
        summed: Counter[str] = Counter()
        for r in self.ranges:
            summed.update(r.reasons)
        return reasons_of([{"reason": reason, "count": count} for reason, count in summed.items()])

    @property
    def by_status(self) -> dict[str, int]:
        """How many ranges have each status; statuses without a range are left out."""
        counted = Counter(r.status for r in self.ranges)
        return {status: counted[status] for status in STATUSES if counted[status]}

    @property
    def by_attention(self) -> list[RangeProgress]:
        """The ranges that need attention first; those of one status are in the plan's order."""
        return sorted(self.ranges, key=lambda r: STATUSES.index(r.status))

    @property
    def size(self) -> int:
        """The planned number of documents."""
        return sum(r.size or 0 for r in self.ranges)

    @property
    def counted(self) -> bool:
        """True if all ranges were counted, False if `size` contains estimates."""
        return all(r.counted for r in self.ranges)

    @property
    def left(self) -> int:
        """Planned documents that are not read yet."""
        return sum(r.left for r in self.ranges)

    @property
    def elapsed_s(self) -> float | None:
        """Seconds since the first range started; for an ended run, until the last checkpoint."""
        begun = [r.started_at for r in self.ranges if r.started_at]
        seen = [r.updated_at for r in self.ranges if r.updated_at]
        if not begun or not seen:
            return None
        return ((max(seen) if self.ended else self.now) - min(begun)).total_seconds()

    @property
    def rate(self) -> float | None:
        """Documents per second of the running ranges together; for an ended run, of the whole run."""
        if self.ended:
            return self.totals["read"] / self.elapsed_s if self.elapsed_s else None
        rates = [r.rate for r in self.ranges if r.status == "running" and not r.silent]
        return sum(rate for rate in rates if rate) or None

    @property
    def left_s(self) -> float | None:
        """Seconds until everything is read at the current rate; None if that is not known."""
        sized = all(r.size is not None for r in self.ranges)
        return self.left / self.rate if not self.ended and self.rate and sized else None

    @property
    def verdict(self) -> ShownVerdict:
        """The verdict of the engine's report, once the DAG run has ended, and a sentence that says why."""
        if not self.ended:
            return ShownVerdict("open", Verdict.RUNNING.title, "summarize has not ended")
        if self.report is None:
            return ShownVerdict("bad", "No report", "the run has left none: see the log of summarize")
        verdict = verdict_of_json(self.report)
        problems = [str(problem)[:MOST_PROBLEM_CHARS] for problem in self.report["problems"][:MOST_PROBLEMS]]
        if verdict.succeeded:
            problems = ["read = written + unchanged + dead letters, in every range"]
        if self.state != "success":
            problems.append("the DAG run failed: see the log of the task that failed")
        return ShownVerdict(verdict.kind, verdict.title, "; ".join(problems))

    def to_json(self) -> dict[str, Any]:
        """The numbers as a dict for JSON; times are in ISO-8601."""
        texts = ("notes", "reasons")
        numbers = ("totals", "by_status", "size", "counted", "left", "elapsed_s", "rate", "left_s")
        return {
            "run_id": self.run_id,
            "state": self.state,
            "ended": self.ended,
            "at": self.now.isoformat(),
            **{name: getattr(self, name) for name in (*texts, *numbers)},
            "verdict": self.verdict._asdict(),
            "ranges": [_plain(r) for r in self.ranges],
        }


def _plain(r: RangeProgress) -> dict[str, Any]:
    fields = asdict(r)
    counts = fields.pop("counts")
    times = {name: fields[name] and fields[name].isoformat() for name in ("started_at", "updated_at")}
    return {**fields, **counts, **times, "rate": r.rate, "silent": r.silent}


def progress_of(
    plan: Mapping[str, Any], checkpoints: Iterable[Mapping[str, Any]], state: str, now: datetime
) -> RunProgress:
    """Computes the progress of a run from its documents in MongoDB (see `engine/planning/plan.py`).

    Args:
        plan: its `ranges`, and its `report` if there is one.
        checkpoints: the checkpoints of its ranges, in any order; a range without one has not started.
        state: the state of the DAG run.
        now: the current time.
    """
    begun = {checkpoint["range_id"]: checkpoint for checkpoint in checkpoints}
    ranges = tuple(_range_of(planned, begun.get(planned["range_id"]), now) for planned in plan["ranges"])
    return RunProgress(plan["run_id"], state, ranges, plan.get("report"), now)


def _range_of(
    planned: Mapping[str, Any], checkpoint: Mapping[str, Any] | None, now: datetime
) -> RangeProgress:
    kept = checkpoint or {}
    expected, status = planned["expected"], kept.get("status", "pending")
    updated_at = _aware(kept.get("updated_at"))
    silent = now - updated_at if status == "running" and updated_at is not None else None
    return RangeProgress(
        range_id=planned["range_id"],
        label=planned["label"].partition(" · ")[0],
        size=planned.get("about") if expected is None else expected,
        counted=expected is not None,
        status=status,
        counts={name: kept.get(name, 0) for name in COUNTED},
        attempts=kept.get("attempts", 0),
        active_s=kept.get("active_s", 0.0),
        started_at=_aware(kept.get("started_at")),
        updated_at=updated_at,
        silent_s=None if silent is None else max(0.0, silent.total_seconds()),
        problem=(kept.get("problem") or "")[:MOST_PROBLEM_CHARS] or None,
        notes=tuple(kept.get("notes", ())),
        reasons={each["reason"]: each["count"] for each in kept.get("dead_letter_reasons", ())},
    )


def _aware(moment: datetime | None) -> datetime | None:
    """The moment with its zone: MongoDB's dates are in UTC, and a client may leave the zone out."""
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment
