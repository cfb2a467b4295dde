"""Kept connections: one that the server has closed meanwhile costs no attempt."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from engine import ExtractionError, Failure, HttpExtractor
from engine.calling.caller import Caller
from engine.calling.endpoint import Endpoint
from engine.settings import Settings
from tests.support.raw_server import Reply, no_entities, raw_server

pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize("then", ["close", "reset"])
async def test_trap_58_a_request_on_a_stale_connection_is_sent_again_over_a_new_one(then):
    """Both ways in which a server ends a connection; the extractor does it without the engine's help."""

    def handler(request):
        return Reply(no_entities(request)) if request.number == 1 else Reply(then=then)

    async with raw_server(handler) as server, HttpExtractor(server.url, canary=False) as extractor:
        for _ in range(4):
            assert await extractor.extract(["Ada"]) == [[]]

    assert [request.number for request in server.requests] == [1, 2, 1, 1, 2, 1]


async def test_trap_58_a_whole_pool_of_stale_connections_costs_no_attempt():
    """All of 16 calls at once meet one; none is charged, no wait is made, and each request is counted."""
    stale = False

    def handler(request):
        return Reply(then="reset") if stale and request.number > 1 else Reply(no_entities(request))

    settings = Settings(
        max_attempts=1, min_concurrency=16, tuning={"retry_base_s": 1000, "batch_attempts": 1}
    )
    async with raw_server(handler) as server, HttpExtractor(server.url, canary=False) as extractor:
        endpoint = Endpoint(settings)
        caller = Caller(extractor, endpoint, settings)
        for stale in (False, True):  # noqa: B007
            async with asyncio.timeout(10):
                found = await asyncio.gather(*(caller.extract([f"text {n}"]) for n in range(16)))
            assert found == [[()]] * 16

        assert caller.counter.requests == len(server.requests) == 48
        assert (caller.counter.retries, endpoint.circuit.outages) == (16, 0)


@pytest.mark.parametrize(
    "begun",
    [b"HTTP/1.1 2", b"HTTP/1.1 200 OK\r\nContent-", b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{"],
)
async def test_an_answer_that_broke_off_is_not_asked_for_again_at_once(begun):
    """The service was at work on the request: that may be its fault, so the attempt counts."""

    def handler(request):
        return Reply(no_entities(request)) if request.number == 1 else Reply(begun, "close")

    async with raw_server(handler) as server, HttpExtractor(server.url, canary=False) as extractor:
        await extractor.extract(["Ada"])
        with pytest.raises(ExtractionError) as raised:
            await extractor.extract(["Ada"])

    assert raised.value.failure is Failure.TRANSIENT
    assert len(server.requests) == 2


async def test_a_new_connection_that_gives_no_answer_counts():
    """It cannot be stale."""
    async with (
        raw_server(lambda _: Reply(then="close")) as server,
        HttpExtractor(server.url, canary=False) as extractor,
    ):
        with pytest.raises(ExtractionError, match="disconnected") as raised:
            await extractor.extract(["Ada"])
    assert (raised.value.failure, len(server.requests)) == (Failure.TRANSIENT, 1)


async def test_trap_58_a_probe_goes_over_a_new_connection():
    """The kept connection says nothing any more, as behind a firewall that has forgotten it."""

    def handler(request):
        return Reply(no_entities(request)) if request.number == 1 else Reply(then="hang")

    async with (
        raw_server(handler) as server,
        HttpExtractor(server.url, canary=False, timeout_s=5) as extractor,
    ):
        await extractor.extract(["Ada"])
        async with asyncio.timeout(2):
            assert await extractor.probe(["Ada"]) == [[]]
    assert [(request.connection, request.number) for request in server.requests] == [(1, 1), (2, 1)]


async def test_connections_are_given_up_before_servers_close_them(monkeypatch):
    """Servers keep them for 5 s, often; the client's connector is asked, so that no test waits."""
    asked = []
    init = aiohttp.TCPConnector.__init__

    def recording(self, **options):
        asked.append(options.get("keepalive_timeout", 0))
        init(self, **options)

    monkeypatch.setattr(aiohttp.TCPConnector, "__init__", recording)
    async with HttpExtractor("http://127.0.0.1:9", canary=False):
        pass
    assert 0 < max(asked) < 5
