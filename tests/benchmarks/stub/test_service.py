"""The stub service of the benchmarks: its description, and its behaviour over sockets."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict

import aiohttp
import pytest

from benchmarks.common.poison import POISON
from benchmarks.stub.service import Service, spans_of
from benchmarks.stub.start import stub

TEXTS = ["Anna met Bob in Paris", "nobody", "\N{GRINNING FACE} Eve", ""]


async def posted(url, texts, times=1):
    """Sends some requests at once; returns status, headers and body of each."""

    async def one(session):
        async with session.post(url, json={"texts": texts}) as response:
            return response.status, response.headers, await response.read()

    connector, patience = aiohttp.TCPConnector(limit=0), aiohttp.ClientTimeout(total=20)
    async with aiohttp.ClientSession(connector=connector, timeout=patience) as session:
        return await asyncio.gather(*(one(session) for _ in range(times)), return_exceptions=True)


def asked(service, texts, times=1):
    """Returns the answers of a stub and its statistics."""
    with stub(service) as running:
        answers = asyncio.run(posted(running.url, texts, times))
        return answers, running.stop()


def test_capacity_is_slots_times_texts_over_the_time_of_a_request():
    """16 requests at once, each with 32 texts in 52 ms; a service that answers at once has no limit."""
    assert Service().capacity(32) == pytest.approx(16 * 32 / 0.052)
    assert Service().capacity(1) == pytest.approx(16 / 0.021)
    assert Service(slots=None).capacity(32) is None


def test_a_service_goes_through_json_unchanged():
    """This is how it reaches the process of the stub."""
    service = Service(slots=3, changes=((1.0, 2), (2.0, 4)), outage=(0.5, 1.0))
    assert Service.from_json(json.loads(json.dumps(asdict(service)))) == service
    assert Service.from_json(json.loads(json.dumps(asdict(Service())))) == Service()


def test_the_stub_finds_what_the_rule_finds():
    """Offsets are code points; texts without entities have an empty list."""
    [(status, headers, body)], seen = asked(Service(slots=None), TEXTS)
    assert (status, headers["Content-Type"]) == (200, "application/json")
    results = json.loads(body)["results"]
    assert [[(e["start"], e["end"], e["text"]) for e in found] for found in results] == [
        spans_of(text) for text in TEXTS
    ]
    assert results[2] == [{"start": 2, "end": 5, "label": "NAME", "text": "Eve", "score": 0.5}]
    assert (seen["requests"], seen["texts"], seen["ended"]) == (1, 4, {"answered": 1})


def test_beyond_slots_and_queue_requests_are_refused_with_a_hint():
    """One request is worked on, two wait and two are refused; at most four are there at once."""
    answers, seen = asked(Service(slots=1, queue=2, base_s=0.3, retry_after_s=7), ["a"], times=5)
    assert sorted(status for status, _, _ in answers) == [200, 200, 200, 429, 429]
    assert {headers.get("Retry-After") for status, headers, _ in answers if status == 429} == {"7"}
    assert seen["ended"] == {"answered": 3, "throttled": 2}
    assert seen["most_in_flight"] == 4


def test_poison_fails_its_whole_request_after_the_work():
    """The status is 500."""
    [(status, _, _)], seen = asked(Service(), ["fine", f"bad {POISON}"])
    assert status == 500
    assert seen["ended"] == {"poisoned": 1}


@pytest.mark.parametrize(
    ("service", "kind"), [(Service(failing=1.0), "failed"), (Service(resetting=1.0), "reset")]
)
def test_faults_come_as_told(service, kind):
    """A share of requests gets a 503 without a hint, or no answer, whatever the number of texts."""
    answers, seen = asked(service, ["a"], times=3)
    if kind == "failed":
        assert {(status, headers.get("Retry-After")) for status, headers, _ in answers} == {(503, None)}
    else:
        assert all(isinstance(answer, aiohttp.ClientError) for answer in answers)
    assert seen["ended"] == {kind: seen["requests"]}


def test_an_outage_resets_what_is_there_and_what_comes():
    """Three requests are working or waiting when it begins; three more are sent during it."""
    with stub(Service(slots=1, base_s=60.0, outage=(0.1, 60.0))) as running:
        for _ in range(2):
            answers = asyncio.run(posted(running.url, ["a"], times=3))
            assert all(isinstance(answer, aiohttp.ClientError) for answer in answers)
        seen = running.stop()
    assert (seen["ended"], seen["requests"]) == ({"abandoned": 2, "during_outage": 3}, 6)


def test_what_is_no_request_is_refused():
    """The stub keeps running afterwards."""
    with stub(Service()) as running:

        async def spoil():
            async with aiohttp.ClientSession() as session:
                wrong = await session.post(running.url, data=b"[1]")
                right = await session.post(running.url, json={"texts": []})
                return wrong.status, right.status

        assert asyncio.run(spoil()) == (400, 200)
        running.stop()


def test_capacity_changes_when_told():
    """Before the change there are no slots; waiting requests then get the new ones."""
    answers, seen = asked(Service(slots=0, changes=((0.1, 3),)), ["a"], times=3)
    assert [status for status, _, _ in answers] == [200] * 3
    assert seen["ended"] == {"answered": 3}
