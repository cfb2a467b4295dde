"""A NER service that fails as a test tells it to. It runs in the test's event loop, or in a thread.

    async with FaultyService(flaky=Flaky(0.2, [status(503), reset])) as service: ...
    with serve_in_thread() as service: ...

It speaks the engine's native format (`POST /extract`), Presidio's (`POST /analyze`) and Hugging Face's
(`POST /`). It finds entities by a rule that tests can apply themselves (`entities_of`), and records every
request.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.support.misbehaviour import Entity, Fault, Flaky, entities_of, status

HEARD_S = 0.02
"""Seconds until all calls of a client know of an answer, at most. Client and service each read a clock."""


@dataclass(frozen=True)
class Call:
    """One request received.

    Attributes:
        at: when it arrived, in seconds on the monotonic clock.
        ended_at: when the answer was sent, or the client gave up.
        answered: whether it got a right answer.
        retry_after_s: the seconds in the answer's header `Retry-After`; None if there were none.
    """

    at: float
    ended_at: float
    path: str
    texts: tuple[str, ...]
    headers: Mapping[str, str]
    answered: bool
    retry_after_s: float | None = None


@dataclass
class FaultyService:
    """The service. Its attributes may be changed while it runs, from any thread.

    Attributes:
        flaky: faults that requests get by chance.
        script: the faults of the next requests, in order; None stands for a right answer.
        poison: by text, the fault of every request that contains it.
        down: the fault of every request, as long as it is set.
        delay_s: seconds that a right answer takes.
        delay_text_s: further seconds for each text of the request.
        queue: the most requests that it holds at once; it answers further ones with status 429.
        tls: makes it speak https; cannot be changed while it runs.
        workers: the most requests that it works on at once; further ones wait in the queue.
        calls: all requests that have ended, in the order of their ends.
        most_in_flight: the most requests that it has held at once.
    """

    flaky: Flaky | None = None
    script: deque[Fault | None] = field(default_factory=deque)
    poison: dict[str, Fault] = field(default_factory=dict)
    down: Fault | None = None
    delay_s: float = 0.0
    delay_text_s: float = 0.0
    queue: int | None = None
    workers: int | None = None
    tls: ssl.SSLContext | None = None
    calls: list[Call] = field(default_factory=list)
    most_in_flight: int = 0
    url: str = ""
    _in_flight: int = 0
    _working: int = 0
    _turn: asyncio.Condition = field(default_factory=asyncio.Condition)
    _runner: web.AppRunner | None = None

    @property
    def received(self) -> Counter[str]:
        """How often each text was received."""
        return Counter(text for call in list(self.calls) for text in call.texts)

    @property
    def answered(self) -> Counter[str]:
        """How often each text got a right answer."""
        return Counter(text for call in list(self.calls) if call.answered for text in call.texts)

    @property
    def disobedient(self) -> list[Call]:
        """Calls that arrived while the client knew that the service had asked it to wait."""
        told = [(c.ended_at + HEARD_S, c.ended_at + c.retry_after_s) for c in self.calls if c.retry_after_s]
        return [c for c in self.calls if any(heard < c.at < until - HEARD_S for heard, until in told)]

    def reset(self) -> None:
        """Gives all attributes that a test may set their defaults, and forgets all calls."""
        new = FaultyService()
        script = ("flaky", "script", "poison", "down", "delay_s", "delay_text_s", "queue", "workers")
        for name in (*script, "calls"):
            setattr(self, name, getattr(new, name))
        self.most_in_flight = self._in_flight

    async def __aenter__(self):
        application = web.Application(client_max_size=16 << 20)
        application.add_routes([web.post("/extract", self._native), web.post("/analyze", self._presidio)])
        application.add_routes([web.post("/", self._hugging_face)])
        self._runner = web.AppRunner(
            application, handler_cancellation=True, shutdown_timeout=0.1, access_log=None
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self.tls).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"{'https' if self.tls else 'http'}://{host}:{port}"
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
        results = [presidio_entities(entities_of(text)) for text in texts]
        return await self._served(request, texts, results if isinstance(body, list) else results[0])

    async def _hugging_face(self, request: web.Request) -> web.StreamResponse:
        body = (await request.json())["inputs"]
        texts = body if isinstance(body, list) else [body]
        results = [hugging_face_entities(entities_of(text)) for text in texts]
        return await self._served(request, texts, results if isinstance(body, list) else results[0])

    async def _served(self, request: web.Request, texts: Sequence[str], answer: Any) -> web.StreamResponse:
        self._in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self._in_flight)
        fault = self._fault_for(texts)
        came, answered, hint = time.monotonic(), False, None
        try:
            if fault is not None:
                response = await fault(request, texts)
                hint = _seconds(response.headers.get("Retry-After", ""))
                return response
            await self._worked(texts)
            answered = True
            return web.json_response(answer)
        finally:  # also if the client has closed the connection
            self._in_flight -= 1
            left = time.monotonic()
            call = Call(came, left, request.path, tuple(texts), dict(request.headers), answered, hint)
            self.calls.append(call)

    async def _worked(self, texts: Sequence[str]) -> None:
        """Waits for a free worker, which then takes its time for these texts."""
        async with self._turn:
            await self._turn.wait_for(lambda: self.workers is None or self._working < self.workers)
            self._working += 1
        try:
            await asyncio.sleep(self.delay_s + self.delay_text_s * len(texts))
        finally:
            async with self._turn:
                self._working -= 1
                self._turn.notify_all()

    def _fault_for(self, texts: Sequence[str]) -> Fault | None:
        if self.down is not None:
            return self.down
        if self.queue is not None and self._in_flight > self.queue:
            return status(429, Retry_After="0")
        if self.script:
            return self.script.popleft()
        poison = next((self.poison[text] for text in texts if text in self.poison), None)
        return poison or (self.flaky.draw() if self.flaky else None)


def _seconds(header: str) -> float | None:
    return float(header) if header.isdigit() else None


def presidio_entities(found: Sequence[Entity]) -> list[Entity]:
    """The entities in Presidio's format."""
    return [
        {
            "start": e["start"],
            "end": e["end"],
            "score": e["score"],
            "entity_type": e["label"],
            "analysis_explanation": None,
        }
        for e in found
    ]


def hugging_face_entities(found: Sequence[Entity]) -> list[Entity]:
    """The entities in Hugging Face's format, with the text as a tokenizer writes it."""
    return [
        {
            "entity_group": e["label"],
            "score": e["score"],
            "word": e["text"].lower(),
            "start": e["start"],
            "end": e["end"],
        }
        for e in found
    ]


@contextmanager
def serve_in_thread(**script: Any) -> Iterator[FaultyService]:
    """Runs the service in a thread with an event loop of its own, for tests that are not asynchronous."""
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
