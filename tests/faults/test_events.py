"""Every important step of a run is logged as an event, and no event contains a text or a token."""

from __future__ import annotations

import asyncio
import logging

import pytest

from engine import HttpExtractor, Settings, Tuning, Window, plan_ranges, run, split_range
from tests.support.misbehaviour import status

pytestmark = pytest.mark.asyncio


@pytest.fixture
def told(caplog):
    """The names of the events logged so far, and their lines."""
    caplog.set_level(logging.INFO, logger="engine")

    def lines(*names):
        found = [record.getMessage() for record in caplog.records if record.name == "engine"]
        return [line for line in found if not names or line.split()[0] in names]

    return lines


def names_of(lines):
    """The names of the events in their order, without those of the limit, which depend on timing."""
    return [name for line in lines if (name := line.split()[0]) != "limit_changed"]


async def test_a_run_without_faults(work, told):
    """Its events are: planned, each range started and succeeded, ended; with ids, counts and times."""
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
    """The service goes down for good; the next run finds the plan and resumes the range."""
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
    assert "verdict=" in told("run_concluded")[0]
    assert "status=interrupted reconciled=False" in told("run_concluded")[0]

    work.service.down = None
    await work.run(max_outage_s=0, max_concurrency=1)
    assert names_of(told())[5:] == ["plan_found", "range_resumed", "range_succeeded", "run_concluded"]
    assert "attempt=2" in told("range_resumed")[0]


async def test_a_service_that_comes_back(work, told):
    """The outage has two events, its start and its end; the second has its duration."""
    await work.fill(50)
    work.service.script.extend([status(503)] * 12)
    report = await work.run(max_concurrency=1, circuit_failures=2)
    assert report.reconciled
    assert names_of(told("service_down", "service_up")) == ["service_down", "service_up"]
    assert "after_s=" in told("service_up")[0]


async def test_a_throttled_pause_is_told_once(work, told):
    """A pause belongs to the endpoint: it is one event, although several requests were told to wait."""
    await work.fill(100)
    work.service.delay_s = 0.05
    work.service.script.extend([status(429, Retry_After="7")] * 4)
    report = await work.run(retry_after_max_s=0.5)
    assert (report.reconciled, report.throttled) == (True, 4)
    (line,) = told("service_throttled")
    assert line == "service_throttled pause_s=0.500"


async def test_dead_letters_and_a_failed_range(work, text_of, told):
    """The events say how many dead letters there are, of which classes, and why a range failed."""
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
    """A change of the limit is logged at most once a second: a short run has one or two such events."""
    await work.fill(400)
    work.service.delay_s = 0.002
    await work.run(range_documents=400, batch_texts=2, max_concurrency=64)
    lines = told("limit_changed")
    assert 1 <= len(lines) <= 1 + 400 * 0.01
    assert lines[0].startswith("limit_changed before=10 now=")


async def test_a_split_range(work, told):
    """The event says which range was split, and how many documents each half has."""
    await work.fill(90)
    settings = Settings(run_id="r")
    await plan_ranges(work.source, Window(), settings, work.database)
    await split_range("r", "0000", source=work.source, target=work.database, settings=settings)
    assert told("range_split") == ['range_split run=r range=0000 documents="[45, 45]"']


async def test_no_event_holds_a_text_or_a_token(work, text_of, told):
    """The service repeats texts in its refusals and gets a token with each request; no event has either."""
    await work.fill(60)

    async def repeats(request, texts):
        body = {"error": f"cannot read {list(texts)}", "sent": dict(request.headers)}
        return await status(500, body)(request, texts)

    work.service.poison[text_of(11)] = work.service.poison[text_of(40)] = repeats
    async with HttpExtractor(work.service.url, headers={"Authorization": "Bearer s3cret"}) as extractor:
        settings = Settings(
            batch_texts=8, tuning=Tuning(retry_base_s=0.001, retry_max_s=0.002, circuit_failures=1)
        )
        await run(Window(), source=work.source, extractor=extractor, target=work.database, settings=settings)
    lines = told()
    assert told("dead_letters")
    assert not [line for line in lines if "Ada" in line or "Paris" in line]
    assert not [line for line in lines if "s3cret" in line]
