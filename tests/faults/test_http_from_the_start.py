"""A service that answers no request rightly, because of its address or its HTTP: the run ends at once."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from engine import Status
from tests.support.raw_server import Reply, answer, no_entities, raw_server
from tests.support.work import Work

pytestmark = pytest.mark.asyncio


async def work_with(database, url, count=200):
    """Documents, and a service at this address."""
    work = Work(database, SimpleNamespace(url=url))
    await work.fill(count)
    return work


REFUSED = {
    "a redirect": answer(b"", "307 Temporary", Location="http://127.0.0.1:9/login?next=SECRET"),
    "a redirect to a page": answer(b"<html>", "302 Found", Location="/login", Content_Type="text/html"),
    "a slash": answer(b"", "301 Moved", Location="/extract/"),
    "a length twice": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "brotli": answer(b"\x0b\x02\x80{}\x03", Content_Encoding="br"),
    "a long header": answer({"results": []}, X_Long="x" * 70_000),
    "a large answer": answer({"results": [], "debug": "x" * 3_000}),
    "an empty answer": b"HTTP/1.1 204 No Content\r\n\r\n",
}


@pytest.mark.parametrize("canary", [True, False])
@pytest.mark.parametrize("name", REFUSED)
async def test_the_run_ends_at_once_and_blames_no_document(pymongo_database, name, canary):
    """Waiting for `max_outage_s` would not help. Each range has made a few requests by then."""
    async with raw_server(lambda _: Reply(REFUSED[name])) as server:
        work = await work_with(pymongo_database, server.url)
        report = await work.run(canary=canary, max_outage_s=60.0, max_answer_bytes=2_000)

    assert (report.status, report.written, report.dead_lettered) == (Status.FAILED, 0, 0)
    assert await work.dead_letters() == {}
    assert len(server.requests) <= 16
    assert "the service does not work" in report.problems[0] or "canary" in report.problems[0]


async def test_a_redirect_of_some_texts_is_their_own_fault(pymongo_database):
    """A gateway may send long texts elsewhere; they become dead letters, and all others are written."""

    def handler(request):
        if any("message 7 " in text for text in request.texts):
            return Reply(answer(b"", "307 Temporary", Location="http://127.0.0.1:9/large"))
        return Reply(no_entities(request))

    async with raw_server(handler) as server:
        work = await work_with(pymongo_database, server.url, 40)
        report = await work.run(max_dead_letters=1)

    assert (report.status, report.written) == (Status.SUCCEEDED, 39)
    (letter,) = (await work.dead_letters()).values()
    assert (letter["_id"], letter["kind"], letter["status"]) == (7, "permanent", 307)
    assert "redirects to http://127.0.0.1:9/large" in letter["message"]


async def test_an_error_of_one_text_in_a_207_is_in_its_dead_letter(pymongo_database):
    """The others of its request are written."""

    def handler(request):
        items = [{"status": 422, "error": "bad bytes"} if "message 7 " in t else [] for t in request.texts]
        failed = any(items)
        return Reply(answer({"results": items}, "207 Multi-Status" if failed else "200 OK"))

    async with raw_server(handler) as server:
        work = await work_with(pymongo_database, server.url, 40)
        report = await work.run(max_dead_letters=1)

    assert (report.status, report.written) == (Status.SUCCEEDED, 39)
    (letter,) = (await work.dead_letters()).values()
    assert (letter["_id"], letter["kind"], letter["status"]) == (7, "permanent", 422)
    assert "text 0: status 422: bad bytes" in letter["message"]


async def test_trap_58_a_pause_that_outlives_the_connections_is_no_outage(pymongo_database):
    """Every connection is closed after its first request, without a word: nothing is retried with a wait."""

    def handler(request):
        return Reply(no_entities(request)) if request.number == 1 else Reply(then="reset")

    async with raw_server(handler) as server:
        work = await work_with(pymongo_database, server.url)
        report = await work.run(max_attempts=1, batch_attempts=1, retry_base_s=1000, retry_max_s=1000)

    assert (report.status, report.written, report.dead_lettered) == (Status.SUCCEEDED, 200, 0)
    assert report.requests == len(server.requests)


async def test_a_charset_that_is_declared_loses_no_document(pymongo_database):
    """Entities with letters that latin-1 writes in one byte."""

    def handler(request):
        results = [
            [{"start": 0, "end": len(text), "label": "X", "text": text, "score": None}]
            for text in request.texts
        ]
        body = json.dumps({"results": results}, ensure_ascii=False).encode("latin-1")
        return Reply(answer(body, Content_Type="application/json; charset=iso-8859-1"))

    async with raw_server(handler) as server:
        work = await work_with(pymongo_database, server.url, 20)
        await work.source.update_many(
            {}, [{"$set": {"text": {"$concat": ["Zoë traf José ", {"$toString": "$_id"}]}}}]
        )
        report = await work.run()

    assert (report.status, report.written, report.dead_lettered) == (Status.SUCCEEDED, 20, 0)
    assert (await work.stored())[3][0]["text"] == "Zoë traf José 3"
