"""The options of the command line, and the servers, settings and services made from them."""

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

from engine.errors import ConfigError
from engine.extractors.extractor import Extractor, as_extractor
from engine.extractors.formats import FORMATS
from engine.extractors.functions.faults import place_of
from engine.extractors.http.headers import clean
from engine.extractors.http_extractor import HttpExtractor
from engine.extractors.offsets import OffsetUnit
from engine.mongo import clients
from engine.mongo.calls import named
from engine.settings import Settings, assigned

DatabaseName = Annotated[str, typer.Option("--database", "-d", help="Source database.")]
CollectionName = Annotated[str, typer.Option("--collection", "-c", help="Source collection.")]
Uri = Annotated[str, typer.Option(envvar=["ENGINE_SOURCE_URI", "MONGODB_URI"], help="Source server.")]
TargetUri = Annotated[str | None, typer.Option(envvar="ENGINE_TARGET_URI", help="Server of the results.")]
TargetDatabase = Annotated[
    str | None, typer.Option(help="Database of the results; by default that of the source.")
]
Start = Annotated[
    str | None,
    typer.Option(help="Start of the window, inclusive: a time (ISO 8601), or a value of order_type."),
]
End = Annotated[
    str | None,
    typer.Option(help="End of the window, exclusive; by default the last document is included."),
]
RunId = Annotated[str | None, typer.Option(help="Id of the run; by default derived from its parameters.")]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        "-s",
        metavar="NAME=VALUE",
        help="Any setting of docs/settings.md; repeatable.",
    ),
]
Force = Annotated[
    bool, typer.Option("--force", help="Send every document and replace its result, even if it is unchanged.")
]
HtmlFile = Annotated[
    Path | None,
    typer.Option(
        "--html", metavar="FILE", dir_okay=False, writable=True, help="Also write the report as an HTML file."
    ),
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show events.")]

ServiceUrl = Annotated[
    str | None, typer.Option(envvar="ENGINE_SERVICE_URL", help="Address of the NER service.")
]
ServiceFormat = Annotated[str, typer.Option("--format", help=f"Format of the service: {', '.join(FORMATS)}.")]
Offsets = Annotated[
    str | None,
    typer.Option(help=f"Unit of offsets, if not the format's: {', '.join(OffsetUnit)}."),
]
Parameters = Annotated[
    str | None,
    typer.Option(metavar="JSON", help='Added to requests, such as {"language": "de"} or {"labels": [...]}.'),
]
Function = Annotated[
    str | None,
    typer.Option(metavar="MODULE:FUNCTION", help="A function to call instead of a service."),
]

LOCAL = "mongodb://127.0.0.1:27017"
"""Address of the server if no option or environment variable gives one."""


@dataclass(frozen=True)
class Places:
    """The servers and databases of source and target."""

    uri: str
    database: str
    target_uri: str | None
    target_database: str | None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[tuple[Any, Any]]:
        """Yields the source and target databases, after both servers have answered."""
        opened = [await _connected(self.uri)]
        try:
            if self.target_uri:
                opened.append(await _connected(self.target_uri))
            yield named(opened[0], self.database), named(opened[-1], self.target_database or self.database)
        finally:
            clients.close(*opened)


async def _connected(uri: str) -> Any:
    """Connects to a server and waits for its answer, at most 10 s if the address says nothing else."""
    timeout = {} if "serverselectiontimeoutms" in uri.lower() else {"serverSelectionTimeoutMS": 10_000}
    return await clients.connected(uri, **timeout)


def settings_from(assignments: list[str] | None, run_id: str | None, *, force: bool = False) -> Settings:
    """Makes settings from the environment and from NAME=VALUE, where the value is a JSON object or text."""
    values = assigned(assignments or [])
    if run_id:
        values.setdefault("run_id", run_id)
    if force:
        values["force"] = True
    return Settings.from_environment(**values)


def service_from(
    url: str | None,
    format_: str,
    extractor: str | None,
    settings: Settings,
    *,
    offsets: str | None = None,
    parameters: str | None = None,
) -> Extractor:
    """Returns the extractor for a service's address or a function's name; exactly one must be given."""
    if (url is None) == (extractor is None):
        raise ConfigError("give either --service-url or --extractor")
    if extractor is not None:
        return _imported(extractor)
    token = clean(os.environ.get("ENGINE_SERVICE_TOKEN", ""), "ENGINE_SERVICE_TOKEN")
    return HttpExtractor(
        str(url),
        format=format_,
        headers={"Authorization": f"Bearer {token}"} if token else None,
        timeout_s=settings.request_timeout_s,
        text_timeout_s=settings.text_timeout_s,
        offsets=offsets,
        parameters=_object(parameters),
        trust_env=settings.trust_env,
        max_answer_bytes=settings.tuning.max_answer_bytes,
    )


def _object(text: str | None) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except ValueError as error:
        raise ConfigError(f"--parameters: not valid JSON ({error})") from None
    if not isinstance(found, dict):
        raise ConfigError('--parameters: give a JSON object, such as {"language": "de"}')
    return found


def _imported(path: str) -> Extractor:
    if "/" in path:
        raise ConfigError(
            "--extractor: give MODULE:FUNCTION; the address of a service is given as --service-url"
        )
    module, _, name = path.partition(":")
    sys.path.insert(0, "")
    try:
        function = getattr(importlib.import_module(module), name)
    except Exception as error:  # the module may raise anything
        problem = f"{type(error).__name__}: {error}, at {place_of(error)}"
        raise ConfigError(
            f"--extractor {path!r}: give MODULE:FUNCTION that can be imported ({problem})"
        ) from error
    return as_extractor(function)
