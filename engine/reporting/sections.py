"""The sections of the HTML report about the run, its course and its ranges. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from statistics import median

from engine.model import Status
from engine.observing.timeline import course_of
from engine.report import RangeReport, RunReport
from engine.reporting import tables
from engine.reporting.charts import Pair, columns, over_time, stacked
from engine.reporting.markup import Child, Html, tag, untrusted
from engine.reporting.report_data import ReportData
from engine.verdict import explanation_of, verdict_of
from engine.wording import duration, moment, number, plural, share

MOST_PROBLEMS = 12
SLOWEST = 10
ICONS = {
    "good": "M5 13l4.5 4.5L19 7",
    "fair": "M12 6v8M12 17.5v1",
    "bad": "M7 7l10 10M17 7L7 17",
    "open": "M7 12h1M12 12h1M17 12h1",
}


def section(title: str, *children: Child, class_: str | None = None) -> Html:
    """Renders a section with a heading."""
    return tag("section", tag("h2", title), *children, class_=class_)


# --- outcome ---


def head(data: ReportData) -> Html:
    """Renders the name of the collection, the window and the run."""
    plan, run = data.plan, tag("code", untrusted(data.report.run_id))
    return tag(
        "header",
        tag("p", "Run report", class_="eyebrow"),
        tag("h1", untrusted(plan.namespace)),
        tag("p", _window(plan.parameters), " · run ", run, class_="window"),
    )


def _window(parameters: Mapping[str, str]) -> Html:
    start, end = parameters.get("start", "None"), parameters.get("end", "None")
    first = "the first document" if start == "None" else start
    last = "the last one at planning" if end == "None" else end
    return untrusted(f"{first} to {last}")


def verdict(report: RunReport) -> Html:
    """Renders whether the run reconciles, with its problems and differences."""
    found = verdict_of(report)
    icon = tag("svg", tag("path", d=ICONS[found.kind]), viewBox="0 0 24 24", aria_hidden="true")
    more = len(report.problems) - MOST_PROBLEMS
    notes = [*report.problems[:MOST_PROBLEMS], *([f"and {more:,} more"] if more > 0 else [])]
    why = tag("ul", *(tag("li", untrusted(note, 600)) for note in notes)) if notes else None
    differences = [tag("li", untrusted(difference)) for difference in report.differences]
    since = (
        [tag("p", "Changes since planning, which are no failure:"), tag("ul", *differences)]
        if differences
        else []
    )
    words = tag("div", tag("h2", found.title), tag("p", explanation_of(report)), why, *since)
    return tag("section", icon, words, class_=f"verdict {found.kind}")


def sums(report: RunReport) -> Html:
    """Renders the equation `read = written + unchanged + dead-lettered`, which must hold, as a bar too."""
    parts = (
        ("Written", "written", report.written),
        ("Unchanged", "unchanged", report.unchanged),
        ("Dead-lettered", "dead", report.dead_lettered),
    )
    lost = report.read - sum(count for *_, count in parts)
    terms: list[Child] = [_term("Read", "read", report.read, "")]
    for at, (name, class_, count) in enumerate(parts):
        terms.append(_term(name, class_, count, "+" if at else "=" if not lost else "≠"))
    note = tag("p", f"{lost:,} documents are unaccounted for.", class_="bad") if lost else None
    shapes = stacked([(class_, count) for _, class_, count in parts])
    return tag("section", tag("dl", *terms, class_="sum"), shapes, note, class_="sums", aria_label="Totals")


def _term(name: str, class_: str, count: int, sign: str) -> Html:
    signed = tag("dt", tag("span", sign, class_="sign") if sign else None, tag("span", name))
    return tag("div", signed, tag("dd", f"{count:,}"), class_=class_)


def figures(data: ReportData) -> Html:
    """Renders the run's duration, rate, requests and ranges."""
    report = data.report
    seconds = report.duration_s
    rate = report.read / seconds if seconds else None
    succeeded = sum(r.status is Status.SUCCEEDED for r in report.ranges)
    pairs: list[tuple[str, Child]] = [
        ("Duration", duration(seconds)),
        ("Documents a second", number(rate)),
        ("Ranges succeeded", f"{succeeded:,} of {report.planned_ranges or len(report.ranges):,}"),
        ("Requests", f"{report.requests:,}"),
        ("Retries", share(report.retries, report.requests)),
        ("Work of all ranges", duration(report.active_s)),
    ]
    return tables.facts(pairs, "figures")


# --- course ---


