"""Makes the data of a run's HTML report, and parses the page that shows them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

from engine import Key, KeyRange, Plan, RangeReport, Status
from engine.model import QueryForm
from engine.report import merge
from engine.reporting.page import render
from engine.reporting.report_data import ReportData

START = datetime(2026, 1, 1, tzinfo=UTC)


VOID = {"meta", "br"}


class Parsed(HTMLParser):
    """A parsed page. Its elements must be nested as in a tree.

    Attributes:
        tags: how often each element occurs.
        words: all pieces of text, without the style sheet.
        attributes: of all elements, as (element, name, value).
    """

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.words, self.attributes = [], {}, [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, name, attributes):
        """Counts the element; it is open until its end tag, if it has one."""
        self.tags[name] = self.tags.get(name, 0) + 1
        self.attributes += [(name, *pair) for pair in attributes]
        if name not in VOID:
            self.open.append(name)

    def handle_startendtag(self, name, attributes):
        """Counts an element that closes itself, as shapes do."""
        self.handle_starttag(name, attributes)
        self.open.pop()

    def handle_endtag(self, name):
        """Checks that the element opened last ends."""
        assert self.open.pop() == name

    def handle_data(self, data):
        """Keeps the text, except that of the style sheet."""
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self):
        """All text, with single spaces."""
        return re.sub(r"\s+", " ", " ".join(self.words))


def range_of(number, status=Status.SUCCEEDED, read=100, **more):
    """The report of range `number`, which took `2 * number + 1` seconds."""
    counts = {"written": read - 2, "unchanged": 1, "dead_lettered": 1} | more
    began = {"started_at": START, "finished_at": START + timedelta(seconds=2 * number + 1)}
    return RangeReport(
        run_id="run-1",
        status=status,
        range_id=f"{number:04d}",
        expected=100,
        read=read,
        active_s=2.0 * number + 1,
        **began,
        **counts,
    )


def plan_of(count, **changed):
    """A plan of `count` ranges."""
    keys = [Key((START + timedelta(hours=n), n)) for n in range(count + 1)]
    ranges = tuple(KeyRange(keys[n], keys[n + 1], f"{n:04d}", "run-1", 100) for n in range(count))
    parameters = {"start": "2026-01-01", "end": "None", "filter": "{}", "extractor": "ner@1"}
    fields = {"run_id": "run-1", "namespace": "chat.messages", "order": ("created_at", "_id")}
    fields |= {"parameters": parameters, "ranges": ranges, "documents": 100 * count, "outside": {}}
    return Plan(**{**fields, "form": QueryForm.INDEX_BOUNDS, "index": "created_at_1__id_1", **changed})


def report_data_of(*reports, planned=None, allowed=9, **more):
    """The data for the HTML report of a run whose ranges have these reports."""
    plan = plan_of(len(reports) if planned is None else planned)
    ids = [r.range_id for r in plan.ranges]
    report = merge("run-1", ids, reports, expected=plan.documents, max_dead_letters=allowed)
    return ReportData(report, plan, START, **more)


def html_of(*reports, **more):
    """The parsed page about a run whose ranges have these reports."""
    return Parsed(render(report_data_of(*reports, **more)))
