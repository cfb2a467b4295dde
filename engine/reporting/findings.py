"""Computes what the templates of the HTML report show of a run, its course and its ranges. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from statistics import median
from typing import NamedTuple

from engine.model import Status
from engine.observing.timeline import course_of
from engine.report import RangeReport, RunReport
from engine.reporting.charts import Columns, OverTime, Pair, columns, over_time
from engine.reporting.report_data import ReportData
from engine.wording import count, duration, number, plural

SLOWEST = 10


class CourseOfRun(NamedTuple):
    """The charts over time, and the time that they show."""

    charts: tuple[OverTime, ...]
    started: datetime
    ended: datetime
    step_s: float


def course(data: ReportData) -> CourseOfRun | None:
    """Returns charts of throughput and of requests in flight; None if the run was too short for samples."""
    steps = course_of(data.timelines.values())
    if steps is None:
        return None
    span_s = steps.step_s * len(steps.limit)
    rates, flights = steps.documents_per_s, steps.in_flight
    flight_note = f"{_mean_and_most(flights)}; dashed: the limit"
    charts = (
        over_time("Documents a second", _mean_and_most(rates), span_s, rates),
        over_time("Requests in flight", flight_note, span_s, flights, steps.limit),
    )
    return CourseOfRun(charts, steps.start, steps.start + timedelta(seconds=span_s), steps.step_s)


def _mean_and_most(values: Sequence[float]) -> str:
    return f"{number(sum(values) / len(values))} on average, {number(max(values))} at most"


def labels_of(data: ReportData) -> dict[str, str]:
    """Returns the keys of each range as text, by range id."""
    return {r.range_id: r.label.rpartition(" · ")[0] or r.label for r in data.plan.ranges}


def _in_order(data: ReportData) -> list[tuple[str, RangeReport | None]]:
    """Returns every planned range with its report, if there is one."""
    by_id = {r.range_id: r for r in data.report.ranges}
    return [(r.range_id, by_id.get(r.range_id)) for r in data.plan.ranges]


def range_columns(data: ReportData) -> Columns | None:
    """Returns each range's duration and documents as columns; None without ranges."""
    labels = labels_of(data)
    pairs = [_pair(range_id, r, labels.get(range_id, "")) for range_id, r in _in_order(data)]
    if not pairs:
        return None
    return columns(pairs, _least_to_most([pair.rises for pair in pairs], [pair.hangs for pair in pairs]))


def _least_to_most(times_s: Sequence[float], sizes: Sequence[float]) -> str:
    if len(sizes) == 1:
        return f"above: {duration(times_s[0])} at work; below: {plural(int(sizes[0]), 'document')}"
    middle = f", {duration(median(times_s))} in the median"
    return (
        f"above: {duration(min(times_s))} to {duration(max(times_s))} at work{middle}; "
        f"below: {number(min(sizes))} to {number(max(sizes))} documents"
    )


def _pair(range_id: str, r: RangeReport | None, label: str) -> Pair:
    if r is None:
        return Pair(range_id, f"{range_id} · {label}: did not report", "missing", 0.0, 0.0)
    title = f"{range_id} · {label}: {r.status}, {plural(r.read, 'document')} in {duration(r.active_s)}"
    dead = f", {count(r.dead_lettered)} dead-lettered" if r.dead_lettered else ""
    return Pair(range_id, title + dead, r.status.value, r.active_s, float(r.read))


def not_succeeded(data: ReportData) -> list[tuple[str, str]]:
    """Returns the ids and states of the ranges that did not succeed."""
    states = [(range_id, "missing" if r is None else r.status.value) for range_id, r in _in_order(data)]
    return [(range_id, state) for range_id, state in states if state != Status.SUCCEEDED]


def slowest(data: ReportData) -> list[RangeReport]:
    """Returns the slowest ranges; none if the run has no more than these."""
    ranges = data.report.ranges
    return sorted(ranges, key=lambda r: r.active_s, reverse=True)[:SLOWEST] if len(ranges) > SLOWEST else []


def retries_by_class(report: RunReport) -> tuple[tuple[str, str, int], ...]:
    """Returns the numbers of retries by the class of the failure before them, with an explanation of each."""
    transient = report.retries - report.throttled - report.refused
    return (
        ("Throttled", "the service asked to wait", report.throttled),
        ("Transient", "connection, timeout or server error", transient),
        ("Refused", "permanent failure, explained by an outage", report.refused),
    )
