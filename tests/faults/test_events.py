"""All that matters in a run is an event, and no event holds a text or a token."""

from __future__ import annotations

import asyncio
import logging

import pytest

from engine import HttpExtractor, Settings, Window, plan_ranges, run, split_range
from tests.support.misbehaviour import status

pytestmark = pytest.mark.asyncio


@pytest.fixture
def told(caplog):
    """Names of the events told so far, and their lines."""
    caplog.set_level(logging.INFO, logger="engine")

    def lines(*names):
        found = [record.getMessage() for record in caplog.records if record.name == "engine"]
        return [line for line in found if not names or line.split()[0] in names]

    return lines


def names_of(lines):
    """Those of the events, in their order; how the limit moved is another matter."""
    return [name for line in lines if (name := line.split()[0]) != "limit_changed"]


async def test_a_run_without_faults(work, told):
    """Planned, each range begun and succeeded, concluded; with ids, counts and times."""
    await work.fill(200)
    report = await work.run(range_concurrency=1)
    lines = told()
    ranges = ["range_begun", "range_succeeded"] * len(report.ranges)
    assert names_of(lines) == ["planned", *ranges, "run_concluded"]
    assert all(f"run={report.run_id}" in line for line in lines if not line.startswith("limit"))
    for line, part in zip(told("range_succeeded"), report.ranges, strict=True):
        assert f"range={part.range_id} read={part.read} written={part.written} unchanged=0" in line
        assert "active_s=" in line


async def test_an_interrupted_run_that_is_resumed(work, told):
    """The service goes down for good after some answers; later the plan is found, and the range resumed."""
    await work.fill(100)

    async def goes_down(request, texts):
        while not await work.database["engine_checkpoints"].find_one({"read": {"$gt": 0}}):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        work.service.down = status(503)
        return await status(503)(request, texts)

    work.service.script.extend([*[None] * 5, goes_down])
    await work.run(max_outage_s=0, max_concurrency=1)
    assert names_of(told()) == [
        "planned",
        "range_begun",
        "service_down",
        "range_interrupted",
        "run_concluded",
    ]
    assert "status=interrupted reconciled=False" in told("run_concluded")[0]

    work.service.down = None
    await work.run(max_outage_s=0, max_concurrency=1)
    assert names_of(told())[5:] == ["plan_found", "range_resumed", "range_succeeded", "run_concluded"]
    assert "attempt=2" in told("range_resumed")[0]


async def test_a_service_that_comes_back(work, told):
    """Down and up again, with the time it took."""
    await work.fill(50)
    work.service.script.extend([status(503)] * 12)
    report = await work.run(max_concurrency=1, circuit_failures=2)
    assert report.reconciled
    assert names_of(told("service_down", "service_up")) == ["service_down", "service_up"]
    assert "after_s=" in told("service_up")[0]


async def test_a_throttled_pause_is_told_once(work, told):
    """The service says it to the endpoint, not to each of the requests that were told to wait."""
    await work.fill(100)
    work.service.delay_s = 0.05
    work.service.script.extend([status(429, Retry_After="7")] * 4)
    report = await work.run(retry_after_max_s=0.5)
    assert (report.reconciled, report.throttled) == (True, 4)
    (line,) = told("service_throttled")
    assert line == "service_throttled pause_s=0.500"


async def test_dead_letters_and_a_failed_range(work, text_of, told):
    """How many, of which kinds and the first `_id`; a wrong address fails the range, and says why."""
    await work.fill(100)
    work.service.poison[text_of(11)] = status(400)
    await work.run()
    (line,) = told("dead_letters")
    assert line.endswith("range=0000 count=1 kinds=permanent first=11")

    work.service.down = status(404)
    await work.run(run_id="wrong", extractor_version="2")
    (line,) = told("range_failed")
    assert "run=wrong range=0000" in line
    assert "404" in line


async def test_a_limit_that_moves(work, told):
    """At most once a second: however many requests there are, a short run tells of one or two."""
    await work.fill(400)
    work.service.delay_s = 0.002
    await work.run(range_documents=400, batch_texts=2, max_concurrency=64)
    lines = told("limit_changed")
    assert 1 <= len(lines) <= 1 + 400 * 0.01
    assert lines[0].startswith("limit_changed before=10 now=")


async def test_a_split_range(work, told):
    """Which one, and how many documents its halves hold."""
    await work.fill(90)
    settings = Settings(run_id="r")
    await plan_ranges(work.source, Window(), settings, work.database)
    await split_range("r", "0000", source=work.source, target=work.database, settings=settings)
    assert told("range_split") == ['range_split run=r range=0000 documents="[45, 45]"']


async def test_no_event_holds_a_text_or_a_token(work, text_of, told):
    """Though the service repeats texts in its refusals, and a token is sent with every request."""
    await work.fill(60)

    async def repeats(request, texts):
        body = {"error": f"cannot read {list(texts)}", "sent": dict(request.headers)}
        return await status(500, body)(request, texts)

    work.service.poison[text_of(11)] = work.service.poison[text_of(40)] = repeats
    async with HttpExtractor(work.service.url, headers={"Authorization": "Bearer s3cret"}) as extractor:
        settings = Settings(retry_base_s=0.001, retry_max_s=0.002, batch_texts=8, circuit_failures=1)
        await run(Window(), source=work.source, extractor=extractor, target=work.database, settings=settings)
    lines = told()
    assert told("dead_letters")
    assert not [line for line in lines if "Ada" in line or "Paris" in line]
    assert not [line for line in lines if "s3cret" in line]
