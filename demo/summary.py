"""Shows the result of a demo: the report, the checks, and where everything is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from demo.celery.checks import Check
from demo.following import CHECKPOINTS, PLANS
from demo.messages import COLLECTION, DATABASE
from demo.task_logs import render_line
from demo.window import DEAD_LETTERS, ENTITIES
from engine.verdict import verdict_of_json
from engine.wording import seconds

_COUNTS = ("expected", "read", "written", "unchanged", "dead_lettered")


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a run.

    Attributes:
        run_id: The engine's id of the run.
        state: Its final state in Airflow.
        report: The engine's report; None if the run has left none.
        messages: The number of messages in the window, counted by MongoDB.
        extractions: The number of these messages that have an extraction, counted by MongoDB.
        entities: The most frequent entities, `{_id: {label, text}, count}`.
        ui: The address of the run in Airflow's user interface.
        progress: The address of the tab with the progress of its ranges.
        page: The HTML file with its report, if it has saved one.
        server: The address of the database server for a shell. For the user's own server it is the name of
            the variable, because the address may contain a password.
        own_server: Whether it is the user's own server.
        log: The log of the first task that failed, if any has.
        checks: What a watcher has checked beside the report.
        command: The command that started the demo.
    """

    run_id: str
    state: str
    report: Mapping[str, Any] | None
    messages: int
    extractions: int
    entities: list[dict[str, Any]] = field(default_factory=list)
    ui: str = ""
    progress: str = ""
    page: Path | None = None
    server: str = ""
    own_server: bool = False
    log: Path | None = None
    checks: tuple[Check, ...] = ()
    command: str = "make demo"

    @property
    def problems(self) -> list[str]:
        """One sentence for each problem; empty after a good run."""
        checks = {
            f"the run ended as {self.state}": self.state == "success",
            "the run has left no report": self.report is not None,
            f"MongoDB counts {self.messages:,} messages and {self.extractions:,} extractions": (
                self.messages == self.extractions
            ),
        }
        problems = [problem for problem, passed in checks.items() if not passed]
        if self.report is not None and not (verdict := verdict_of_json(self.report)).succeeded:
            problems.append(f"the verdict of the report is: {verdict.title}")
        return [*problems, *(check.text for check in self.checks if not check.passed)]


def show_outcome(console: Console, outcome: Outcome) -> None:
    """Print the report, its check against MongoDB, and the most frequent entities."""
    console.print(_report_table(outcome))
    if outcome.messages == outcome.extractions:
        console.print(
            f"[green]✓[/] counted by MongoDB: {outcome.messages:,} messages in the window, "
            f"{outcome.extractions:,} with an extraction"
        )
    for check in outcome.checks:
        if check.passed:
            console.print(f"[green]✓[/] {escape(check.text)}", highlight=False, soft_wrap=True)
    console.print(_entities_table(outcome.entities))
    for problem in outcome.problems:
        console.print(f"[red]✗ {escape(problem)}[/]")
    if outcome.log is not None:
        show_log(console, outcome.log)


def show_log(console: Console, log: Path, lines: int = 20) -> None:
    """Print the last lines of a log, and its path."""
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]:
        console.print(f"  {render_line(line)}", style="dim", highlight=False, markup=False, soft_wrap=True)
    console.print(f"The whole log: {log}", highlight=False, markup=False, soft_wrap=True)


def show_places(console: Console, outcome: Outcome, *, kept: bool) -> None:
    """Print where everything is, and how to look at it."""
    places = Table("what", "where", title="Where it is", title_justify="left")
    for what, collection in (
        ("messages", COLLECTION),
        ("results", ENTITIES),
        ("dead letters", DEAD_LETTERS),
        ("plan and report", PLANS),
        ("checkpoints", CHECKPOINTS),
    ):
        places.add_row(what, f"{DATABASE}.{collection}")
    console.print(places)
    lines = [f"The report in a browser: {outcome.page}"] if outcome.page else []
    lines += [_mongosh(outcome)] if kept or outcome.own_server else []
    for line in [*(_kept_lines(outcome) if kept else _ended_lines(outcome)), *lines]:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _mongosh(outcome: Outcome) -> str:
    query = f'db.getSiblingDB("{DATABASE}").{PLANS}.findOne({{run_id: "{outcome.run_id}"}}).report'
    return f"The report in MongoDB: mongosh \"{outcome.server}\" --eval '{query}'"


def _kept_lines(outcome: Outcome) -> list[str]:
    return [
        "All servers stay up until `make demo-down`.",
        f"The run in Airflow: {outcome.ui}",
        f"Its progress: {outcome.progress}",
    ]


def _ended_lines(outcome: Outcome) -> list[str]:
    return [
        f"All servers that the demo started have ended; the data stay. `{outcome.command} KEEP=1`",
        "leaves them up, with Airflow's user interface, and prints a line for mongosh.",
    ]


def show_durations(console: Console, durations_s: Mapping[str, float], total_s: float) -> None:
    """Print how long each part took; the parts of the start overlap."""
    table = Table("part", "seconds", title="How long it took", title_justify="left")
    table.columns[1].justify = "right"
    for name, duration_s in durations_s.items():
        table.add_row(name, seconds(duration_s))
    table.add_section()
    table.add_row("all", seconds(total_s))
    console.print(table)


def _report_table(outcome: Outcome) -> Table:
    report = outcome.report or {}
    headings = (name.replace("_", " ") for name in _COUNTS)
    table = Table(*headings, "status", "verdict", title=f"Report of {outcome.run_id}", title_justify="left")
    for column in table.columns[: len(_COUNTS)]:
        column.justify = "right"
    counts = [f"{report[name]:,}" if name in report else "?" for name in _COUNTS]
    verdict = "?" if outcome.report is None else verdict_of_json(outcome.report).title
    table.add_row(*counts, str(report.get("status", "?")), verdict)
    return table


def _entities_table(entities: list[dict[str, Any]]) -> Table:
    table = Table("label", "entity", "mentions", title="Most frequent entities", title_justify="left")
    table.columns[2].justify = "right"
    for entity in entities:
        table.add_row(entity["_id"]["label"], escape(entity["_id"]["text"]), f"{entity['count']:,}")
    return table
