"""Renders the HTML report: one self-contained page, from the templates beside this module."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from engine import wording
from engine.reporting import findings
from engine.reporting.escaping import finalized, untrusted
from engine.reporting.report_data import ReportData
from engine.verdict import explanation_of, verdict_of

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""The page may load and run nothing, whatever a text in it contains."""

MOST_PROBLEMS = 12


def render(data: ReportData) -> str:
    """Returns the HTML report of a run, to be written in UTF-8.

    It contains counts, times, ids and classes. It contains entities, which are parts of texts, only if the
    data has them. It never contains a whole text or an answer of the service.
    """
    return _template().render(
        data=data,
        report=data.report,
        plan=data.plan,
        policy=POLICY,
        style=_style(),
        verdict=verdict_of(data.report),
        explanation=explanation_of(data.report),
        most_problems=MOST_PROBLEMS,
        labels=findings.labels_of(data),
        others=findings.not_succeeded(data),
        course=findings.course(data),
        columns=findings.range_columns(data),
        slowest=findings.slowest(data),
        retries=findings.retries_by_class(data.report),
        reasons=wording.reasons_of(data.report.dead_letter_reasons),
    )


@cache
def _style() -> Markup:
    return Markup(files("engine.reporting").joinpath("style.css").read_text(encoding="utf-8"))  # noqa: S704


@cache
def _template() -> Template:
    return environment().get_template("page.html")


def environment() -> Environment:
    """Returns the environment of the templates: it escapes every value, and fails if one is missing."""
    made = Environment(
        loader=PackageLoader("engine.reporting", ""),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=finalized,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    words = ("count", "duration", "moment", "number", "plural", "seconds", "share")
    made.filters |= {name: getattr(wording, name) for name in words} | {"untrusted": untrusted}
    return made
