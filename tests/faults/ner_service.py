"""A NER service that fails by script: in this loop, or in a thread for tests that have none.

    async with FaultyService(flaky=Flaky(0.2, [status(503), reset])) as service: ...
    with serve_in_thread() as service: ...

It speaks the engine's native format (`POST /extract`) and Presidio's (`POST /analyze`), finds entities by a
rule that tests can apply themselves (`entities_of`), and records all that it was asked.
"""

from __future__ import annotations

import asyncio
import random
import re
import threading
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Entity = dict[str, Any]
Fault = Callable[[web.Request, Sequence[str]], Awaitable[web.StreamResponse]]
"""What happens to a request instead of its answer; it may look at the texts."""

_NAME = re.compile(r"[A-Z]\w+")
_LABELS = ("PERSON", "PLACE", "THING")


def entities_of(text: str) -> list[Entity]:
    """The entities of a text, as a service without faults gives them: capitalized words."""
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


# --- faults ---


def status(code: int, body: Any = None, **headers: str) -> Fault:
    """An answer with that status; `Retry_After="1"` becomes the header `Retry-After`."""

    async def fault(_request, _texts):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.json_response(body or {"error": f"scripted {code}"}, status=code, headers=named)

    return fault


async def reset(request: web.Request, _texts: Sequence[str]) -> web.StreamResponse:
    """The connection is reset before an answer (RST)."""
    request.transport.abort()
    return web.Response()


async def hang_up(request: web.Request, _texts: Sequence[str]) -> web.StreamResponse:
    """The connection is closed in order, without an answer: what a stale keep-alive connection looks like."""
    request.transport.close()
    return web.Response()


async def silence(_request: web.Request, _texts: Sequence[str]) -> web.StreamResponse:
    """No answer, until the client gives up."""
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


async def html(_request: web.Request, _texts: Sequence[str]) -> web.StreamResponse:
    """A page instead of an answer, as a proxy in the way gives: 200, and no JSON."""
    return web.Response(text="<html><body>It works!</body></html>", content_type="text/html")


def answering(change: Callable[[Sequence[str]], Any]) -> Fault:
    """A native answer whose results are what `change` makes of the texts."""

    async def fault(_request, texts):
        return web.json_response({"results": change(texts)})

    return fault


def changed_entity(**changes: Any) -> Fault:
    """Right answers, but the first entity of each text has these values."""

    def change(texts):
        return [[{**e, **changes} if at == 0 else e for at, e in enumerate(entities_of(t))] for t in texts]

    return answering(change)


@dataclass
class Flaky:
    """A share of calls that fail, each with one of the faults, by a seeded random source."""

    share: float
    faults: Sequence[Fault]
    seed: int = 1
    _rng: random.Random = field(init=False)

    def __post_init__(self):
        self._rng = random.Random(self.seed)

    def draw(self) -> Fault | None:
        """The fault of the next call, if it gets one."""
        return self._rng.choice(self.faults) if self._rng.random() < self.share else None


# --- the service ---


@dataclass(frozen=True)
class Call:
    """One request received.

    Attributes:
        at: seconds on the monotonic clock.
        answered: whether it got a right answer.
    """

    at: float
    path: str
    texts: tuple[str, ...]
    headers: Mapping[str, str]
    answered: bool


@dataclass
class FaultyService:
    """The service. Its script may be changed while it runs, from any thread.

    Attributes:
        flaky: faults by chance.
        script: faults of the next calls, in order; None in it is a right answer.
        poison: faults of every request that contains one of these texts.
        down: the fault of every request, while it is set.
        delay_s: what a right answer takes.
        delay_text_s: and for each of its texts.
        queue: requests held at once; the others get 429.
        calls: all requests received, in the order of their end.
        most_in_flight: requests held at once, at most.
    """

    flaky: Flaky | None = None
    script: deque[Fault | None] = field(default_factory=deque)
    poison: dict[str, Fault] = field(default_factory=dict)
    down: Fault | None = None
    delay_s: float = 0.0
    delay_text_s: float = 0.0
    queue: int | None = None
    calls: list[Call] = field(default_factory=list)
    most_in_flight: int = 0
    url: str = ""
    _in_flight: int = 0
    _runner: web.AppRunner | None = None

    @property
    def received(self) -> Counter[str]:
        """How often each text came."""
        return Counter(text for call in list(self.calls) for text in call.texts)

    @property
    def answered(self) -> Counter[str]:
        """How often each text got a right answer."""
        return Counter(text for call in list(self.calls) if call.answered for text in call.texts)

    def reset(self) -> None:
        """Forgets its script and its records."""
        new = FaultyService()
        for name in ("flaky", "script", "poison", "down", "delay_s", "delay_text_s", "queue", "calls"):
            setattr(self, name, getattr(new, name))
        self.most_in_flight = self._in_flight

    async def __aenter__(self):
        application = web.Application(client_max_size=16 << 20)
        application.add_routes([web.post("/extract", self._native), web.post("/analyze", self._presidio)])
        self._runner = web.AppRunner(
            application, handler_cancellation=True, shutdown_timeout=0.1, access_log=None
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_error):
        await self._runner.cleanup()

    async def _native(self, request: web.Request) -> web.StreamResponse:
        texts = (await request.json())["texts"]
        return await self._served(request, texts, {"results": [entities_of(text) for text in texts]})

    async def _presidio(self, request: web.Request) -> web.StreamResponse:
        body = (await request.json())["text"]
        texts = body if isinstance(body, list) else [body]
        if not all(texts):
            return await status(500, {"error": "No text provided"})(request, texts)
        results = [_presidio_entities(text) for text in texts]
        return await self._served(request, texts, results if isinstance(body, list) else results[0])

    async def _served(self, request: web.Request, texts: Sequence[str], answer: Any) -> web.StreamResponse:
        self._in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self._in_flight)
        fault = self._fault_for(texts)
        answered = False
        try:
            if fault is not None:
                return await fault(request, texts)
            await asyncio.sleep(self.delay_s + self.delay_text_s * len(texts))
            answered = True
            return web.json_response(answer)
        finally:  # also when the client has gone
            self._in_flight -= 1
            self._record(request, texts, answered=answered)

    def _fault_for(self, texts: Sequence[str]) -> Fault | None:
        if self.down is not None:
            return self.down
        if self.queue is not None and self._in_flight > self.queue:
            return status(429, Retry_After="0")
        if self.script:
            return self.script.popleft()
        poison = next((self.poison[text] for text in texts if text in self.poison), None)
        return poison or (self.flaky.draw() if self.flaky else None)

    def _record(self, request: web.Request, texts: Sequence[str], *, answered: bool) -> None:
        self.calls.append(Call(time.monotonic(), request.path, tuple(texts), dict(request.headers), answered))


def _presidio_entities(text: str) -> list[Entity]:
    return [
        {
            "start": e["start"],
            "end": e["end"],
            "score": e["score"],
            "entity_type": e["label"],
            "analysis_explanation": None,
        }
        for e in entities_of(text)
    ]


@contextmanager
def serve_in_thread(**script: Any) -> Iterator[FaultyService]:
    """The service in a thread with a loop of its own, for tests that are not asynchronous."""
    service = FaultyService(**script)
    ready = threading.Event()
    over: list[Callable[[], None]] = []

    async def serve():
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        over.append(lambda: loop.call_soon_threadsafe(stop.set))
        async with service:
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), name="faulty-service")
    thread.start()
    try:
        assert ready.wait(10), "the service did not start"
        yield service
    finally:
        over[0]()
        thread.join(10)
