"""Draws the time of the whole read against the size, and of one page against its depth."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from benchmarks.skip_vs_keyset.readers import LABELS

COLORS = {
    "skip_sorted": "#D55E00",
    "skip_natural": "#E69F00",
    "or_keyset": "#56B4E9",
    "engine": "#0072B2",
    "cursor": "#555555",
}
"""The readers that are drawn, in the colours of Okabe and Ito, which colour-blind people can distinguish."""

MARKERS = {"skip_sorted": "o", "skip_natural": "s", "or_keyset": "^", "engine": "D", "cursor": "x"}


def draw(result: Mapping[str, Any], path: Path) -> None:
    """Draws one row of panels per page size; the suffix of the path chooses the format."""
    rows = result["reads"]
    pages = sorted({row["page"] for row in rows})
    figure = Figure(figsize=(11, 4.2 * len(pages)), layout="constrained")
    for panels, page in zip(figure.subplots(len(pages), 2, squeeze=False), pages, strict=True):
        chosen = [row for row in rows if row["page"] == page]
        _draw_totals(panels[0], chosen, page)
        _draw_depths(panels[1], chosen, page)
    machine = result["machine"]
    where = f"mongod {machine['mongod']}, {machine['cores']} cores, {machine['cpu']}"
    figure.suptitle(f"Reading a MongoDB collection in pages ({where})", fontsize=11)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    # So that the same numbers give the same file.
    with mpl.rc_context({"svg.hashsalt": "skip_vs_keyset"}):
        figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)


def _draw_totals(axes: Axes, rows: list[Mapping[str, Any]], page: int) -> None:
    axes.set(xscale="log", yscale="log")
    for reader, color in COLORS.items():
        points = sorted((r["size"], r["seconds"], r["estimated"]) for r in rows if r["reader"] == reader)
        sizes, seconds = [p[0] for p in points], [p[1] for p in points]
        axes.plot(sizes, seconds, color=color, marker=MARKERS[reader], label=LABELS[reader])
        hollow = [(size, time) for size, time, estimated in points if estimated]
        if hollow:
            style: dict[str, Any] = {
                "linestyle": "none",
                "marker": MARKERS[reader],
                "markerfacecolor": "white",
            }
            axes.plot(*zip(*hollow, strict=True), color=color, zorder=3, **style)
    axes.set_xticks(sorted({row["size"] for row in rows}))
    _finish(axes, f"Whole collection, pages of {page:,}", "documents in the collection", "seconds")
    axes.annotate("hollow: estimated from sampled depths", (0.02, 0.94), xycoords="axes fraction", fontsize=8)


def _draw_depths(axes: Axes, rows: list[Mapping[str, Any]], page: int) -> None:
    axes.set(xscale="log", yscale="log")
    size = max(row["size"] for row in rows)
    for row in (row for row in rows if row["size"] == size and row["reader"] in COLORS):
        # The first pages of the engine are small, and so is the last page of some readers.
        full = [timed for timed in row["depths"] if timed["documents"] >= page / 2]
        ends = [timed["depth"] + timed["documents"] for timed in full]
        times = [1000 * timed["seconds"] for timed in full]
        style: dict[str, Any] = {"color": COLORS[row["reader"]], "marker": MARKERS[row["reader"]]}
        axes.plot(ends, times, markersize=3, linewidth=1, **style)
    _finish(axes, f"One page of {page:,} out of {size:,}", "documents up to its end", "milliseconds")


def _finish(axes: Axes, title: str, below: str, beside: str) -> None:
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(below)
    axes.set_ylabel(beside)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(_thousands)
        axis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.grid(visible=True, which="major", color="#DDDDDD")
    axes.spines[["top", "right"]].set_visible(False)


def _thousands(value: float, _: float) -> str:
    return f"{value:,.10g}"
