"""The reference NER service's protocol, with a model of the test's."""

import asyncio
from concurrent.futures.process import BrokenProcessPool

import pytest
from aiohttp.test_utils import TestClient, TestServer

from demo.ner.server import NerService

PARIS = {"start": 0, "end": 5, "label": "GPE", "text": "Paris", "score": None}


class FakeModel:
    """Finds Paris in every text, once it is loaded and let go."""

    def __init__(self):
        self.loaded = asyncio.Event()
        self.let_go = asyncio.Event()
        self.busy = asyncio.Semaphore(0)
        self.broken = False
        self.closed = False

    async def describe(self):
        """Returns name and version, once the model is loaded."""
        await self.loaded.wait()
        return {"model": "fake", "version": "1"}

    async def extract(self, texts):
        """The same entity in every text, once it is let go."""
        self.busy.release()
        await self.let_go.wait()
        if self.broken:
            raise BrokenProcessPool
        return [[PARIS] if text else [] for text in texts]

    def close(self):
        """Records that it was closed."""
        self.closed = True


def client_of(model, queue=2):
    """A client of a service on that model."""
    return TestClient(TestServer(NerService(model, queue=queue).application()))


async def ask(client, texts):
    """Status, decoded body and headers of one request."""
    async with client.post("/extract", json={"texts": texts}) as response:
        return response.status, await response.json(), response.headers


@pytest.mark.asyncio
async def test_every_text_gets_its_list_in_order():
    """An empty text has an empty list, and no text no list."""
    model = FakeModel()
    model.let_go.set()
    async with client_of(model) as client:
        assert (await ask(client, ["Paris", ""]))[:2] == (200, {"results": [[PARIS], []]})
        assert (await ask(client, []))[:2] == (200, {"results": []})


@pytest.mark.asyncio
async def test_requests_beyond_the_queue_get_429_with_retry_after():
    """Those that wait are answered once the model is free; nothing is lost."""
    model = FakeModel()
    async with client_of(model, queue=2) as client, asyncio.TaskGroup() as group:
        waiting = [group.create_task(ask(client, ["Paris"])) for _ in range(2)]
        await model.busy.acquire()
        await model.busy.acquire()
        status, body, headers = await ask(client, ["Paris"])
        assert (status, headers["Retry-After"]) == (429, "1")
        assert "queue" in body["error"]
        model.let_go.set()
        assert [(await answer)[0] for answer in waiting] == [200, 200]
        stats = await (await client.get("/stats")).json()
        assert stats == {"requests": 3, "texts": 2, "rejected": 1, "held": 0}


@pytest.mark.asyncio
async def test_health_is_503_until_the_model_is_loaded():
    """Then it names the model and its version."""
    model = FakeModel()
    async with client_of(model) as client:
        assert (await client.get("/healthz")).status == 503
        model.loaded.set()
        response = await client.get("/healthz")
        assert response.status == 200
        assert await response.json() == {"status": "ok", "model": "fake", "version": "1"}
    assert model.closed


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "body",
    ["", "[]", '{"text": []}', '{"texts": "Paris"}', '{"texts": [1]}', '{"texts": ["\\ud800"]}'],
)
async def test_a_body_without_usable_texts_gets_400(body):
    """Also half of a surrogate pair, which JSON can spell but no model takes."""
    async with client_of(FakeModel()) as client, client.post("/extract", data=body) as response:
        assert response.status == 400
        assert "texts" in (await response.json())["error"]


@pytest.mark.asyncio
async def test_a_text_too_long_for_the_model_gets_413():
    """The batch can be sent without it."""
    async with client_of(FakeModel()) as client:
        assert (await ask(client, ["x" * 1_000_001]))[0] == 413


@pytest.mark.asyncio
async def test_a_dead_worker_is_a_failure_to_be_retried():
    """503 with a hint, and the place in the queue is free again."""
    model = FakeModel()
    model.broken = True
    model.let_go.set()
    async with client_of(model, queue=1) as client:
        for _ in range(2):
            status, _, headers = await ask(client, ["Paris"])
            assert (status, headers["Retry-After"]) == (503, "1")
