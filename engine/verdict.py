"""Sums up a report in one sentence for people. Pure."""

from __future__ import annotations

from typing import NamedTuple

from engine.model import Status
from engine.report import Report
from engine.wording import plural, share


class Verdict(NamedTuple):
    """The outcome of a run in words.

    Attributes:
        kind: `good`, `fair` (nothing was lost, but the run did not succeed), `bad` or `open` (not finished).
        title: the outcome in a few words.
        text: what that means for the documents.
    """

    kind: str
    title: str
    text: str


def verdict_of(report: Report) -> Verdict:
    """Returns the verdict of a run's report; the reasons are in `report.problems`."""
    if report.status in {Status.PENDING, Status.RUNNING}:
        return Verdict("open", "Not finished yet", _so_far(report))
    if not report.reconciled:
        return _not_reconciled(report)
    if report.status is not Status.SUCCEEDED:
        return Verdict(
            "fair",
            "Reconciled, but failed",
            "Every document read is accounted for, and nothing was lost. The run failed for another reason:",
        )
    return Verdict("good", "Reconciled: nothing was lost", _sums(report))


def _not_reconciled(report: Report) -> Verdict:
    if report.status is Status.INTERRUPTED:
        text = f"{_so_far(report)} Run it again to resume from its checkpoints. What stopped it:"
        return Verdict("fair", "Interrupted: not reconciled yet", text)
    return Verdict("bad", "Not reconciled", f"{_so_far(report)} What is wrong:")


def _so_far(report: Report) -> str:
    done = sum(r.status is Status.SUCCEEDED for r in report.ranges)
    ranges = f"{done:,} of {plural(report.planned_ranges or len(report.ranges), 'range')} succeeded"
    if not report.expected:
        return f"{ranges}; {plural(report.read, 'document')} are done."
    return (
        f"{ranges}; {report.read:,} of {report.expected:,} planned documents are done "
        f"({share(report.read, report.expected)})."
    )


def _sums(report: Report) -> str:
    if not report.planned_ranges:
        return "The window holds no documents: there was nothing to do."
    counted = "" if report.expected is None else f" {report.expected:,} documents were counted at planning."
    ranges = f"Every planned range reported ({report.planned_ranges:,})"
    return f"{ranges}, and every document read is accounted for.{counted}"
