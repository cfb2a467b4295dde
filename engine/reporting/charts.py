"""Renders charts as SVG without a script: the shapes are stretched to the page, the labels are not. Pure.

The shapes of a chart are drawn on a plane of `WIDE` by `HIGH`, which the browser stretches. So strokes keep
their width by `vector-effect`, and labels are HTML beside the SVG, with positions in percent.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from engine.reporting.markup import Child, Html, tag
from engine.wording import DAY_S, HOUR_S, MINUTE_S, duration, number

WIDE, HIGH = 1000.0, 200.0

NICE_S = (
    *(0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30),
    *(n * MINUTE_S for n in (1, 2, 5, 10, 15, 30)),
    *(n * HOUR_S for n in (1, 2, 3, 6, 12)),
    *(n * DAY_S for n in (1, 2, 7, 14, 28)),
)
"""Possible steps between the labels of a time axis."""


def ticks(most: float, about: int = 4) -> list[float]:
    """Returns round values from 0 to at least `most`, in steps of 1, 2 or 5 times a power of ten."""
    if most <= 0:
        return [0.0, 1.0]
    rough = most / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(n * power for n in (1, 2, 5, 10) if n * power >= rough * (1 - 1e-9))
    return [step * n for n in range(math.ceil(most / step - 1e-9) + 1)]


def time_ticks(span_s: float, about: int = 5) -> list[float]:
    """Returns round numbers of seconds from 0 to `span_s`."""
    step = next((nice for nice in NICE_S if nice >= span_s / about), span_s)
    return [step * n for n in range(int(span_s / step + 1e-9) + 1)] if step else [0.0]


def axis_time(seconds: float) -> str:
    """Formats seconds for an axis, where `60 s` is `1 min`."""
    return "1 min" if seconds == MINUTE_S else duration(seconds)


def steps_path(values: Sequence[float], most: float, *, filled: bool) -> str:
    """Returns the path of a line with one step for each value, from the left to the right of the plane."""
    width = WIDE / len(values)
    heights = [HIGH - HIGH * min(value, most) / most for value in values]
    line = "".join(f"V{height:.1f}H{(at + 1) * width:.1f}" for at, height in enumerate(heights))
    if filled:
        return f"M0 {HIGH:.0f}{line}V{HIGH:.0f}Z"
    return f"M0 {heights[0]:.1f}{line}"


def over_time(
    title: str, note: str, span_s: float, areas: Sequence[float], line: Sequence[float] | None = None
) -> Html:
    """Renders a chart over time, with one series as an area and another as a dashed line.

    Args:
        note: the chart in words, for those who cannot see it.
        areas: values in equal steps of time.
        line: values in the same steps.
    """
    marks = ticks(max(*areas, *(line or ()), 0.0))
    shapes: list[Child] = [_grid(marks)]
    shapes.append(tag("path", d=steps_path(areas, marks[-1], filled=True), class_="area"))
    shapes.append(tag("path", d=steps_path(areas, marks[-1], filled=False), class_="edge"))
    if line:
        shapes.append(tag("path", d=steps_path(line, marks[-1], filled=False), class_="limit"))
    return tag(
        "figure",
        tag("figcaption", tag("strong", title), " ", tag("span", note)),
        _plot(shapes, f"{title}: {note}", [(mark / marks[-1], number(mark)) for mark in marks], span_s),
        class_="chart",
    )


def _grid(marks: Sequence[float]) -> list[Html]:
    return [_level(HIGH - HIGH * mark / marks[-1]) for mark in marks]


def _level(height: float) -> Html:
    return tag("line", x1=0, x2=WIDE, y1=height, y2=height, class_="grid")


def _plot(shapes: Child, label: str, levels: Iterable[tuple[float, str]], span_s: float) -> Html:
    times = [(at / span_s if span_s else 0.0, axis_time(at)) for at in time_ticks(span_s)]
    return tag(
        "div",
        tag("div", *(placed("bottom", at, text) for at, text in levels), class_="levels", aria_hidden="true"),
        plane(shapes, label),
        tag("div", *(placed("left", at, text) for at, text in times), class_="along", aria_hidden="true"),
        class_="plot",
    )


def plane(shapes: Child, label: str, high: float = HIGH) -> Html:
    """Renders an SVG image that is stretched to the space it has."""
    box = f"0 0 {WIDE:.0f} {high:.0f}"
    return tag("svg", shapes, viewBox=box, preserveAspectRatio="none", role="img", aria_label=label)


def placed(side: str, part: float, text: str) -> Html:
    """Renders a label at the given fraction of the distance from a side."""
    return tag("span", text, style=f"{side}:{100 * part:.2f}%")


def bar(part: float) -> Html:
    """Renders a bar of the given fraction, hidden from screen readers, because the number is beside it."""
    return _strip("bar", [tag("rect", width=max(0.0, min(1.0, part)) * 100, height=1)])


def stacked(parts: Sequence[tuple[str, float]]) -> Html:
    """Renders one bar of several parts, each with its class, hidden from screen readers."""
    whole = sum(size for _, size in parts) or 1.0
    shapes: list[Child] = []
    left = 0.0
    for name, size in parts:
        shapes.append(tag("rect", x=100 * left / whole, width=100 * size / whole, height=1, class_=name))
        left += size
    return _strip("stacked", shapes)


def _strip(class_: str, shapes: Child) -> Html:
    box = {"viewBox": "0 0 100 1", "preserveAspectRatio": "none"}
    return tag("svg", shapes, class_=class_, aria_hidden="true", **box)


# --- columns, a pair for each range ---

FEWEST_PLACES = 16
"""Columns are at most as wide as if there were this many."""

GAP = 12.0
"""Height of the strip between rising and hanging columns, which shows the states."""

HIGHEST = 2 * HIGH + GAP


class Pair(NamedTuple):
    """A rising and a hanging column, with the mark of a state between them.

    Attributes:
        name: label on the axis, shown for some pairs.
        title: text shown under the pointer.
        state: CSS class of the pair.
        rises: seconds, the height of the rising column.
        hangs: a number, the length of the hanging column.
    """

    name: str
    title: str
    state: str
    rises: float
    hangs: float


def columns(pairs: Sequence[Pair], label: str) -> Html:
    """Renders pairs of columns side by side.

    Args:
        label: the chart in words, for those who cannot see it.
    """
    rise = max(pair.rises for pair in pairs) or 1.0
    hang = max(pair.hangs for pair in pairs) or 1.0
    place = WIDE / max(len(pairs), FEWEST_PLACES)
    shapes = [
        _columns(pair, at * place, place, pair.rises / rise, pair.hangs / hang)
        for at, pair in enumerate(pairs)
    ]
    levels = _levels(rise, hang)
    lines = [_level(HIGHEST * (1 - part)) for part, _ in levels]
    return tag(
        "div",
        tag("div", *(placed("bottom", *level) for level in levels), class_="levels", aria_hidden="true"),
        plane([*lines, *shapes], label, high=HIGHEST),
        tag("div", *_some([pair.name for pair in pairs]), class_="along", aria_hidden="true"),
        class_="plot columns",
    )


def _levels(rise: float, hang: float) -> list[tuple[float, str]]:
    """Returns the axis labels with their heights as fractions from the bottom."""
    above = [(HIGH + GAP + HIGH * at / rise, axis_time(at)) for at in ticks(rise)[1:] if at <= rise]
    below = [(HIGH - HIGH * at / hang, number(at)) for at in ticks(hang)[1:] if at <= hang]
    return [(height / HIGHEST, text) for height, text in (*above, *below)]


def _some(names: Sequence[str], most: int = 8) -> Iterable[Html]:
    places, every = max(len(names), FEWEST_PLACES), max(1, math.ceil(len(names) / most))
    for at in range(0, len(names), every):
        yield placed("left", (at + 0.5) / places, names[at][:12])


def _columns(pair: Pair, left: float, place: float, rise: float, hang: float) -> Html:
    x, width = left + place * 0.1, place * 0.8
    up, down = max(rise * HIGH, 1.0), max(hang * HIGH, 1.0)
    mark = GAP / 2 if pair.state == "succeeded" else GAP
    return tag(
        "g",
        tag("title", pair.title),
        tag("rect", x=left, width=place, height=HIGHEST, class_="whole"),
        tag("rect", x=x, y=HIGH - up, width=width, height=up, class_="rise"),
        tag("rect", x=x, y=(HIGHEST - mark) / 2, width=width, height=mark, class_="state"),
        tag("rect", x=x, y=HIGH + GAP, width=width, height=down, class_="hang"),
        class_=pair.state,
    )
