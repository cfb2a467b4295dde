"""Draws the pipeline benchmark: documents per second of each candidate, and the service's work over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.pipeline.tables import LABELS
from benchmarks.stub.stats import SLICE_S

COLORS = {
    "engine": "#0072B2",
    "workers": "#009E73",
    "workers_wide": "#00533C",
    "gather": "#E69F00",
    "threads": "#D55E00",
    "blog": "#CC79A7",
    "beam": "#56B4E9",
    "ray": "#F0E442",
    "bare": "#999999",
}
"""The colours of Okabe and Ito, which colour-blind people can distinguish."""

RATES = ("service", "client", "faulty")
TIMES = ("halved", "outage")
SMOOTHED = 5
"""Slices per point of the curves over time: half a second."""

Row = Mapping[str, Any]


def draw(result: Mapping[str, Any], path: Path) -> None:
    """Draws both rows of panels; the suffix of the path chooses the format."""
    figure = Figure(figsize=(13, 8), layout="constrained")
    above, below = figure.subfigures(2, 1)
    scenarios = {scenario["name"]: scenario for scenario in result["scenarios"]}
    for axes, name in zip(above.subplots(1, len(RATES)), RATES, strict=True):
        _draw_rates(axes, scenarios.get(name), [r for r in result["medians"] if r["scenario"] == name])
    for axes, name in zip(below.subplots(1, len(TIMES)), TIMES, strict=True):
        _draw_times(axes, scenarios.get(name), [r for r in result["rows"] if r["scenario"] == name])
    machine = result["machine"]
    where = f"mongod {machine['mongod']}, {machine['cores']} cores, {machine['cpu']}"
    figure.suptitle(f"From MongoDB through a NER service and back ({where})", fontsize=11)
    # So that the same numbers give the same file.
    with mpl.rc_context({"svg.hashsalt": "pipeline"}):
        figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)


def _draw_rates(axes: Axes, scenario: Row | None, rows: Sequence[Row]) -> None:
    """Draws a bar per candidate, with its best concurrency."""
    axes.set_title(scenario["label"] if rows and scenario else "not measured", fontsize=10)
    best: dict[str, float] = {}
    for row in rows:
        rate = row.get("documents_per_second") or 0
        best[row["candidate"]] = max(rate, best.get(row["candidate"], 0))
    named = [(name, best[name]) for name in reversed(LABELS) if best.get(name)]
    bars = axes.barh(
        [LABELS[n] for n, _ in named], [r for _, r in named], color=[COLORS[n] for n, _ in named]
    )
    axes.bar_label(bars, labels=[f"{rate:,.0f}" for _, rate in named], padding=3, fontsize=8)
    axes.set(xscale="log" if named else "linear", xlabel="documents per second")
    axes.margins(x=0.2)
    _finish(axes)


def _draw_times(axes: Axes, scenario: Row | None, rows: Sequence[Row]) -> None:
    """Draws the texts that the service has answered, over time."""
    axes.set_title(scenario["label"] if scenario else "not measured", fontsize=10)
    for row in rows:
        rates = smoothed(row["slices"], SMOOTHED)
        seconds = [(at + SMOOTHED / 2) * SLICE_S for at in range(len(rates))]
        axes.plot(seconds, rates, color=COLORS[row["candidate"]], label=LABELS[row["candidate"]])
    for at in _change_times(scenario):
        axes.axvline(at, color="#333333", linewidth=0.8, linestyle="dotted")
    axes.set(xlabel="seconds after the first request", ylabel="texts per second")
    axes.set_ylim(bottom=0)
    if rows:
        axes.legend(fontsize=8, loc="lower left")
    _finish(axes)


def smoothed(slices: Sequence[int], width: int) -> list[float]:
    """Returns texts per second, averaged over `width` slices from each slice on."""
    return [sum(slices[at : at + width]) / (width * SLICE_S) for at in range(len(slices) - width + 1)]


def _change_times(scenario: Row | None) -> list[float]:
    """Returns the times at which the service changes."""
    if scenario is None:
        return []
    service = scenario["service"]
    begins, lasts = service["outage"] or (None, 0)
    outage = [] if begins is None else [begins, begins + lasts]
    return [second for second, _ in service["changes"]] + outage


def _finish(axes: Axes) -> None:
    axes.grid(visible=True, which="major", axis="x", color="#DDDDDD")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
