"""Requests and answers in each format, exchanged with a small server."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from engine import (
    ConfigError,
    Entity,
    ExtractionError,
    Failure,
    HttpExtractor,
    Settings,
    Status,
    Tuning,
    Window,
    run,
)
from engine.calling.caller import Caller, Refusal
from engine.calling.endpoint import Endpoint, endpoint_of
from tests.support.samples import fill, message

pytestmark = pytest.mark.asyncio


def texts_a_request(extractor, **settings):
    """How many texts a request of this extractor is cut at."""
    return endpoint_of(extractor, Settings(**settings)).size.next_cut()[0]


@asynccontextmanager
async def serving(handler):
    """The address of a server that passes every request to a handler, and the list of requests and bodies."""
    seen = []

    async def handle(request):
        seen.append((request, await request.read()))
        return handler(seen[-1][1])

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}", seen
    finally:
        await runner.cleanup()


def text_answer(body, content_type):
    """An answer with status 200 and this body."""
    return lambda _body: web.Response(text=body, content_type=content_type)


async def ask(url, texts, **arguments):
    """Sends one request without a canary; returns the result."""
    async with HttpExtractor(url, canary=False, **arguments) as extractor:
        return await extractor.extract(texts)


async def test_corenlp_gets_the_text_itself_and_its_properties_in_the_query():
    """The text is sent as UTF-8 with its charset; properties in the address are kept."""
    mention = {"characterOffsetBegin": 3, "characterOffsetEnd": 6, "ner": "PERSON", "text": "Ann"}
    answer = json.dumps({"sentences": [{"entitymentions": [mention]}]})
    async with serving(text_answer(answer, "application/json")) as (url, seen):
        found = await ask(url, ["😀 Ann"], format="corenlp")
        await ask(f"{url}/nlp?properties=mine&pipelineLanguage=de", ["Dr Ann"], format="corenlp")

    assert found == [[Entity(2, 5, "PERSON", "Ann")]]
    (request, body), (other, _) = seen
    assert body.decode() == "😀 Ann"
    assert (request.path, request.headers["Content-Type"]) == ("/", "text/plain; charset=utf-8")
    assert json.loads(request.query["properties"])["annotators"].endswith("ner")
    assert other.path_qs == "/nlp?properties=mine&pipelineLanguage=de"


async def test_comprehend_gets_its_headers_and_json():
    """The AWS JSON protocol's headers are sent, except the signature: a gateway or a header adds that."""
    answer = '{"ResultList": [{"Index": 0, "Entities": []}], "ErrorList": []}'
    async with serving(text_answer(answer, "application/x-amz-json-1.1")) as (url, seen):
        parameters = {"LanguageCode": "de"}
        assert await ask(url, ["x"], format="comprehend", parameters=parameters) == [[]]

    ((request, body),) = seen
    assert request.headers["X-Amz-Target"] == "Comprehend_20171127.BatchDetectEntities"
    assert json.loads(body) == {"TextList": ["x"], "LanguageCode": "de"}


async def test_one_bad_text_of_comprehend_fails_no_other():
    """An error list with one text: it is refused after one attempt of its own; the others get entities."""

    def handler(body):
        texts = json.loads(body)["TextList"]
        bad = {"ErrorCode": "TextSizeLimitExceededException", "ErrorMessage": "too long"}
        entity = {"BeginOffset": 0, "EndOffset": 4, "Type": "X", "Score": 0.5}
        good = [(n, {**entity, "Text": text[:4]}) for n, text in enumerate(texts) if text != "bad"]
        results = [{"Index": n, "Entities": [found]} for n, found in good]
        errors = [{"Index": n, **bad} for n, text in enumerate(texts) if text == "bad"]
        return web.json_response({"ResultList": results, "ErrorList": errors})

    texts = [*[f"good {n}" for n in range(12)], "bad", *[f"good {n}" for n in range(12)]]
    settings = Settings(tuning=Tuning(retry_base_s=0))
    async with (
        serving(handler) as (url, seen),
        HttpExtractor(url, format="comprehend", canary=False) as extractor,
    ):
        outcomes = await Caller(extractor, Endpoint(settings), settings).extract(texts)

    refused = outcomes.pop(12)
    assert isinstance(refused, Refusal)
    assert (refused.kind, refused.attempts) == (Failure.PERMANENT, 1)
    assert "TextSizeLimitExceeded" in refused.message
    assert outcomes == [(Entity(0, 4, "X", "good", 0.5),)] * 24
    assert len(seen) <= 16  # one batch, two halves on each of five levels, and probes


