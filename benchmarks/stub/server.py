"""The stub service, in a process of its own: as little work a request as a Python server can do.

It reads the `Service` as one line of JSON from its standard input, and answers with `{"port"}`. Another line,
or the end of the input, ends it. Its last line of output has its statistics (`ServiceStats.to_json`).
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import sys
from collections import deque
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii as quoted
from typing import Any

from benchmarks.common.poison import POISON
from benchmarks.common.process import cpu_s, run_loop
from benchmarks.stub.service import LABEL, SCORE, Service, spans_of
from benchmarks.stub.stats import ServiceStats

_HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"(?i)\r\ncontent-length:[ \t]*(\d+)")
_REASONS = {200: "OK", 400: "Bad Request", 429: "Too Many Requests", 500: "Server Error", 503: "Unavailable"}


@dataclass(slots=True)
class Request:
    """A request between its arrival and its answer."""

    connection: Connection
    texts: list[str]
    arrived_at: float


class Stub:
    """Works on some requests at once, lets others wait in a queue, and refuses the rest.

    A request that waited begins when the one before it was due, not when the event loop noticed that. So late
    timers cost latency, never capacity.
    """

    def __init__(self, service: Service, loop: asyncio.AbstractEventLoop) -> None:
        self.seen = ServiceStats()
        self.connections: set[Connection] = set()
        self._service, self._loop = service, loop
        self._slots, self._busy = service.slots, 0
        self._waiting: deque[Request] = deque()
        self._rng = random.Random(0)
        self._down = False

    def receive(self, connection: Connection, body: bytes) -> None:
        """Takes a request, and works on it, lets it wait, or refuses it."""
        now = self._loop.time()
        if self.seen.begin(now):
            self._schedule(now)
        try:
            request = Request(connection, json.loads(body)["texts"], now)
        except (ValueError, KeyError, TypeError):
            connection.send(400, b"{}")
            return
        self.seen.arrived()
        if self._fails(request):
            return
        if self._slots is None:
            self._answer(request, now)
        elif self._busy < self._slots:
            self._work(request, now)
        elif len(self._waiting) < self._service.queue:
            self._waiting.append(request)
        else:
            self._refuse(request, 429, "throttled")

    def _schedule(self, now: float) -> None:
        for second, slots in self._service.changes:
            self._loop.call_at(now + second, self._change, slots)
        if self._service.outage:
            begins, lasts = self._service.outage
            self._loop.call_at(now + begins, self._set_down, True)
            self._loop.call_at(now + begins + lasts, self._set_down, False)

    def _change(self, slots: int) -> None:
        self._slots = slots
        self._next(self._loop.time())

    def _set_down(self, down: bool) -> None:  # noqa: FBT001
        self._down = down
        while self._waiting:
            self._waiting.popleft()
            self.seen.ended("abandoned")
        for connection in self.connections:
            connection.reset()

    def _fails(self, request: Request) -> bool:
        """Applies the faults that come before any work; says whether the request has met one."""
        service = self._service
        if self._down:
            self._reset(request, "during_outage")
            return True
        if not service.failing and not service.resetting:
            return False
        chance = self._rng.random()
        if chance < service.failing:
            self._refuse(request, 503, "failed")
        elif chance < service.failing + service.resetting:
            self._reset(request, "reset")
        else:
            return False
        return True

    def _refuse(self, request: Request, status: int, kind: str) -> None:
        self.seen.ended(kind)
        hint = self._service.retry_after_s if status == 429 else None  # noqa: PLR2004
        request.connection.send(status, b'{"error":"refused"}', hint)

    def _reset(self, request: Request, kind: str) -> None:
        self.seen.ended(kind)
        request.connection.reset()

    def _work(self, request: Request, begin: float) -> None:
        self._busy += 1
        due = begin + self._service.request_s(len(request.texts))
        self._loop.call_at(due, self._finish, request, due)

    def _finish(self, request: Request, due: float) -> None:
        self._busy -= 1
        self._answer(request, self._loop.time())
        self._next(due)

    def _next(self, due: float) -> None:
        while self._waiting and self._slots is not None and self._busy < self._slots:
            request = self._waiting.popleft()
            self._work(request, max(due, request.arrived_at))

    def _answer(self, request: Request, now: float) -> None:
        if not request.connection.is_open:
            self.seen.ended("abandoned")
            return
        if any(POISON in text for text in request.texts):
            self._refuse(request, 500, "poisoned")
            return
        request.connection.send(200, _answer_of(request.texts))
        unloaded_s = self._service.request_s(len(request.texts))
        self.seen.answered(now, now - request.arrived_at, unloaded_s, len(request.texts))


def _answer_of(texts: list[str]) -> bytes:
    """Builds the JSON by hand, which takes half the time of `json.dumps`."""
    results = ",".join(["[" + ",".join([_entity(*span) for span in spans_of(text)]) + "]" for text in texts])
    return f'{{"results":[{results}]}}'.encode()


def _entity(start: int, end: int, form: str) -> str:
    return f'{{"start":{start},"end":{end},"label":"{LABEL}","text":{quoted(form)},"score":{SCORE}}}'


class Connection(asyncio.Protocol):
    """A connection of HTTP/1.1 with keep-alive: one request after another, each with a Content-Length."""

    def __init__(self, stub: Stub) -> None:
        self._stub, self._buffer = stub, b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Registers the connection."""
        self._transport = transport
        self._stub.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Removes the connection. Its requests go on, as they would at a real service."""
        self._stub.connections.discard(self)

    @property
    def is_open(self) -> bool:
        """Whether the client may still be waiting for an answer."""
        return not self._transport.is_closing()

    def data_received(self, data: bytes) -> None:
        """Hands on every request that is complete."""
        self._buffer += data
        while (head := self._buffer.find(_HEAD_END)) >= 0:
            length = _LENGTH.search(self._buffer, 0, head)
            end = head + len(_HEAD_END) + (int(length[1]) if length else 0)
            if len(self._buffer) < end:
                return
            body, self._buffer = self._buffer[head + len(_HEAD_END) : end], self._buffer[end:]
            self._stub.receive(self, body)

    def send(self, status: int, body: bytes, retry_after_s: int | None = None) -> None:
        """Sends an answer."""
        hint = "" if retry_after_s is None else f"Retry-After: {retry_after_s}\r\n"
        head = (
            f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: application/json\r\n"
            f"{hint}Content-Length: {len(body)}\r\n\r\n"
        )
        self._transport.write(head.encode() + body)

    def reset(self) -> None:
        """Resets the connection without an answer."""
        self._transport.abort()


async def serve(service: Service) -> dict[str, Any]:
    """Serves until a line or the end of the input; returns the statistics."""
    loop = asyncio.get_running_loop()
    stub, stopped = Stub(service, loop), asyncio.Event()
    server = await loop.create_server(lambda: Connection(stub), "127.0.0.1", 0, backlog=1024)
    loop.add_reader(sys.stdin.fileno(), stopped.set)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await stopped.wait()
    loop.remove_reader(sys.stdin.fileno())
    server.close()
    return {**stub.seen.to_json(), "stub_cpu_s": round(cpu_s(), 3)}


if __name__ == "__main__":
    print(json.dumps(run_loop(serve(Service.from_json(json.loads(sys.stdin.buffer.raw.readline()))))))
