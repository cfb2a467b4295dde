"""docs/observability.md names every event and every metric, and no others."""

from __future__ import annotations

import ast
import re

from engine.model import Counts
from engine.observing.metrics import METER
from tests.support.places import ROOT

DOCUMENT = (ROOT / "docs" / "observability.md").read_text()
BY_STATUS = {"range_interrupted", "range_failed"}
"""Named after a status, where the code says `range_{status}`."""
BY_PARAMETER = {"planned", "plan_found", "run_concluded", "range_begun", "range_resumed", "limit_changed"}


def rows(name):
    """The cells of a table in the document, without its head."""
    (table,) = re.findall(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", DOCUMENT, re.DOTALL)
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def emitted(tree):
    """The names of events that a module emits as literals."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            name = node.args[0]
            if node.func.attr in ("info", "warning") and isinstance(name, ast.Constant):
                yield name.value


def test_every_event_is_listed():
    """Events are named where the code emits them, or in a constant elsewhere."""
    sources = [path.read_text() for path in (ROOT / "engine").rglob("*.py")]
    found = {name for source in sources for name in emitted(ast.parse(source))}
    assert all(any(f'"{name}"' in source for source in sources) for name in BY_PARAMETER)
    assert {row[0].strip("`") for row in rows("events")} == found | BY_STATUS | BY_PARAMETER


def test_every_metric_is_listed_as_it_is(measured):
    """Its name, kind, unit and description are those in the SDK."""
    recorded = measured.instruments
    with recorded.request(["text"]), recorded.write():
        recorded.page(1, 1, 0.1)
    recorded.committed(Counts(1, 1))
    recorded.command_repeated("AutoReconnect")
    kinds = {True: "counter", False: "up-down counter"}
    listed = {
        f"`{METER}.{name}`": [
            kinds[metric.data.is_monotonic] if hasattr(metric.data, "is_monotonic") else "histogram",
            f"`{metric.unit}`",
            metric.description,
        ]
        for name, metric in measured.metrics().items()
    }
    assert {row[0]: row[1:] for row in rows("metrics")} == listed
