"""Decides the verdict of a report: whether the work is complete, whether it failed, or what it still needs.

Whatever shows or uses the outcome of a run takes it from here: the command line with its exit status, the
log, the HTML report, the tab *Progress*, the state of Airflow's tasks and the demo. So they cannot disagree
(trap 43, docs/traps.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Literal

from engine.model import Status
from engine.report import Report, RunReport
from engine.wording import plural, share

Kind = Literal["good", "fair", "bad", "open"]


class Verdict(Enum):
    """The five outcomes of a range or a run, each with its title."""

    SUCCEEDED = "Reconciled: nothing was lost"
    FAILED = "Reconciled, but failed"
    NOT_RECONCILED = "Not reconciled"
    INTERRUPTED = "Interrupted: not reconciled yet"
    RUNNING = "Not finished yet"

    @property
    def title(self) -> str:
        """The outcome in a few words."""
        return self.value

    @property
    def kind(self) -> Kind:
        """How good it is: `good`, `fair` (nothing was lost, but it did not succeed), `bad` or `open`."""
        return _KINDS[self]

    @property
    def succeeded(self) -> bool:
        """Whether nothing is left to do. Exit statuses and Airflow's tasks depend on it."""
        return self is Verdict.SUCCEEDED


_KINDS: Mapping[Verdict, Kind] = {
    Verdict.SUCCEEDED: "good",
    Verdict.FAILED: "fair",
    Verdict.NOT_RECONCILED: "bad",
    Verdict.INTERRUPTED: "fair",
    Verdict.RUNNING: "open",
}


def verdict_of(report: Report) -> Verdict:
    """Returns the verdict of a report; the reasons are in `report.problems`."""
    return _decide(report.status, reconciled=report.reconciled)


def verdict_of_json(report: Mapping[str, Any]) -> Verdict:
    """Returns the verdict of a report that `to_json` has made, from its `status` and `reconciled`."""
    return _decide(Status(report["status"]), reconciled=report["reconciled"])


def _decide(status: Status, *, reconciled: bool) -> Verdict:
    if status in {Status.PENDING, Status.RUNNING}:
        return Verdict.RUNNING
    if reconciled:
        return Verdict.SUCCEEDED if status is Status.SUCCEEDED else Verdict.FAILED
    return Verdict.INTERRUPTED if status is Status.INTERRUPTED else Verdict.NOT_RECONCILED


def explanation_of(report: RunReport) -> str:
    """Returns sentences that say what the verdict means for the documents of a run."""
    match verdict_of(report):
        case Verdict.SUCCEEDED:
            return _sums(report)
        case Verdict.FAILED:
            return (
                "Every document read is accounted for: nothing was lost. The run failed for another reason:"
            )
        case Verdict.INTERRUPTED:
            return f"{_so_far(report)} Run it again to resume from its checkpoints. What stopped it:"
        case Verdict.NOT_RECONCILED:
            return f"{_so_far(report)} What is wrong:"
        case Verdict.RUNNING:
            return _so_far(report)


def _so_far(report: RunReport) -> str:
    done = sum(r.status is Status.SUCCEEDED for r in report.ranges)
    ranges = f"{done:,} of {plural(report.planned_ranges or len(report.ranges), 'range')} succeeded"
    if not report.expected:
        return f"{ranges}; {plural(report.read, 'document')} are done."
    return (
        f"{ranges}; {report.read:,} of {report.expected:,} planned documents are done "
        f"({share(report.read, report.expected)})."
    )


def _sums(report: RunReport) -> str:
    if not report.planned_ranges:
        return "The window holds no documents: there was nothing to do."
    counted = "" if report.expected is None else f" {report.expected:,} documents were counted at planning."
    ranges = f"Every planned range reported ({report.planned_ranges:,})"
    return f"{ranges}, and every document read is accounted for.{counted}"
