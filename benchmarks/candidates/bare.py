"""A bare loop over sockets: prepared requests, unread answers. It shows the limit of stub and machine."""

from __future__ import annotations

import json
import re
import selectors
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from pymongo import MongoClient

from benchmarks.common.process import Job, Meter

TEXTS = 32
_LENGTH = re.compile(rb"Content-Length: (\d+)\r\n\r\n")
_RECEIVE = 1 << 18


class _Connection:
    """A connection with one request in flight."""

    def __init__(self, address: tuple[str | None, int | None]) -> None:
        self.socket = socket.create_connection(address)
        self._got, self._wanted = b"", 0

    def ask(self, request: bytes) -> None:
        self._got, self._wanted = b"", 0
        self.socket.sendall(request)

    def answered(self) -> bool:
        """Receives the next part of the answer, and says whether the answer is complete."""
        part = self.socket.recv(_RECEIVE)
        if not part:
            raise ConnectionError("the stub has closed a connection")
        self._got += part
        if not self._wanted and (length := _LENGTH.search(self._got)):
            self._wanted = length.end() + int(length[1])
        return len(self._got) == self._wanted


def bare(job: Job, meter: Meter) -> dict[str, Any]:
    """Sends all texts of the collection in full requests, `concurrency` at once; stores nothing."""
    requests = _prepared(job)
    waiting = iter(requests)
    address = urlsplit(job.url)
    connections = [_Connection((address.hostname, address.port)) for _ in range(job.concurrency)]
    with meter, selectors.DefaultSelector() as selector:
        for connection, request in zip(connections, waiting, strict=False):
            connection.ask(request)
            selector.register(connection.socket, selectors.EVENT_READ, connection)
        _exchange(selector, waiting)
    for connection in connections:
        connection.socket.close()
    return {}


def _exchange(selector: selectors.BaseSelector, waiting: Iterator[bytes]) -> None:
    while selector.get_map():
        for key, _ in selector.select():
            if not key.data.answered():
                continue
            request = next(waiting, None)
            if request is None:
                selector.unregister(key.fileobj)
            else:
                key.data.ask(request)


def _prepared(job: Job) -> list[bytes]:
    with MongoClient[dict[str, Any]](job.uri) as client:
        source = client[job.database][job.collection]
        texts = [document["text"] for document in source.find({}, {"text": 1})]
    bodies = [json.dumps({"texts": texts[at : at + TEXTS]}).encode() for at in range(0, len(texts), TEXTS)]
    return [b"POST /extract HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body for body in bodies]
