"""Words of a document never decide how an error is classified."""

from __future__ import annotations

import json

import pytest
from aiohttp import web
from yarl import URL

from engine import Failure, Status
from engine.extractors.formats import FORMATS
from engine.extractors.http.answers import AnswerReader
from tests.support.misbehaviour import status
from tests.support.work import document

LOADING, REFUSED, THROTTLED = "is currently loading", "No text provided", "ThrottlingException"
HUGGING_FACE, PRESIDIO, COMPREHEND = FORMATS["huggingface"], FORMATS["presidio"], FORMATS["comprehend"]


class Response:
    """An answer with an error status."""

    def __init__(self, status):
        self.status, self.headers, self.method = status, {}, "POST"


def failure(shape, code, body, *texts):
    """How an answer with this status and body, to a request with these texts, is classified."""
    raw = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    reader = AnswerReader(shape, URL("http://ner/"), ())
    return reader.refusal_of(texts, Response(code), raw).failure


TEXT = f"The printer {LOADING} paper, they said"
SHORT = f"{REFUSED} here"


@pytest.mark.parametrize(
    ("shape", "code", "body", "text"),
    [
        (HUGGING_FACE, 422, {"detail": [{"type": "x", "msg": "too odd", "input": TEXT}]}, TEXT),
        (HUGGING_FACE, 422, {"error": f"cannot read {TEXT!r}"}, TEXT),
        (HUGGING_FACE, 422, {"error": {"message": "too odd", "inputs": [TEXT]}}, TEXT),
        (HUGGING_FACE, 400, f"Bad Request: {TEXT}", TEXT),
        (HUGGING_FACE, 400, f"<pre>cannot read {TEXT[5:40]}</pre>", TEXT),
        (HUGGING_FACE, 400, json.dumps({"error": json.dumps({"text": 'a "b" ' + TEXT})}), 'a "b" ' + TEXT),
        (HUGGING_FACE, 400, {"error": f"cannot read {TEXT}"}, TEXT + " and more" * 300_000),
        (HUGGING_FACE, 400, {"error": "odd", "input": TEXT * 40_000}, TEXT * 40_000),
        (COMPREHEND, 400, {"__type": "TextSizeLimit", "message": f"text: {THROTTLED} 1"}, f"{THROTTLED} 1"),
        (HUGGING_FACE, 400, f"cannot read {LOADING}", LOADING),
    ],
)
def test_trap_18_a_quoted_phrase_does_not_throttle(shape, code, body, text):
    """The request is refused, whatever its text says: in a field of the input, or in the message."""
    assert failure(shape, code, body, "another text", text) is Failure.PERMANENT


@pytest.mark.parametrize(
    "body",
    [
        {"detail": "upstream is down", "request": {"text": SHORT}},
        {"error": f"upstream is down; the request was {SHORT}"},
        {"errors": [{"title": "upstream is down", "source": SHORT}]},
        f"upstream is down: {SHORT}",
    ],
)
def test_trap_18_a_quoted_phrase_does_not_refuse(body):
    """The service is down, whatever the text says."""
    assert failure(PRESIDIO, 503, body, SHORT) is Failure.TRANSIENT


@pytest.mark.parametrize(
    ("shape", "code", "body", "expected"),
    [
        (HUGGING_FACE, 503, {"error": f"Model x {LOADING}", "estimated_time": 20.0}, Failure.THROTTLED),
        (HUGGING_FACE, 503, {"error": [f"Model x {LOADING}"]}, Failure.THROTTLED),
        (HUGGING_FACE, 503, {"detail": {"error_message": f"Model x {LOADING}"}}, Failure.THROTTLED),
        (HUGGING_FACE, 400, f"Model x {LOADING}", Failure.THROTTLED),
        (PRESIDIO, 500, {"error": REFUSED}, Failure.PERMANENT),
        (PRESIDIO, 500, json.dumps(REFUSED), Failure.PERMANENT),
        (COMPREHEND, 400, {"__type": THROTTLED, "message": "Rate exceeded"}, Failure.THROTTLED),
        (HUGGING_FACE, 503, {"error": "down", "detail": {"a": 1}}, Failure.TRANSIENT),
        (HUGGING_FACE, 400, b"[" * 100_000, Failure.PERMANENT),
    ],
)
def test_trap_18_the_words_of_the_service_count(shape, code, body, expected):
    """In the fields that hold errors, or in a body that is not JSON."""
    assert failure(shape, code, body, "Ada in Paris") is expected


@pytest.mark.asyncio
async def test_trap_18_a_run_is_not_interrupted_by_the_words_of_a_document(work):
    """A service that echoes its input refuses one text, which holds the phrase of a format."""
    await work.fill(40)
    text = f"the model {LOADING}, says document 7"
    await work.source.replace_one({"_id": 7}, {**document(7), "text": text})

    async def answer(_request, texts):
        inputs = texts if isinstance(texts, list) else [texts]
        return web.json_response([[] for _ in inputs] if isinstance(texts, list) else [])

    async def serve(request):
        texts = (await request.json())["inputs"]
        if text in texts:
            detail = [{"loc": ["body"], "msg": "too odd", "input": texts}]
            return await status(422, {"detail": detail})(request, texts)
        return await answer(request, texts)

    application = web.Application()
    application.add_routes([web.post("/", serve)])
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        work.service.url = "http://{}:{}".format(*runner.addresses[0][:2])
        report = await work.run(format="huggingface", max_throttled_s=0.2)
    finally:
        await runner.cleanup()
    assert (report.status, report.written, report.dead_lettered) == (Status.FAILED, 39, 1)
    assert list(await work.dead_letters()) == [7]
