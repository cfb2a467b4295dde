"""Prints progress, plans, reports and verifications on the terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table

from engine.checking.verify import Verification
from engine.errors import WriteError
from engine.extractors.http.addresses import without_addresses
from engine.keys.bson_values import to_relaxed_json
from engine.model import Progress
from engine.mongo import driver
from engine.planning.plan import Plan
from engine.planning.planner import load_plan
from engine.report import COLUMNS, RunReport, rows
from engine.reporting.lookup import report_html
from engine.settings import Settings
from engine.verdict import Kind, verdict_of
from engine.wording import duration, escape_controls, number, reasons_of

out = Console()
err = Console(stderr=True)

LINE_S = 5.0
"""Seconds between two lines of progress if there is no terminal."""

COLOURS: Mapping[Kind, str] = {"good": "green", "fair": "yellow", "bad": "red", "open": "blue"}
"""The colours of verdicts."""


@contextmanager
def live() -> Iterator[Callable[[Progress], None]]:
    """Yields a progress callback that draws a bar on a terminal, or else prints a line every `LINE_S`."""
    if not err.is_terminal:
        yield _Lines()
        return
    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}/s · {task.fields[requests]}"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=err, transient=True) as bar:
        yield _Drawn(bar, bar.add_task("planning", total=None, rate="0", requests=""))


class _Drawn:
    def __init__(self, bar: Bar, task: TaskID) -> None:
        self._bar, self._task, self._rate = bar, task, _Rate()

    def __call__(self, progress: Progress) -> None:
        self._bar.update(
            self._task,
            description="documents",
            completed=progress.documents,
            total=progress.expected,
            rate=number(self._rate(progress.documents)),
            requests=_requests(progress),
        )


class _Lines:
    def __init__(self) -> None:
        self._rate, self._shown_at = _Rate(), time.monotonic()

    def __call__(self, progress: Progress) -> None:
        if time.monotonic() - self._shown_at < LINE_S:
            return
        self._shown_at = time.monotonic()
        rate = self._rate(progress.documents)
        left = (progress.expected or 0) - progress.documents
        time_left = f"{duration(max(0, left) / rate)} left" if rate else "time left unknown"
        of = f"{progress.documents:,} of {progress.expected or 0:,} documents"
        err.print(f"{of}, {number(rate)}/s, {_requests(progress)}, {time_left}", highlight=False)


class _Rate:
    """Documents a second since the first call."""

    def __init__(self) -> None:
        self._first: tuple[float, int] | None = None

    def __call__(self, documents: int) -> float:
        now = time.monotonic()
        self._first = self._first or (now, documents)
        elapsed = now - self._first[0]
        return (documents - self._first[1]) / elapsed if elapsed > 0 else 0.0


def _requests(progress: Progress) -> str:
    return (
        f"{progress.in_flight} in flight, {progress.retries} retries, {progress.dead_lettered} dead letters"
    )


def show_plan(plan: Plan) -> None:
    """Prints the plan's ranges and its guarantee."""
    table = Table(title=escape(f"plan of run {plan.run_id}"), box=SIMPLE_HEAD)
    table.add_column("range")
    table.add_column("keys")
    table.add_column("documents", justify="right")
    for key_range in plan.ranges:
        label = key_range.label.rpartition(" · ")[0] or key_range.label
        counted = key_range.expected if key_range.expected is not None else key_range.about
        table.add_row(key_range.range_id, escape(escape_controls(label)), f"{counted:,}")
    out.print(table)
    about = "" if plan.exact else "about "
    where = f"{len(plan.ranges)} ranges of {plan.namespace}"
    out.print(f"{about}{plan.documents:,} documents in {where}, {plan.strategy} plan")
    out.print(f"read by {plan.form}: {plan.guarantee}")
    _show_outside(plan.outside)
    _show_empty(plan.empty)


def show_report(report: RunReport) -> None:
    """Prints the report: table, differences, notes, reasons of dead letters, problems and verdict."""
    verdict = verdict_of(report)
    style = f"bold {COLOURS[verdict.kind]}"
    table = Table(title=escape(f"run {report.run_id}"), box=SIMPLE_HEAD)
    for at, column in enumerate(COLUMNS):
        table.add_column(column, justify="left" if at < 2 else "right")  # noqa: PLR2004
    for row in rows(report):
        table.add_row(*row, style=style if row[0] == "run" else None)
    out.print(table)
    _show_outside(report.outside)
    for difference in report.differences:
        out.print(f"[yellow]{difference}", highlight=False)
    for note in report.notes:
        out.print(note, style="yellow", markup=False, highlight=False)
    for reason in reasons_of(report.dead_letter_reasons):
        out.print(f"dead letters: {reason}", style="red", markup=False, highlight=False, soft_wrap=True)
    for problem in report.problems:
        out.print(problem, style="red", markup=False, highlight=False)
    out.print(verdict.title, style=style)


async def save_html(
    path: Path | None, report: RunReport, target: driver.AnyDatabase, settings: Settings
) -> None:
    """Writes the report as an HTML file, if a path is given.

    Raises:
        WriteError: the file cannot be written.
    """
    if path is None:
        return
    html = await report_html(await load_plan(report.run_id, target, settings), report, target, settings)
    _write(path, html)
    out.print(f"report in {path}", highlight=False, markup=False, soft_wrap=True)


def _write(path: Path, html: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(html, encoding="utf-8")
    except OSError as error:
        raise WriteError(f"the report could not be written to {path}: {error}") from error


def show_verification(found: Verification) -> None:
    """Prints the missing documents, one a line, and the totals."""
    for key in found.first_missing:
        at = f" at {to_relaxed_json(key.values[0])}" if len(key.values) > 1 else ""
        out.print(
            f"missing: {to_relaxed_json(key.values[-1])}{at}", markup=False, highlight=False, soft_wrap=True
        )
    more = found.missing - len(found.first_missing)
    if more:
        out.print(f"and {more:,} more")
    _show_outside(found.outside)
    _show_empty(found.empty)
    totals = f"{found.present:,} present, {found.dead_lettered:,} dead letters, {found.missing:,} missing"
    style = "bold green" if found.complete else "bold red"
    out.print(f"{found.read:,} documents: {totals}", style=style, highlight=False)


def _show_outside(outside: Mapping[str, int]) -> None:
    if outside:
        listed = ", ".join(f"{count:,} {kind}" for kind, count in outside.items())
        out.print(f"[yellow]outside every window of this type: {listed}", highlight=False)


def _show_empty(empty: str | None) -> None:
    if empty:
        out.print(empty, style="yellow", markup=False, highlight=False, soft_wrap=True)


def fail(problem: object) -> None:
    """Prints an error as one line on standard error."""
    err.print(
        f"[bold red]error:[/] {escape(escape_controls(without_addresses(str(problem))))}",
        highlight=False,
        markup=True,
        soft_wrap=True,
    )
