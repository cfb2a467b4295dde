"""Faults: what a NER service can do instead of answering. Each is a function of a request and its texts."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Entity = dict[str, Any]
Fault = Callable[[web.Request, Sequence[str]], Awaitable[web.StreamResponse]]
"""Handles a request in place of the service."""

_NAME = re.compile(r"[A-Z]\w+")
_LABELS = ("PERSON", "PLACE", "THING")


def entities_of(text: str) -> list[Entity]:
    """The entities that a service without faults finds in a text: its capitalized words."""
    return [
        {
            "start": found.start(),
            "end": found.end(),
            "label": _LABELS[len(found[0]) % len(_LABELS)],
            "text": found[0],
            "score": 0.5,
        }
        for found in _NAME.finditer(text)
    ]


def status(code: int, body: Any = None, **headers: str) -> Fault:
    """A fault that answers with this status; `Retry_After="1"` becomes the header `Retry-After: 1`."""

    async def fault(_request, _texts):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.json_response(body or {"error": f"scripted {code}"}, status=code, headers=named)

    return fault


async def reset(request: web.Request, _texts: Sequence[str]) -> web.StreamResponse:
    """Resets the connection (TCP RST) without an answer."""
    request.transport.abort()
    return web.Response()


async def hang_up(request: web.Request, _texts: Sequence[str]) -> web.StreamResponse:
    """Closes the connection (TCP FIN) without an answer, as a server does with an idle connection."""
    request.transport.close()
    return web.Response()


async def reset_in_body(request: web.Request, texts: Sequence[str]) -> web.StreamResponse:
    """Resets the connection in the middle of a right answer."""
    body = json.dumps({"results": [entities_of(text) for text in texts]}).encode()
    response = web.StreamResponse(headers={"Content-Length": str(len(body))})
    response.content_type = "application/json"
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    request.transport.abort()
    return response


async def drip(request: web.Request, _texts: Sequence[str]) -> web.StreamResponse:
    """Sends a byte every hundredth of a second forever, so that the answer never ends."""
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" ")
        await asyncio.sleep(0.01)


async def silence(_request: web.Request, _texts: Sequence[str]) -> web.StreamResponse:
    """Does not answer, until the client gives up."""
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


async def html(_request: web.Request, _texts: Sequence[str]) -> web.StreamResponse:
    """Answers with status 200 and an HTML page, as a proxy in between does."""
    return web.Response(text="<html><body>It works!</body></html>", content_type="text/html")


def answering(change: Callable[[Sequence[str]], Any]) -> Fault:
    """A fault that answers in the native format; its results are `change(texts)`."""

    async def fault(_request, texts):
        return web.json_response({"results": change(texts)})

    return fault


def in_utf16(text: str) -> list[Entity]:
    """The right entities, but with offsets in UTF-16 code units, as JavaScript and Java count them."""

    def units(offset):
        return len(text[:offset].encode("utf-16-le")) // 2

    return [{**e, "start": units(e["start"]), "end": units(e["end"])} for e in entities_of(text)]


def changed_entity(**changes: Any) -> Fault:
    """A fault that answers rightly, except that the first entity of each text has these values."""

    def change(texts):
        return [[{**e, **changes} if at == 0 else e for at, e in enumerate(entities_of(t))] for t in texts]

    return answering(change)


@dataclass
class Flaky:
    """Lets a share of the calls fail, each with one of the faults, chosen by a seeded random source."""

    share: float
    faults: Sequence[Fault]
    seed: int = 1
    _rng: random.Random = field(init=False)

    def __post_init__(self):
        self._rng = random.Random(self.seed)

    def draw(self) -> Fault | None:
        """The fault of the next call; None if it gets a right answer."""
        return self._rng.choice(self.faults) if self._rng.random() < self.share else None
