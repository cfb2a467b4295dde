"""Draws the planning benchmark: time against size, and how unequal the ranges are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from benchmarks.planning.splitters import LABELS

STYLES = {
    "exact": ("#0072B2", "D"),
    "counted": ("#009E73", "o"),
    "sample": ("#56B4E9", "s"),
    "bucket_auto": ("#D55E00", "^"),
    "one_field_sample": ("#E69F00", "v"),
    "split_vector": ("#CC79A7", "P"),
    "count_documents": ("#999999", "+"),
    "count_scan": ("#333333", "x"),
}
"""Markers, and the colours of Okabe and Ito, which colour-blind people can distinguish."""

Row = Mapping[str, Any]


def draw(result: Mapping[str, Any], path: Path) -> None:
    """Draws both panels; the suffix of the path chooses the format."""
    rows = [row for row in result["times"] if "refused" not in row]
    figure = Figure(figsize=(11, 4.8), layout="constrained")
    times, skews = figure.subplots(1, 2, width_ratios=(3, 2))
    _draw_times(times, rows)
    _draw_skews(skews, [row for row in rows if "p95" in row])
    machine = result["machine"]
    where = f"mongod {machine['mongod']}, {machine['cores']} cores, {machine['cpu']}"
    figure.suptitle(f"Cutting a MongoDB collection into ranges ({where})", fontsize=11)
    figure.legend(*times.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    # So that the same numbers give the same file.
    with mpl.rc_context({"svg.hashsalt": "planning"}):
        figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)


def _draw_times(axes: Axes, rows: Sequence[Row]) -> None:
    axes.set(xscale="log", yscale="log")
    for way, (color, marker) in STYLES.items():
        points = sorted((row["size"], 1000 * row["seconds"]) for row in rows if row["way"] == way)
        if points:
            axes.plot(*zip(*points, strict=True), color=color, marker=marker, label=LABELS[way])
    axes.set_xticks(sorted({row["size"] for row in rows}))
    axes.set(title="Time to plan", xlabel="documents in the collection", ylabel="milliseconds")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:,.10g}")
        axis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    _finish(axes, "both")


def _draw_skews(axes: Axes, rows: Sequence[Row]) -> None:
    """Draws, for the largest size, a bar from p5 to p95 with a mark at p50."""
    size = max(row["size"] for row in rows)
    chosen = [row for row in reversed(rows) if row["size"] == size]
    for at, row in enumerate(chosen):
        color = STYLES[row["way"]][0]
        axes.plot(
            [row["p5"], row["p95"]], [at, at], color=color, linewidth=6, solid_capstyle="butt", alpha=0.6
        )
        axes.plot(row["p50"], at, color=color, marker="|", markersize=16, markeredgewidth=2)
    axes.axvline(1, color="#333333", linewidth=0.8)
    axes.set_yticks(range(len(chosen)), [LABELS[row["way"]] for row in chosen])
    axes.set(
        title=f"Ranges of {size:,} documents", xlabel="documents per range over the target: p5, p50, p95"
    )
    axes.set_xlim(left=0)
    _finish(axes, "x")


def _finish(axes: Axes, lines: Any) -> None:
    axes.title.set_fontsize(10)
    axes.grid(visible=True, which="major", axis=lines, color="#DDDDDD")
    axes.spines[["top", "right"]].set_visible(False)
