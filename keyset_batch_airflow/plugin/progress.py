"""How far a run is: numbers from its plan and its checkpoints. Pure; the moment of looking is given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

SILENT_S = 30.0
"""A running range saves a checkpoint about every second, as long as documents get done. Without one for so
long, its worker is lost, or the service is down: it adds nothing to the rate."""

MOST_PROBLEMS = 5
MOST_PROBLEM_CHARS = 300

FINAL_STATES = frozenset({"success", "failed"})
"""Of a DAG run."""

STATUSES = ("failed", "interrupted", "running", "succeeded", "pending")
"""Of ranges: what needs attention first, what tells nothing last."""

COUNTED = ("read", "written", "unchanged", "dead_lettered", "requests", "retries", "throttled")
"""What a checkpoint counts, over all attempts."""


@dataclass(frozen=True, slots=True)
class RangeProgress:
    """How far a range is.

    Attributes:
        label: which stretch of the order it is.
        size: documents in it, as planned; None if they were not counted at all.
        counted: whether `size` was counted, or is about right.
        counts: what became of its documents, and what it took: the names of `COUNTED`.
        attempts: how often it was begun.
        active_s: seconds of work, over all attempts.
        updated_at: of its last checkpoint.
        silent_s: seconds since then, while it runs.
        problem: why it was interrupted or failed.
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

    @property
    def read(self) -> int:
        """Documents done."""
        return self.counts["read"]

    @property
    def left(self) -> int:
        """Documents to do, as far as they were planned."""
        return 0 if self.status == "succeeded" else max(0, (self.size or 0) - self.read)

    @property
    def silent(self) -> bool:
        """Whether it should have saved a checkpoint long ago."""
        return self.silent_s is not None and self.silent_s > SILENT_S

    @property
    def rate(self) -> float | None:
        """Documents a second of work; None while nothing is known of it."""
        return self.read / self.active_s if self.active_s > 0 and self.read else None


@dataclass(frozen=True, slots=True)
class RunProgress:
    """How far a run is.

    Attributes:
        state: of the DAG run: `queued`, `running`, `success` or `failed`.
        report: the engine's report of the run, if its plan has one: while it runs, one of an earlier time.
        now: when one looked.
    """

    run_id: str
    state: str
    ranges: Sequence[RangeProgress]
    report: Mapping[str, Any] | None
    now: datetime

    @property
    def ended(self) -> bool:
        """Whether the DAG run is over."""
        return self.state in FINAL_STATES

    @property
    def totals(self) -> dict[str, int]:
        """The sums of what is counted."""
        return {name: sum(r.counts[name] for r in self.ranges) for name in COUNTED}

    @property
    def by_status(self) -> dict[str, int]:
        """How many ranges have each status, without those that none has."""
        counted = Counter(r.status for r in self.ranges)
        return {status: counted[status] for status in STATUSES if counted[status]}

    @property
    def by_attention(self) -> list[RangeProgress]:
        """The ranges by status, what needs attention first; among those of one status in the plan's order."""
        return sorted(self.ranges, key=lambda r: STATUSES.index(r.status))

    @property
    def size(self) -> int:
        """Documents planned."""
        return sum(r.size or 0 for r in self.ranges)

    @property
    def counted(self) -> bool:
        """Whether they were counted, or are about so many."""
        return all(r.counted for r in self.ranges)

    @property
    def left(self) -> int:
        """Documents to do."""
        return sum(r.left for r in self.ranges)

    @property
    def elapsed_s(self) -> float | None:
        """Seconds since the first range began, or, once all is over, until the last one's checkpoint."""
        begun = [r.started_at for r in self.ranges if r.started_at]
        seen = [r.updated_at for r in self.ranges if r.updated_at]
        if not begun or not seen:
            return None
        return ((max(seen) if self.ended else self.now) - min(begun)).total_seconds()

    @property
    def rate(self) -> float | None:
        """Documents a second: of the ranges under way together; once all is over, of the whole run."""
        if self.ended:
            return self.totals["read"] / self.elapsed_s if self.elapsed_s else None
        rates = [r.rate for r in self.ranges if r.status == "running" and not r.silent]
        return sum(rate for rate in rates if rate) or None

    @property
    def left_s(self) -> float | None:
        """Seconds until all is read, if it goes on like this; None if that is not known."""
        sized = all(r.size is not None for r in self.ranges)
        return self.left / self.rate if not self.ended and self.rate and sized else None

    @property
    def verdict(self) -> tuple[Literal["open", "good", "bad"], str]:
        """What is known of the run as a whole, for people."""
        if not self.ended:
            return "open", "not known before summarize has ended"
        if self.report is None:
            return "bad", "the run has left no report: see the log of summarize"
        if self.state == "success" and self.report.get("reconciled"):
            return "good", "nothing was lost: read = written + unchanged + dead letters, in every range"
        problems = [str(problem)[:MOST_PROBLEM_CHARS] for problem in self.report.get("problems", ())]
        return "bad", "; ".join(problems[:MOST_PROBLEMS]) or "see the log of the task that failed"

    def to_json(self) -> dict[str, Any]:
        """A plain JSON dict; times in ISO-8601."""
        derived = ("totals", "by_status", "size", "counted", "left", "elapsed_s", "rate", "left_s")
        kind, said = self.verdict
        return {
            "run_id": self.run_id,
            "state": self.state,
            "ended": self.ended,
            "at": self.now.isoformat(),
            **{name: getattr(self, name) for name in derived},
            "verdict": {"kind": kind, "text": said},
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
    """The progress of a run, from what MongoDB keeps of it (see `engine/planning/plan.py`).

    Args:
        plan: its `ranges` and, where there is one, its `report`.
        checkpoints: of its ranges, in any order; a range without one has not begun.
        state: of the DAG run.
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
    running = status == "running" and updated_at is not None
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
        silent_s=max(0.0, (now - updated_at).total_seconds()) if running else None,
        problem=(kept.get("problem") or "")[:MOST_PROBLEM_CHARS] or None,
    )


def _aware(moment: datetime | None) -> datetime | None:
    """MongoDB's dates are in UTC, whether the client says so or not."""
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


# --- for people ---


def duration(seconds: float | None) -> str:
    """`8 s`, `3 min 20 s`, `2 h 05 min`; a dash if it is not known."""
    if seconds is None:
        return "-"
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    if hours:
        return f"{hours:,} h {minutes:02} min"
    return f"{minutes} min {whole % 60:02} s" if minutes else f"{whole} s"


def number(value: float | None) -> str:
    """With commas; a dash if it is not known; one decimal below ten, where it is no whole number."""
    if value is None:
        return "-"
    return f"{value:,.1f}" if 0 < value < 10 and value != int(value) else f"{value:,.0f}"  # noqa: PLR2004
