"""Metrics of a run against a service with faults: they agree with the run's report."""

from __future__ import annotations

import sys

import pytest

from engine import Status
from tests.support.misbehaviour import Flaky, reset, status

pytestmark = pytest.mark.asyncio


async def test_the_numbers_are_those_of_the_report(work_on_each_driver, text_of, measured):
    """Requests by class, retries, documents by outcome, texts, pages and writes are counted."""
    work = work_on_each_driver
    await work.fill(400)
    work.service.flaky = Flaky(0.1, [status(503), reset])
    work.service.script.append(status(429, Retry_After="0"))
    work.service.poison[text_of(11)] = status(400)

    report = await work.run(max_dead_letters=1, max_attempts=20, circuit_failures=100)

    assert (report.status, report.dead_lettered) == (Status.SUCCEEDED, 1)
    numbers = measured.numbers()
    requests = {kind: n for (name, kind), n in numbers.items() if name == "request.duration"}
    assert set(requests) == {None, "throttled", "transient", "permanent"}
    assert sum(requests.values()) == report.requests == len(work.service.calls)
    assert requests["throttled"] == report.throttled == 1
    outcomes = ("written", "unchanged", "dead_lettered")
    assert [numbers["documents", outcome] for outcome in outcomes] == [399, 0, 1]
    assert numbers["page.documents", None] == report.read == 400
    sent = [text for call in work.service.calls for text in call.texts]
    assert numbers["request.texts", None] == len(sent)
    assert numbers["request.characters", None] == sum(map(len, sent))
    assert numbers["page.text.size", None] >= sum(sys.getsizeof(text_of(n)) for n in range(400))
    assert numbers["page.duration", None] >= 4
    assert numbers["write.duration", None] >= 4
    assert numbers["request.active", None] == numbers["batch.ahead", None] == 0


async def test_a_rerun_counts_its_documents_as_unchanged(work, measured):
    """A rerun sends no request and counts every document as unchanged."""
    await work.fill(50)
    await work.run()
    before = measured.numbers()
    await work.run(run_id="again")
    again = measured.numbers() - before
    assert again["documents", "unchanged"] == 50
    assert again["request.duration", None] == again["documents", "written"] == 0


async def test_gauges_show_a_range_at_work(work, measured):
    """While requests are in flight, gauges show their number, the limit, and batches held up behind them."""
    await work.fill(80)
    seen = []

    async def looking(request, texts):
        seen.append(measured.numbers())
        return await status(503)(request, texts)

    work.service.script.extend([*[None] * 4, looking])
    await work.run(min_concurrency=2, max_concurrency=2)
    (numbers,) = seen
    assert 1 <= numbers["request.active", None] <= 2
    assert numbers["request.limit", None] == 2
    assert numbers["batch.ahead", None] >= 1
    assert numbers["batch.queued", "to_extract"] >= 1
