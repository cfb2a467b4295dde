r"""A server of raw bytes: it answers what no HTTP library would send, and closes connections as it likes.

async with raw_server(lambda request: Reply(b"HTTP/1.1 200 OK\r\n...")) as server: ...
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Request:
    """One request, as it was received.

    Attributes:
        connection: its connection's number, from 1.
        number: its number on this connection, from 1.
        head: request line and headers.
    """

    connection: int
    number: int
    head: str
    body: bytes

    @property
    def texts(self) -> list[str]:
        """The texts of a request in the native format."""
        texts: list[str] = json.loads(self.body)["texts"]
        return texts


@dataclass(frozen=True)
class Reply:
    """Bytes to send, and what happens to the connection then."""

    data: bytes = b""
    then: Literal["keep", "close", "reset", "hang"] = "keep"


@dataclass
class RawServer:
    """The server. `idle_s` is how long it keeps a connection without a request."""

    handler: Callable[[Request], Reply]
    idle_s: float | None = None
    url: str = ""
    connections: int = 0
    requests: list[Request] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers the requests of one connection."""
        self.connections += 1
        connection, number = self.connections, 0
        with suppress(ConnectionError, asyncio.IncompleteReadError, TimeoutError):
            while True:
                number += 1
                request = await asyncio.wait_for(_received(reader, connection, number), self.idle_s)
                self.requests.append(request)
                reply = self.handler(request)
                writer.write(reply.data)
                await writer.drain()
                if reply.then == "reset":
                    writer.transport.abort()
                elif reply.then == "hang":
                    await asyncio.Event().wait()
                if reply.then != "keep":
                    break
        writer.close()


async def _received(reader: asyncio.StreamReader, connection: int, number: int) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    length = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
    body = await reader.readexactly(int(length[1])) if length else b""
    return Request(connection, number, head, body)


@asynccontextmanager
async def raw_server(
    handler: Callable[[Request], Reply], *, idle_s: float | None = None
) -> AsyncIterator[RawServer]:
    """A server on a free port; its connections end with it."""
    server = RawServer(handler, idle_s)
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with suppress(asyncio.CancelledError):
            await server.serve(reader, writer)
        writer.transport.abort()

    listening = await asyncio.start_server(connected, "127.0.0.1", 0)
    host, port = listening.sockets[0].getsockname()
    server.url = f"http://{host}:{port}"
    try:
        yield server
    finally:
        listening.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def answer(body: bytes | Any, status: str = "200 OK", **headers: str) -> bytes:
    """An answer with these headers, `Content_Type="x"` for `Content-Type: x`. The body is JSON, or bytes."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {"Content-Type": "application/json", "Content-Length": str(len(data))}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode("latin-1") + data


def no_entities(request: Request, **headers: str) -> bytes:
    """A right answer in the native format that finds nothing."""
    return answer({"results": [[] for _ in request.texts]}, **headers)
