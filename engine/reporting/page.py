"""Renders the HTML report: its sections in order, in one self-contained page."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from engine.reporting import failures, sections
from engine.reporting.markup import Html, tag
from engine.reporting.report_data import ReportData
from engine.verdict import verdict_of
from engine.wording import moment

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""The page may load and run nothing, whatever a text in it contains."""


def render(data: ReportData) -> str:
    """Returns the HTML report of a run, to be written in UTF-8.

    It contains counts, times, ids and classes. It contains entities, which are parts of texts, only if the
    data has them. It never contains a whole text or an answer of the service.
    """
    verdict = verdict_of(data.report)
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", f"{data.plan.namespace}: {verdict.title}"),
        tag("style", _style()),
    )
    whole = tag("html", head, tag("body", _main(data), _foot(data)), lang="en")
    return f"<!doctype html>\n{whole}\n"


@cache
def _style() -> Html:
    return Html(files("engine.reporting").joinpath("style.css").read_text(encoding="utf-8"))


def _main(data: ReportData) -> Html:
    report = data.report
    return tag(
        "main",
        sections.head(data),
        sections.verdict(report),
        sections.sums(report),
        sections.figures(data),
        sections.course(data),
        sections.ranges(data),
        sections.slowest(data),
        tag("div", failures.retries(report), failures.entities(data), class_="pair"),
        failures.letters(data),
        sections.all_ranges(data),
        sections.provenance(data),
    )


def _foot(data: ReportData) -> Html:
    texts = "" if data.entities is None else " except for the entities listed"
    return tag("footer", tag("p", f"Made {moment(data.made_at)}. Contains no part of any text{texts}."))
