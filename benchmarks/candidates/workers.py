"""What an expert writes for this one job: workers on a queue, batches, one session, one cursor.

The engine is compared with this program, so it wastes nothing: no cookies, no models, bytes in and out, the
next page is fetched while the current one is processed, results are inserted a thousand at a time by the
worker that fills the buffer. It lacks what the engine is for: its concurrency must be known beforehand, a
batch that fails five times is given up whole, nothing is resumed, and nothing is proved.
"""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiohttp
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import AsyncMongoClient

from benchmarks.common.process import Job, Meter, reaching

TEXTS = 32
ATTEMPTS = 5
BASE_S, MOST_S = 0.1, 5.0
WIDE_TEXTS = 64
"""Texts per request of `workers_wide`: the engine's default."""
PAGE = 64 * TEXTS
WRITE = 1_000
TIMEOUT_S = 60.0

_HEADERS = {"Content-Type": "application/json"}
_PROJECTION = {"_id": 1, "text": 1}
_ORDER = [("created_at", 1), ("_id", 1)]
_TOO_MANY = 429
_OK = 200

Document = dict[str, Any]


@dataclass
class Workers:
    """The whole program: one reader and `concurrency` workers.

    Attributes:
        failed: the number of documents in batches that were given up.
    """

    session: aiohttp.ClientSession
    source: Any
    target: Any
    url: str
    concurrency: int
    texts: int = TEXTS
    failed: int = 0
    _results: list[Document] = field(default_factory=list)
    _writes: set[asyncio.Task[Any]] = field(default_factory=set)

    async def run(self) -> None:
        """Processes the whole collection once."""
        self._queue: asyncio.Queue[list[Document] | None] = asyncio.Queue(2 * self.concurrency)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read())
            for _ in range(self.concurrency):
                group.create_task(self._work())
        if self._results:
            await self._insert()

    async def _read(self) -> None:
        cursor = self.source.find({}, _PROJECTION).sort(_ORDER).batch_size(PAGE)
        ahead = asyncio.ensure_future(cursor.to_list(PAGE))
        while page := await ahead:
            ahead = asyncio.ensure_future(cursor.to_list(PAGE))
            for at in range(0, len(page), self.texts):
                await self._queue.put(page[at : at + self.texts])
        for _ in range(self.concurrency):
            await self._queue.put(None)

    async def _work(self) -> None:
        while (batch := await self._queue.get()) is not None:
            body = json.dumps({"texts": [document["text"] for document in batch]}).encode()
            results = await self._extract(body)
            if results is None:
                self.failed += len(batch)
                continue
            now = datetime.now(UTC)
            self._results += [
                {"_id": document["_id"], "entities": entities, "extracted_at": now}
                for document, entities in zip(batch, results, strict=True)
            ]
            if len(self._results) >= WRITE:
                await self._insert()

    async def _insert(self) -> None:
        ready, self._results = self._results, []
        await self.target.insert_many(ready, ordered=False)

    async def _extract(self, body: bytes) -> list[Any] | None:
        """Returns the results of a batch; None if the last attempt failed too."""
        for attempt in range(ATTEMPTS):
            hint_s = 0.0
            try:
                async with self.session.post(self.url, data=body, headers=_HEADERS) as response:
                    answer = await response.read()
                    if response.status == _OK:
                        results: list[Any] = json.loads(answer)["results"]
                        return results
                    if response.status == _TOO_MANY:
                        hint_s = float(response.headers.get("Retry-After", 0))
            except (aiohttp.ClientError, TimeoutError):
                pass
            if attempt < ATTEMPTS - 1:
                await asyncio.sleep(hint_s + random.uniform(0, min(MOST_S, BASE_S * 2**attempt)))
        return None


async def workers(job: Job, meter: Meter) -> Document:
    """Runs the program; `given_up` counts the documents of batches that failed too often."""
    return await _run(job, meter, AsyncIOMotorClient(job.uri))


async def workers_wide(job: Job, meter: Meter) -> Document:
    """Does the same with twice as many texts per request."""
    return await _run(job, meter, AsyncIOMotorClient(job.uri), WIDE_TEXTS)


async def workers_on_pymongo(job: Job, meter: Meter) -> Document:
    """Does the same through PyMongo's own asynchronous client."""
    return await _run(job, meter, AsyncMongoClient(job.uri))


async def _run(job: Job, meter: Meter, client: Any, texts: int = TEXTS) -> Document:
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=job.concurrency),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
    )
    async with reaching(client), session:
        source, target = client[job.database][job.collection], client[job.target]["entities"]
        program = Workers(session, source, target, job.url, job.concurrency, texts)
        with meter:
            await program.run()
    return {"given_up": program.failed}