@pytest.mark.parametrize(
    ("body", "content_type", "failure", "says"),
    [
        ("<html>It works!</html>", "text/html", Failure.TRANSIENT, "type text/html, 22 bytes .*proxy"),
        ("", "text/plain", Failure.TRANSIENT, "content type text/plain, 0 bytes"),
        ('{"results": [[', "application/json", Failure.PERMANENT, "not JSON: content type application/json"),
        ('{"outcome": []}', "application/json", Failure.PERMANENT, "not have the shape of format 'native'"),
        ("[]", "application/json", Failure.PERMANENT, "not have the shape"),
    ],
)
async def test_trap_27_an_answer_that_is_none_says_what_came(body, content_type, failure, says):
    """A page from a proxy is transient; an invalid answer of the service itself is not."""
    async with serving(text_answer(body, content_type)) as (url, _):
        with pytest.raises(ExtractionError, match=says) as raised:
            await ask(url, ["Jane"])
    assert (raised.value.failure, raised.value.status) == (failure, 200)


async def test_a_page_that_quotes_the_text_is_not_kept():
    """Texts are private, so error messages must not contain them."""
    async with serving(text_answer("<html>blocked: Jane Doe is here</html>", "text/html")) as (url, _):
        with pytest.raises(ExtractionError, match="blocked") as raised:
            await ask(url, ["Jane Doe is here"])
    assert "Jane" not in str(raised.value)


async def test_json_is_json_under_any_content_type():
    """Frameworks send a string as text/html by default; strings may contain control characters."""
    answer = '{"results": [[{"start": 0, "end": 4, "label": "a\x0bb", "text": "Jane"}]]}'
    async with serving(text_answer(answer, "text/html")) as (url, _):
        assert await ask(url, ["Jane"]) == [[Entity(0, 4, "a\x0bb", "Jane")]]


async def test_a_format_bounds_the_texts_of_a_request():
    """The engine cuts batches to this limit; passing more texts is an error, and no request is sent."""
    async with serving(text_answer("", "text/plain")) as (url, seen):
        extractor = HttpExtractor(url, format="gliner")
        assert texts_a_request(extractor, batch_texts=32) == 1
        assert texts_a_request(HttpExtractor(url), batch_texts=32) == 32
        assert texts_a_request(HttpExtractor(url, format="comprehend"), batch_texts=8) == 8
        async with extractor:
            with pytest.raises(ConfigError, match="'gliner' takes 1 texts a request at most, got 2"):
                await extractor.extract(["a", "b"])
    assert seen == []


async def test_an_extractor_opened_again_sends_a_canary_again():
    """The service may have been replaced meanwhile."""
    async with serving(text_answer('{"entities": []}', "application/json")) as (url, seen):
        extractor = HttpExtractor(url, format="gliner")
        for _ in range(2):
            async with extractor:
                await extractor.extract(["a"])
                await extractor.extract(["b"])
    assert len(seen) == 6


async def test_an_unknown_unit_is_refused_before_any_work():
    """The message lists the known ones."""
    with pytest.raises(ConfigError, match="unknown unit of offsets 'chars'; use one of code_points, utf16"):
        HttpExtractor("http://localhost", offsets="chars")


async def test_a_run_cuts_batches_to_what_the_format_takes(pymongo_database):
    """One text a request, whatever `batch_texts` says, after the canary."""
    source = await fill(pymongo_database["messages"], [message(n, n, f"text {n}") for n in range(5)])
    async with serving(text_answer('{"entities": []}', "application/json")) as (url, seen):
        report = await run(
            Window(),
            source=source,
            extractor=HttpExtractor(url, format="gliner"),
            target=pymongo_database,
            settings=Settings(batch_texts=32),
        )
    assert (report.status, report.requests) == (Status.SUCCEEDED, 5)
    assert sorted(json.loads(body)["text"] for _, body in seen)[1:] == [f"text {n}" for n in range(5)]
