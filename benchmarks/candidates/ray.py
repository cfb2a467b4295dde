"""Ray Data with an asynchronous actor, as its documentation recommends for calls to services."""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import ray as ray_library
import ray.data as ray_data
from bson import ObjectId
from pymongo import MongoClient

from benchmarks.common.process import Job, Meter
from benchmarks.common.process_tree import Tree

TEXTS = 32
AT_ONCE = 16
"""Batches in flight in the actor: as many as the service works on at once. Ray's default is 4."""

ATTEMPTS = 5
WRITE = 1_000
_OK = 200

Document = dict[str, Any]


class _Service:
    """The actor. Ray has several of its batches in flight at once. Entities are passed on as JSON."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, batch: Document) -> AsyncIterator[Document]:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        results = await self._extract(self._session, [str(text) for text in batch["text"]])
        yield {"_id": batch["_id"], "entities": [json.dumps(entities) for entities in results]}

    async def _extract(self, session: aiohttp.ClientSession, texts: list[str]) -> list[Any]:
        for attempt in range(ATTEMPTS):
            hint_s = 0.0
            try:
                async with session.post(self._url, json={"texts": texts}) as response:
                    if response.status == _OK:
                        return list((await response.json())["results"])
                    hint_s = float(response.headers.get("Retry-After", 0))
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(hint_s + random.uniform(0, 0.1 * 2**attempt))
        raise RuntimeError("a batch has failed too often")


def ray(job: Job, meter: Meter) -> Document:
    """Reads everything into memory, sends it through the actor, and stores the results batch by batch."""
    path = f"{Path(__file__).parents[2]}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    with MongoClient[Document](job.uri) as client, Tree() as tree:
        environ = {"PYTHONPATH": path, "RAY_DATA_DEFAULT_ASYNC_BATCH_UDF_MAX_CONCURRENCY": str(AT_ONCE)}
        ray_library.init(logging_level="ERROR", runtime_env={"env_vars": environ})
        source, target = client[job.database][job.collection], client[job.target]["entities"]
        with meter:
            found = source.find({}, {"text": 1}).sort("created_at", 1)
            items = [{"_id": str(document["_id"]), "text": document["text"]} for document in found]
            blocks = max(1, len(items) // (AT_ONCE * TEXTS))
            results = ray_data.from_items(items, override_num_blocks=blocks).map_batches(
                _Service, fn_constructor_args=(job.url,), batch_size=TEXTS, concurrency=1
            )
            for batch in results.iter_batches(batch_size=WRITE):
                target.insert_many(list(map(_result, batch["_id"], batch["entities"])), ordered=False)
        ray_library.shutdown()
    return {"cpu_s": tree.cpu_s, "peak_mb": round(tree.peak_mb, 1)}


def _result(document_id: str, entities: str) -> Document:
    return {"_id": ObjectId(str(document_id)), "entities": json.loads(entities)}
