"""The command line: `python -m engine plan | run | status`, also installed as `keyset-batch`.

Exit status: 0 if the run succeeded and reconciles, 1 if it lost or failed something, 2 for a usage or
configuration error (nothing was read or written then).
"""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.errors import PyMongoError
from rich.logging import RichHandler

from engine import display, runner
from engine.config import Settings
from engine.errors import ConfigError, EngineError, PlanError, SourceError
from engine.extractor import ExtractFunction, Extractor, HttpExtractor
from engine.formats import FORMATS
from engine.model import Status, Window
from engine.plan import Plan
from engine.report import Report, merge
from engine.writer import JsonLinesWriter

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

DatabaseName = Annotated[str, typer.Option("--database", "-d", help="Source database.")]
CollectionName = Annotated[str, typer.Option("--collection", "-c", help="Source collection.")]
Uri = Annotated[str, typer.Option(envvar=["ENGINE_SOURCE_URI", "MONGODB_URI"], help="Source server.")]
TargetUri = Annotated[str | None, typer.Option(envvar="ENGINE_TARGET_URI", help="Server of the results.")]
TargetDatabase = Annotated[str | None, typer.Option(help="Database of the results; by default the source's.")]
Start = Annotated[str | None, typer.Option(help="First moment of the window (ISO-8601).")]
End = Annotated[str | None, typer.Option(help="First moment after the window; the last now if left out.")]
RunId = Annotated[str | None, typer.Option(help="The run; by default derived from its parameters.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", metavar="NAME=VALUE", help="Any setting of the README's table; repeatable."),
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show events.")]

LOCAL = "mongodb://127.0.0.1:27017"


@dataclass(frozen=True)
class Places:
    """Where a command reads and keeps things."""

    uri: str
    database: str
    target_uri: str | None
    target_database: str | None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[tuple[Any, Any]]:
        """The source and target databases, once both servers have answered."""
        source = await _connected(self.uri)
        target = await _connected(self.target_uri) if self.target_uri else source
        try:
            yield source[self.database], target[self.target_database or self.database]
        finally:
            source.close()
            target.close()


@app.command()
def plan(
    database: DatabaseName,
    collection: CollectionName,
    uri: Uri = LOCAL,
    start: Start = None,
    end: End = None,
    target_uri: TargetUri = None,
    target_database: TargetDatabase = None,
    run_id: RunId = None,
    set_: Set = None,
    *,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the plan for the run to come.")] = False,
    verbose: Verbose = False,
) -> None:
    """Split a window into ranges and show them."""
    places = Places(uri, database, target_uri, target_database)

    async def command() -> int:
        settings = settings_from(set_, run_id)
        async with places.open() as (source, target):
            window = Window(start, end)
            made = await runner.plan_ranges(source[collection], window, settings, target if keep else None)
        display.show_plan(made)
        return 0

    _finish(command, verbose=verbose)


@app.command()
def run(
    database: DatabaseName,
    collection: CollectionName,
    uri: Uri = LOCAL,
    start: Start = None,
    end: End = None,
    target_uri: TargetUri = None,
    target_database: TargetDatabase = None,
    service_url: Annotated[
        str | None, typer.Option(envvar="ENGINE_SERVICE_URL", help="Address of the NER service.")
    ] = None,
    format_: Annotated[str, typer.Option("--format", help=f"Its format: {', '.join(FORMATS)}.")] = "native",
    extractor: Annotated[
        str | None, typer.Option(metavar="MODULE:FUNCTION", help="An async function instead of a service.")
    ] = None,
    jsonl: Annotated[
        Path | None, typer.Option(help="Write results to this file, not to the target's collections.")
    ] = None,
    run_id: RunId = None,
    set_: Set = None,
    *,
    verbose: Verbose = False,
) -> None:
    """Run a window here, to its reconciled report; again, to resume it.

    A token in the environment variable ENGINE_SERVICE_TOKEN is sent to the service as a bearer token.
    """
    places = Places(uri, database, target_uri, target_database)

    async def command() -> int:
        settings = settings_from(set_, run_id)
        service = _service(service_url, format_, extractor, settings)
        async with places.open() as (source, target):
            with display.live() as progress:
                report = await runner.run(
                    Window(start, end),
                    source=source[collection],
                    extractor=service,
                    target=target,
                    settings=settings,
                    writer=JsonLinesWriter(jsonl) if jsonl else None,
                    progress=progress,
                )
        display.show_report(report)
        return 0 if report.status is Status.SUCCEEDED and report.reconciled else 1

    _finish(command, verbose=verbose)


@app.command()
def status(
    run_id: Annotated[str, typer.Argument(help="The run, as `plan` and `run` show it.")],
    database: Annotated[str, typer.Option("--database", "-d", help="Database of the results.")],
    uri: Annotated[
        str, typer.Option(envvar=["ENGINE_TARGET_URI", "MONGODB_URI"], help="Its server.")
    ] = LOCAL,
    set_: Set = None,
    *,
    verbose: Verbose = False,
) -> None:
    """Show how far a run is, from its plan and checkpoints; exit 0 only if it reconciles."""

    async def command() -> int:
        settings = settings_from(set_, run_id)
        async with Places(uri, database, None, None).open() as (target, _):
            made = await runner.load_plan(run_id, target, settings)
            begun = await runner.range_reports(made, target, settings)
        report = _as_of_now(made, begun, settings)
        display.show_report(report)
        return 0 if report.status is Status.SUCCEEDED else 1

    _finish(command, verbose=verbose)


def _as_of_now(made: Plan, reports: list[Report], settings: Settings) -> Report:
    """The run's report so far; ranges that were never begun are pending."""
    begun = {r.range_id for r in reports}
    pending = [
        Report(made.run_id, Status.PENDING, r.range_id, r.expected)
        for r in made.ranges
        if r.range_id not in begun
    ]
    return merge(
        made.run_id,
        [r.range_id for r in made.ranges],
        [*reports, *pending],
        expected=made.documents if made.exact else None,
        max_dead_letters=settings.max_dead_letters,
        outside=made.outside,
    )


def settings_from(assignments: list[str] | None, run_id: str | None) -> Settings:
    """Settings from the environment and from NAME=VALUE, where the value is JSON or plain text."""
    values: dict[str, Any] = {"run_id": run_id} if run_id else {}
    for assignment in assignments or []:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise ConfigError(f"--set {assignment!r}: write NAME=VALUE")
        try:
            values[name] = json.loads(value) if value.startswith("{") else value
        except ValueError as error:
            raise ConfigError(f"--set {name}: not JSON ({error})") from None
    return Settings(**values)


def _service(
    url: str | None, format_: str, extractor: str | None, settings: Settings
) -> Extractor | ExtractFunction:
    if (url is None) == (extractor is None):
        raise ConfigError("give either --service-url or --extractor")
    if extractor is not None:
        return _imported(extractor)
    token = os.environ.get("ENGINE_SERVICE_TOKEN")
    return HttpExtractor(
        str(url),
        format=format_,
        headers={"Authorization": f"Bearer {token}"} if token else None,
        timeout_s=settings.request_timeout_s,
        text_timeout_s=settings.text_timeout_s,
    )


def _imported(path: str) -> ExtractFunction:
    module, _, name = path.partition(":")
    sys.path.insert(0, "")
    try:
        function: ExtractFunction = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"--extractor {path!r}: give MODULE:FUNCTION that can be imported ({error})"
        ) from error
    return function


