"""The HTML report: its sections in order, in one self-contained file."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from engine.reporting import failures, sections
from engine.reporting.findings import Findings
from engine.reporting.markup import Html, tag
from engine.verdict import verdict_of
from engine.wording import moment

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""It may load and run nothing, whatever might have been slipped into it."""


def render(found: Findings) -> str:
    """The HTML file about a run, to be written in UTF-8.

    It holds counts, times, ids and classes; entities (which are parts of texts) only if they were looked up;
    never a text or what a service answered.
    """
    verdict = verdict_of(found.report)
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", f"{found.plan.namespace}: {verdict.title}"),
        tag("style", _style()),
    )
    whole = tag("html", head, tag("body", _main(found), _foot(found)), lang="en")
    return f"<!doctype html>\n{whole}\n"


@cache
def _style() -> Html:
    return Html(files("engine.reporting").joinpath("style.css").read_text(encoding="utf-8"))


def _main(found: Findings) -> Html:
    report = found.report
    return tag(
        "main",
        sections.head(found),
        sections.verdict(report),
        sections.sums(report),
        sections.figures(found),
        sections.course(found),
        sections.ranges(found),
        sections.slowest(found),
        tag("div", failures.retries(report), failures.entities(found), class_="pair"),
        failures.letters(found),
        sections.all_ranges(found),
        sections.provenance(found),
    )


def _foot(found: Findings) -> Html:
    texts = "" if found.entities is None else ", but for the entities named"
    return tag("footer", tag("p", f"Made {moment(found.made_at)}. Holds no part of any text{texts}."))
