"""The sections of the HTML report about retries, dead letters and entities. Pure."""

from __future__ import annotations

from engine.report import RunReport
from engine.reporting import tables
from engine.reporting.charts import bar
from engine.reporting.markup import Html, tag, untrusted
from engine.reporting.report_data import ReportData
from engine.reporting.sections import section
from engine.wording import plural, share


def retries(report: RunReport) -> Html:
    """Renders the numbers of retries, by the class of the failure before them."""
    transient = report.retries - report.throttled - report.refused
    rows = (
        ("Throttled", "the service asked to wait", report.throttled),
        ("Transient", "connection, timeout or server error", transient),
        ("Refused", "permanent failure, explained by an outage", report.refused),
    )
    most = max(*(count for *_, count in rows), 1)
    items = (_meter(name, why, count, count / most) for name, why, count in rows)
    part = share(report.retries, report.requests)
    said = f"{report.retries:,} of {plural(report.requests, 'request')} were retries ({part})."
    return section("Retries by class", tag("p", said), tag("ul", *items, class_="meters"))


def _meter(name: str, why: str, count: int, part: float) -> Html:
    words = tag("span", tag("b", name), tag("small", f" {why}"))
    return tag("li", words, tag("span", f"{count:,}", class_="count"), bar(part))


def entities(data: ReportData) -> Html | None:
    """Renders the most frequent entities, and of how many documents; None if a setting leaves them out."""
    top = data.entities
    if top is None:
        return None
    problem = tag("p", untrusted(top.problem, 300), class_="note") if top.problem else None
    if not top.top:
        said = "No entities were found." if top.documents else "This run wrote no extractions to the target."
        return section("Top entities", tag("p", said, class_="none"), problem)
    of = (
        f"A sample: the {top.documents:,} documents written last, of {top.written:,}."
        if top.sampled
        else f"In all {plural(top.documents, 'document')} that this run wrote."
    )
    return section("Top entities", tag("p", of), problem, tables.entities(top))


def letters(data: ReportData) -> Html:
    """Renders the number of dead letters by class, and a table of the first."""
    known = data.letters
    counted = sum((known.by_kind or {}).values())
    if not (counted or known.first or known.problem or data.report.dead_lettered):
        return section("Dead letters", tag("p", "None.", class_="none"))
    kinds = sorted((known.by_kind or {}).items(), key=lambda item: -item[1])
    each = (tag("li", tag("b", f"{count:,}"), " ", untrusted(kind, 30)) for kind, count in kinds)
    said = [f"{plural(data.report.dead_lettered, 'document')} failed for good in this run."]
    if known.resolved:
        said.append(f"{known.resolved:,} of them have succeeded since.")
    if counted > len(known.first) > 0:
        said.append(f"The first {len(known.first):,} of {counted:,}, by _id:")
    problem = tag("p", untrusted(known.problem, 300), class_="note") if known.problem else None
    chips = tag("ul", *each, class_="chips") if kinds else None
    listed = tables.letters(known.first) if known.first else None
    return section("Dead letters", tag("p", " ".join(said)), chips, problem, listed)
