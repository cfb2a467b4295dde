"""What people write first with asyncio: `gather` over all documents, a semaphore, one text per call."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
from motor.motor_asyncio import AsyncIOMotorClient
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from benchmarks.common.process import Job, Meter, reaching

ATTEMPTS = 5
IN_FLIGHT = 64
WRITE = 1_000

Document = dict[str, Any]


@retry(
    retry=retry_if_exception_type((aiohttp.ClientError, TimeoutError)),
    stop=stop_after_attempt(ATTEMPTS),
    wait=wait_random_exponential(multiplier=0.1, max=5),
)
async def _extract(session: aiohttp.ClientSession, url: str, text: str) -> list[Any]:
    async with session.post(url, json={"texts": [text]}) as response:
        response.raise_for_status()
        entities: list[Any] = (await response.json())["results"][0]
        return entities


async def gather(job: Job, meter: Meter) -> Document:
    """Reads all documents into memory, makes all calls behind a semaphore, then stores all results."""
    client: Any = AsyncIOMotorClient(job.uri)
    source, target = client[job.database][job.collection], client[job.target]["entities"]
    turn = asyncio.Semaphore(IN_FLIGHT)

    async def one(session: aiohttp.ClientSession, document: Document) -> Document:
        async with turn:
            entities = await _extract(session, job.url, document["text"])
            return {"_id": document["_id"], "entities": entities}

    async with reaching(client):
        with meter:
            async with aiohttp.ClientSession() as session:
                documents = await source.find({}, {"text": 1}).sort("created_at", 1).to_list(None)
                results = await asyncio.gather(*(one(session, d) for d in documents), return_exceptions=True)
            found = [result for result in results if isinstance(result, dict)]
            for at in range(0, len(found), WRITE):
                await target.insert_many(found[at : at + WRITE], ordered=False)
    return {"given_up": len(results) - len(found)}