async def _connected(uri: str) -> Any:
    """A client of a server that has answered; the message names no credentials."""
    try:
        patience: dict[str, Any] = (
            {} if "serverselectiontimeoutms" in uri.lower() else {"serverSelectionTimeoutMS": 10_000}
        )
        client: Any = AsyncIOMotorClient(uri, **patience)
        await client.admin.command("ping")
    except PyMongoError as error:
        where = uri.rpartition("@")[2] if "@" in uri else uri
        reason = str(error).partition(" (configured")[0]
        raise SourceError(f"MongoDB at {where} does not answer: {reason}") from error
    return client


def _finish(command: Callable[[], Awaitable[int]], *, verbose: bool) -> None:
    """Runs a command to its exit status; errors of the engine become one line."""
    if verbose:
        logging.basicConfig(
            level=logging.INFO, format="%(message)s", handlers=[RichHandler(console=display.err)]
        )
    try:
        code = asyncio.run(_cancelled_by_signals(command))
    except (ConfigError, PlanError) as error:
        display.fail(error)
        code = 2
    except EngineError as error:
        display.fail(error)
        code = 1
    except (asyncio.CancelledError, KeyboardInterrupt):
        display.fail("interrupted; the same command resumes from the checkpoints")
        code = 1
    raise typer.Exit(code)


async def _cancelled_by_signals(command: Callable[[], Awaitable[int]]) -> int:
    task = asyncio.current_task()
    if task is not None:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await command()


def main() -> None:
    """Entry point of the console script."""
    app(prog_name="keyset-batch")
