"""What people write first without asyncio: the loop of a blog post, and a pool of threads."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import requests
from pymongo import MongoClient
from pymongo.collection import Collection
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from benchmarks.common.process import Job, Meter

PAGE = 1_000
THREADS = 64
RETRIES = 5
TIMEOUT_S = 30

Document = dict[str, Any]


def _pages(source: Collection[Document]) -> Iterator[list[Document]]:
    for number in count():
        found = source.find({}, {"text": 1}).sort("created_at", 1).skip(number * PAGE).limit(PAGE)
        page = list(found)
        if not page:
            return
        yield page


def blog(job: Job, meter: Meter) -> Document:
    """Reads pages by `skip` and `limit`, calls one by one, upserts each result; ends at the first failure."""
    with MongoClient[Document](job.uri) as client:
        source, target = client[job.database][job.collection], client[job.target]["entities"]
        with meter:
            for page in _pages(source):
                for document in page:
                    answer = requests.post(job.url, json={"texts": [document["text"]]}, timeout=TIMEOUT_S)
                    answer.raise_for_status()
                    entities = answer.json()["results"][0]
                    target.update_one({"_id": document["_id"]}, {"$set": {"entities": entities}}, upsert=True)
    return {}


def threads(job: Job, meter: Meter) -> Document:
    """Reads the same pages, makes 64 calls at once with urllib3's retries, inserts results page by page."""
    retry = Retry(
        total=RETRIES,
        backoff_factor=0.1,
        backoff_jitter=0.1,
        status_forcelist=(429, 500, 502, 503, 504),
        allowed_methods=None,
    )
    given_up = 0
    with (
        MongoClient[Document](job.uri) as client,
        requests.Session() as session,
        ThreadPoolExecutor(THREADS) as pool,
    ):
        session.mount("http://", HTTPAdapter(pool_maxsize=THREADS, max_retries=retry))
        source, target = client[job.database][job.collection], client[job.target]["entities"]

        def one(document: Document) -> Document | None:
            try:
                answer = session.post(job.url, json={"texts": [document["text"]]}, timeout=TIMEOUT_S)
                answer.raise_for_status()
            except requests.RequestException:
                return None
            return {"_id": document["_id"], "entities": answer.json()["results"][0]}

        with meter:
            for page in _pages(source):
                found = [result for result in pool.map(one, page) if result]
                given_up += len(page) - len(found)
                target.insert_many(found, ordered=False)
    return {"given_up": given_up}
