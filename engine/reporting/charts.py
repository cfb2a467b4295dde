"""Computes the shapes of charts, which `charts.html` draws as SVG without a script. Pure.

The shapes of a chart are drawn on a plane of `WIDE` by `HIGH`, which the browser stretches. So strokes keep
their width by `vector-effect`, and labels are HTML beside the SVG, with positions in percent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

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


class OverTime(NamedTuple):
    """A chart over time.

    Attributes:
        note: the chart in words, for those who cannot see it.
        grid: heights of the lines of the grid.
        area, edge: paths of the series as an area and as its upper edge.
        limit: path of the dashed line.
        levels, times: labels of the axes, with their places as fractions of the axis.
    """

    title: str
    note: str
    grid: list[float]
    area: str
    edge: str
    limit: str | None
    levels: list[tuple[float, str]]
    times: list[tuple[float, str]]


def over_time(
    title: str, note: str, span_s: float, areas: Sequence[float], line: Sequence[float] | None = None
) -> OverTime:
    """Returns a chart over time, with one series as an area and another as a dashed line.

    Args:
        note: the chart in words, for those who cannot see it.
        areas: values in equal steps of time.
        line: values in the same steps.
    """
    marks = ticks(max(*areas, *(line or ()), 0.0))
    most = marks[-1]
    return OverTime(
        title,
        note,
        [HIGH - HIGH * mark / most for mark in marks],
        steps_path(areas, most, filled=True),
        steps_path(areas, most, filled=False),
        steps_path(line, most, filled=False) if line else None,
        [(mark / most, number(mark)) for mark in marks],
        [(at / span_s if span_s else 0.0, axis_time(at)) for at in time_ticks(span_s)],
    )


# --- columns, a pair for each range ---

FEWEST_PLACES = 16
"""Columns are at most as wide as if there were this many."""

MOST_NAMES = 8
"""Columns that have a name on the axis."""

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


class Shape(NamedTuple):
    """The rectangles of a pair: their places, widths and heights on the plane."""

    title: str
    state: str
    left: float
    place: float
    up: float
    down: float
    mark: float


class Columns(NamedTuple):
    """Pairs of columns side by side, with the lines of the grid and the labels of the axes."""

    note: str
    grid: list[float]
    shapes: list[Shape]
    levels: list[tuple[float, str]]
    names: list[tuple[float, str]]
    high: float = HIGHEST
    rise_from: float = HIGH
    hang_from: float = HIGH + GAP


def columns(pairs: Sequence[Pair], note: str) -> Columns:
    """Returns pairs of columns side by side.

    Args:
        note: the chart in words, for those who cannot see it.
    """
    rise = max(pair.rises for pair in pairs) or 1.0
    hang = max(pair.hangs for pair in pairs) or 1.0
    place = WIDE / max(len(pairs), FEWEST_PLACES)
    levels = _levels(rise, hang)
    shapes = [
        _shape(pair, at * place, place, pair.rises / rise, pair.hangs / hang) for at, pair in enumerate(pairs)
    ]
    names = _some([pair.name for pair in pairs])
    return Columns(note, [HIGHEST * (1 - part) for part, _ in levels], shapes, levels, names)


def _levels(rise: float, hang: float) -> list[tuple[float, str]]:
    """Returns the axis labels with their heights as fractions from the bottom."""
    above = [(HIGH + GAP + HIGH * at / rise, axis_time(at)) for at in ticks(rise)[1:] if at <= rise]
    below = [(HIGH - HIGH * at / hang, number(at)) for at in ticks(hang)[1:] if at <= hang]
    return [(height / HIGHEST, text) for height, text in (*above, *below)]


def _some(names: Sequence[str]) -> list[tuple[float, str]]:
    places, every = max(len(names), FEWEST_PLACES), max(1, math.ceil(len(names) / MOST_NAMES))
    return [((at + 0.5) / places, names[at][:12]) for at in range(0, len(names), every)]


def _shape(pair: Pair, left: float, place: float, rise: float, hang: float) -> Shape:
    up, down = max(rise * HIGH, 1.0), max(hang * HIGH, 1.0)
    mark = GAP / 2 if pair.state == "succeeded" else GAP
    return Shape(pair.title, pair.state, left, place, up, down, mark)
