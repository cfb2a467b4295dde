"""The options of the command line, and what they stand for: servers, settings, services."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.errors import PyMongoError

from engine.errors import ConfigError, SourceError
from engine.extractors.extractor import ExtractFunction, Extractor
from engine.extractors.formats import FORMATS
from engine.extractors.http_extractor import HttpExtractor
from engine.extractors.offsets import OffsetUnit
from engine.settings import Settings

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
    typer.Option("--set", "-s", metavar="NAME=VALUE", help="Any setting of docs/settings.md; repeatable."),
]
Force = Annotated[
    bool, typer.Option("--force", help="Send every document, and replace what is there, unchanged or not.")
]
HtmlFile = Annotated[
    Path | None,
    typer.Option(
        "--html", metavar="FILE", dir_okay=False, writable=True, help="Write the report as an HTML file too."
    ),
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show events.")]

ServiceUrl = Annotated[
    str | None, typer.Option(envvar="ENGINE_SERVICE_URL", help="Address of the NER service.")
]
ServiceFormat = Annotated[str, typer.Option("--format", help=f"Its format: {', '.join(FORMATS)}.")]
Offsets = Annotated[
    str | None,
    typer.Option(help=f"What the service counts, if not what its format says: {', '.join(OffsetUnit)}."),
]
Parameters = Annotated[
    str | None,
    typer.Option(metavar="JSON", help='Of every request, such as {"language": "de"} or {"labels": [...]}.'),
]
Function = Annotated[
    str | None, typer.Option(metavar="MODULE:FUNCTION", help="An async function instead of a service.")
]

LOCAL = "mongodb://127.0.0.1:27017"
"""Where a server is looked for when none is named."""


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
        source = await connected(self.uri)
        target = await connected(self.target_uri) if self.target_uri else source
        try:
            yield source[self.database], target[self.target_database or self.database]
        finally:
            source.close()
            target.close()


async def connected(uri: str) -> Any:
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


def settings_from(assignments: list[str] | None, run_id: str | None, *, force: bool = False) -> Settings:
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
    if force:
        values["force"] = True
    return Settings(**values)


def service_from(
    url: str | None,
    format_: str,
    extractor: str | None,
    settings: Settings,
    *,
    offsets: str | None = None,
    parameters: str | None = None,
) -> Extractor | ExtractFunction:
    """The service at an address, or a function by its name; exactly one of them."""
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
        offsets=offsets,
        parameters=_object(parameters),
    )


def _object(text: str | None) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except ValueError as error:
        raise ConfigError(f"--parameters: not JSON ({error})") from None
    if not isinstance(found, dict):
        raise ConfigError('--parameters: give a JSON object, such as {"language": "de"}')
    return found


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
