"""The command line: `python -m engine plan | run | verify | replay | status`, or `keyset-batch ...`.

Exit status: 0 if the run succeeded and reconciles, 1 if not, 2 for a wrong setting: then nothing was written.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.checking.repair import repair as repair_window
from engine.checking.replay import replay as replay_letters
from engine.checking.verify import verify as verify_window
from engine.cli import display
from engine.cli.options import (
    LOCAL,
    CollectionName,
    DatabaseName,
    End,
    Force,
    Function,
    HtmlFile,
    Offsets,
    Parameters,
    Places,
    RunId,
    ServiceFormat,
    ServiceUrl,
    Set,
    Start,
    TargetDatabase,
    TargetUri,
    Uri,
    Verbose,
    service_from,
    settings_from,
)
from engine.cli.process import finish
from engine.keys.window import Window
from engine.mongo.calls import named
from engine.planning.planner import load_plan, plan_ranges
from engine.running.run import as_of_now, range_reports
from engine.running.run import run as run_window
from engine.storing.writer import JsonLinesWriter
from engine.verdict import verdict_of

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


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
    keep: Annotated[bool, typer.Option("--keep", help="Store the plan for a later run.")] = False,
    force: Force = False,
    verbose: Verbose = False,
) -> None:
    """Split a window into ranges and show them."""
    places = Places(uri, database, target_uri, target_database)

    async def command() -> int:
        settings = settings_from(set_, run_id, force=force)
        async with places.open() as (source, target):
            window, stored_in = Window(start, end), target if keep else None
            display.show_plan(await plan_ranges(named(source, collection), window, settings, stored_in))
        return 0

    finish(command, verbose=verbose)


@app.command()
def run(
    database: DatabaseName,
    collection: CollectionName,
    uri: Uri = LOCAL,
    start: Start = None,
    end: End = None,
    target_uri: TargetUri = None,
    target_database: TargetDatabase = None,
    service_url: ServiceUrl = None,
    format_: ServiceFormat = "native",
    offsets: Offsets = None,
    parameters: Parameters = None,
    extractor: Function = None,
    jsonl: Annotated[
        Path | None, typer.Option(help="Write results to this file instead of the target's collections.")
    ] = None,
    html: HtmlFile = None,
    run_id: RunId = None,
    set_: Set = None,
    *,
    force: Force = False,
    verbose: Verbose = False,
) -> None:
    """Run a window in this process and show its report; run it again to resume it.

    A token in the environment variable ENGINE_SERVICE_TOKEN is sent to the service as a bearer token.
    """
    places = Places(uri, database, target_uri, target_database)

    async def command() -> int:
        settings = settings_from(set_, run_id, force=force)
        service = service_from(
            service_url, format_, extractor, settings, offsets=offsets, parameters=parameters
        )
        async with places.open() as (source, target):
            with display.live() as progress:
                report = await run_window(
                    Window(start, end),
                    source=named(source, collection),
                    extractor=service,
                    target=target,
                    settings=settings,
                    writer=JsonLinesWriter(jsonl) if jsonl else None,
                    progress=progress,
                )
            await display.save_html(html, report, target, settings)
        display.show_report(report)
        return 0 if verdict_of(report).succeeded else 1

    finish(command, verbose=verbose)


@app.command()
def verify(
    database: DatabaseName,
    collection: CollectionName,
    uri: Uri = LOCAL,
    start: Start = None,
    end: End = None,
    target_uri: TargetUri = None,
    target_database: TargetDatabase = None,
    service_url: ServiceUrl = None,
    format_: ServiceFormat = "native",
    offsets: Offsets = None,
    parameters: Parameters = None,
    extractor: Function = None,
    set_: Set = None,
    *,
    repair: Annotated[
        bool, typer.Option("--repair", help="Run the missing documents, and verify again.")
    ] = False,
    limit: Annotated[int, typer.Option(min=0, help="Largest number of missing documents to print.")] = 20,
    verbose: Verbose = False,
) -> None:
    """Find documents of a window with neither an extraction nor a dead letter; exit 1 if there are any.

    With --repair, exactly these documents are run, by a service or function as in `run`.
    """
    places = Places(uri, database, target_uri, target_database)
    window = Window(start, end)

    async def command() -> int:
        settings = settings_from(set_, None)
        service = (
            service_from(service_url, format_, extractor, settings, offsets=offsets, parameters=parameters)
            if repair
            else None
        )
        async with places.open() as (source, target):
            where = {"source": named(source, collection), "target": target, "settings": settings}
            found = await verify_window(window, limit=limit, **where)
            display.show_verification(found)
            if service is not None and not found.complete:
                with display.live() as progress:
                    report = await repair_window(window, extractor=service, progress=progress, **where)
                display.show_report(report)
                found = await verify_window(window, limit=limit, **where)
                display.show_verification(found)
        return 0 if found.complete else 1

    finish(command, verbose=verbose)


@app.command()
def replay(
    database: DatabaseName,
    collection: CollectionName,
    uri: Uri = LOCAL,
    start: Start = None,
    end: End = None,
    target_uri: TargetUri = None,
    target_database: TargetDatabase = None,
    service_url: ServiceUrl = None,
    format_: ServiceFormat = "native",
    offsets: Offsets = None,
    parameters: Parameters = None,
    extractor: Function = None,
    run_id: RunId = None,
    set_: Set = None,
    *,
    kind: Annotated[
        list[str] | None, typer.Option(help="Class of dead letters, such as permanent; repeatable.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Largest number of dead letters to try.")] = None,
    verbose: Verbose = False,
) -> None:
    """Run the documents with an unresolved dead letter again, and resolve those that succeed.

    All of them, or only those of a window or of some classes, or the first few. Give a service or function as
    in `run`.
    """
    places = Places(uri, database, target_uri, target_database)

    async def command() -> int:
        settings = settings_from(set_, run_id)
        service = service_from(
            service_url, format_, extractor, settings, offsets=offsets, parameters=parameters
        )
        async with places.open() as (source, target):
            where = {"source": named(source, collection), "target": target, "settings": settings}
            with display.live() as progress:
                report = await replay_letters(
                    Window(start, end),
                    extractor=service,
                    kinds=kind or (),
                    limit=limit,
                    progress=progress,
                    **where,
                )
        display.show_report(report)
        return 0 if verdict_of(report).succeeded else 1

    finish(command, verbose=verbose)


@app.command()
def status(
    run_id: Annotated[str, typer.Argument(help="Id of the run, as `plan` and `run` print it.")],
    database: Annotated[str, typer.Option("--database", "-d", help="Database of the results.")],
    uri: Annotated[
        str, typer.Option(envvar=["ENGINE_TARGET_URI", "MONGODB_URI"], help="Server of the results.")
    ] = LOCAL,
    html: HtmlFile = None,
    set_: Set = None,
    *,
    verbose: Verbose = False,
) -> None:
    """Show the progress of a run from its plan and checkpoints; exit 0 only if it has succeeded."""

    async def command() -> int:
        settings = settings_from(set_, run_id)
        async with Places(uri, database, None, None).open() as (target, _):
            made = await load_plan(run_id, target, settings)
            begun = await range_reports(made, target, settings)
            report = as_of_now(made, begun, settings)
            await display.save_html(html, report, target, settings)
        display.show_report(report)
        return 0 if verdict_of(report).succeeded else 1

    finish(command, verbose=verbose)


def main() -> None:
    """Runs the command line; the entry point of the console script."""
    app(prog_name="keyset-batch")