def course(data: ReportData) -> Html:
    """Renders charts of throughput and of requests in flight over time."""
    steps = course_of(data.timelines.values())
    if steps is None:
        return section("Over time", tag("p", "The run was too short for samples.", class_="none"))
    span_s = steps.step_s * len(steps.limit)
    rates, flights = steps.documents_per_s, steps.in_flight
    rate_note, flight_note = _mean_and_most(rates), f"{_mean_and_most(flights)}; dashed: the limit"
    started = moment(steps.start)
    ended = moment(steps.start + timedelta(seconds=span_s))
    charts = (
        over_time("Documents a second", rate_note, span_s, rates),
        over_time("Requests in flight", flight_note, span_s, flights, steps.limit),
    )
    note = tag("p", f"From {started} to {ended}, in steps of {duration(steps.step_s)}.", class_="note")
    return section("Over time", tag("div", *charts, class_="pair"), note)


def _mean_and_most(values: Sequence[float]) -> str:
    return f"{number(sum(values) / len(values))} on average, {number(max(values))} at most"


def _in_order(data: ReportData) -> list[tuple[str, RangeReport | None]]:
    """Returns every planned range with its report, if there is one."""
    by_id = {r.range_id: r for r in data.report.ranges}
    return [(r.range_id, by_id.get(r.range_id)) for r in data.plan.ranges]


def labels_of(data: ReportData) -> dict[str, str]:
    """Returns the keys of each range as text, by range id."""
    return {r.range_id: r.label.rpartition(" · ")[0] or r.label for r in data.plan.ranges}


def ranges(data: ReportData) -> Html | None:
    """Renders each range's duration and documents as columns, and lists those that did not succeed."""
    ordered = _in_order(data)
    if not ordered:
        return None
    labels = labels_of(data)
    pairs = [_pair(range_id, r, labels.get(range_id, "")) for range_id, r in ordered]
    note = _least_to_most([pair.rises for pair in pairs], [pair.hangs for pair in pairs])
    caption = tag("figcaption", tag("strong", plural(len(pairs), "range")), " ", tag("span", note))
    plot = columns(pairs, f"Ranges: {note}")
    return section("Ranges", tag("figure", caption, plot, class_="chart"), _not_succeeded(ordered))


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
    title = (
        f"{range_id} · {label}\n{r.status}: {plural(r.read, 'document')} in {duration(r.active_s)}"
        f"{f', {r.dead_lettered:,} dead-lettered' if r.dead_lettered else ''}"
    )
    return Pair(range_id, title, r.status.value, r.active_s, float(r.read))


def _not_succeeded(ordered: Sequence[tuple[str, RangeReport | None]]) -> Html | None:
    others = [(range_id, r) for range_id, r in ordered if r is None or r.status is not Status.SUCCEEDED]
    if not others:
        return None
    listed: list[Child] = []
    for range_id, r in others[:MOST_PROBLEMS]:
        status = tables.state("missing" if r is None else r.status.value)
        listed.append(tag("li", tag("code", untrusted(range_id, 30)), " ", status))
    if len(others) > MOST_PROBLEMS:
        listed.append(tag("li", f"and {len(others) - MOST_PROBLEMS:,} more"))
    return tag("ul", *listed, class_="others", aria_label="Ranges that did not succeed")


def slowest(data: ReportData) -> Html | None:
    """Renders a table of the slowest ranges; None if the run has no more than these."""
    reports = sorted(data.report.ranges, key=lambda r: r.active_s, reverse=True)[:SLOWEST]
    if len(data.report.ranges) <= SLOWEST:
        return None
    caption = f"The {len(reports)} slowest ranges"
    return section("Slowest ranges", tables.ranges(caption, reports, labels_of(data)))


def all_ranges(data: ReportData) -> Html | None:
    """Renders a table of all ranges that have reported."""
    reports = data.report.ranges
    if not reports:
        return None
    table = tables.ranges("All ranges, in the order of their keys", reports, labels_of(data), "long")
    return section("All ranges", table)


# --- provenance ---


def provenance(data: ReportData) -> Html:
    """Renders the parameters of the run, with which it can be repeated."""
    report, plan = data.report, data.plan
    pairs: list[tuple[str, Child]] = [
        ("Run", tag("code", untrusted(report.run_id, 300))),
        ("Started", moment(report.started_at)),
        ("Ended", moment(report.finished_at)),
        ("Attempts of a range", f"{report.attempts:,} at most"),
        ("Digest of the _ids read", tag("code", report.digest)),
    ]
    names = (("Order", "order"), ("Text", "text_field"), ("Filter", "filter"), ("Extractor", "extractor"))
    pairs += [(name, untrusted(plan.parameters.get(key, ""), 300)) for name, key in names]
    planned = f"{moment(plan.planned_at)}, {plan.strategy} plan"
    pairs += [("Planned", planned), ("Guarantee", plan.guarantee)]
    outside = ", ".join(f"{count:,} {kind}" for kind, count in report.outside.items())
    pairs.append(("Outside every window of this type", untrusted(outside or "none", 300)))
    return section("How it was run", tables.facts(pairs, "facts"))
