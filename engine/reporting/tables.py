"""Renders tables of a run's ranges, entities and dead letters. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from engine.report import RangeReport
from engine.reporting.charts import bar
from engine.reporting.markup import Child, Html, tag, untrusted
from engine.reporting.report_data import DeadLetterRow, TopEntities
from engine.wording import moment, number, seconds


class Column(NamedTuple):
    """The head of a column, and its class; columns of class `number` are aligned to the right."""

    name: str
    class_: str | None = None


NUMBER = "number"

MARKS = {
    "succeeded": "✓",
    "failed": "✕",
    "interrupted": "‖",
    "running": "▸",
    "pending": "○",
    "missing": "?",
}


def table(caption: str, heads: Sequence[Column], rows: Iterable[Sequence[Child]], class_: str = "") -> Html:
    """Renders a table that scrolls sideways if it is too wide; the first cell of a row is its heading."""
    head = tag("tr", *(tag("th", h.name, scope="col", class_=h.class_) for h in heads))
    body = (tag("tr", *_cells(heads, row)) for row in rows)
    parts = tag("caption", caption), tag("thead", head), tag("tbody", *body)
    inner = tag("table", *parts, class_=class_ or None)
    return tag("div", inner, class_="scroll", role="region", aria_label=caption, tabindex="0")


def _cells(heads: Sequence[Column], row: Sequence[Child]) -> Iterable[Html]:
    for at, (head, cell) in enumerate(zip(heads, row, strict=True)):
        yield tag("td" if at else "th", cell, scope=None if at else "row", class_=head.class_)


def state(name: str) -> Html:
    """Renders a status with a mark, so that it does not depend on colour alone."""
    mark = tag("span", MARKS.get(name, "·"), aria_hidden="true")
    return tag("span", mark, f" {name}", class_=f"status {name}")


RANGES = (
    Column("Range", "id"),
    Column("Keys", "keys"),
    Column("Status"),
    Column("Documents", NUMBER),
    Column("Seconds at work", NUMBER),
    Column("", "bars"),
    Column("Docs/s", NUMBER),
    Column("Dead", NUMBER),
    Column("Retries", NUMBER),
    Column("Attempts", NUMBER),
)


def ranges(caption: str, reports: Sequence[RangeReport], labels: Mapping[str, str], class_: str = "") -> Html:
    """Renders a table with a row for each range.

    Args:
        labels: the keys of each range as text, by range id.
    """
    longest_s = max((r.active_s for r in reports), default=0.0) or 1.0
    return table(caption, RANGES, [_range(r, labels, longest_s) for r in reports], class_)


def _range(r: RangeReport, labels: Mapping[str, str], longest_s: float) -> list[Child]:
    return [
        untrusted(r.range_id, 30),
        untrusted(labels.get(r.range_id, "")),
        [state(r.status.value), *([" ", tag("span", r.reason, class_="reason")] if r.reason else [])],
        f"{r.read:,}",
        seconds(r.active_s),
        bar(r.active_s / longest_s),
        number(r.read / r.active_s) if r.active_s else "",
        f"{r.dead_lettered:,}" if r.dead_lettered else "",
        f"{r.retries:,}" if r.retries else "",
        f"{r.attempts:,}",
    ]


ENTITIES = (Column("Entity", "entity"), Column("Label"), Column("Count", NUMBER), Column("", "bars"))


def entities(found: TopEntities) -> Html:
    """Renders a table with a row for each of the most frequent entities."""
    most = max((count for *_, count in found.top), default=1)
    rows: list[list[Child]] = [
        [
            untrusted(text, 60),
            tag("span", untrusted(label, 30), class_="tag"),
            f"{count:,}",
            bar(count / most),
        ]
        for label, text, count in found.top
    ]
    return table("Most frequent entities", ENTITIES, rows)


LETTERS = (
    Column("_id", "id"),
    Column("Class"),
    Column("HTTP status", NUMBER),
    Column("Attempts", NUMBER),
    Column("Range", "id"),
    Column("Last failed", "time"),
)


def letters(first: Sequence[DeadLetterRow]) -> Html:
    """Renders a table with a row for each dead letter given."""
    return table("Dead letters, by _id", LETTERS, [_letter(letter) for letter in first])


def _letter(letter: DeadLetterRow) -> list[Child]:
    status = "" if letter.status is None else str(letter.status)
    since = [" ", tag("span", "resolved since", class_="reason")] if letter.resolved else []
    return [
        untrusted(letter.id, 60),
        [untrusted(letter.kind, 30), *since],
        status,
        f"{letter.attempts:,}",
        untrusted(letter.range_id, 30),
        moment(letter.last_at),
    ]


def facts(pairs: Iterable[tuple[str, Child]], class_: str) -> Html:
    """Renders names and values as a description list."""
    items = (tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs)
    return tag("dl", *items, class_=class_)
