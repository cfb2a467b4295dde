"""A service that fails now and then: the results are those of a service that never fails."""

from __future__ import annotations

from collections import Counter
from functools import partial

import pytest

from engine import Status
from tests.support.misbehaviour import Flaky, drip, hang_up, reset, reset_in_body, silence, status

pytestmark = pytest.mark.asyncio

DOCUMENTS = 400
TIMEOUT_S = 0.15
FAULTS = {
    "503": [status(503)],
    "reset": [reset],
    "reset in the body": [reset_in_body],
    "timeout": [silence],
    "slow drip": [drip],
    "429": [status(429, Retry_After="0")],
    "all": [status(503), reset, reset_in_body, silence, drip, status(429, Retry_After="0")],
}


@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS)
async def test_a_fifth_of_calls_failing_loses_nothing(work, faults):
    """With 20% of the calls failing, the run writes exactly what it would without faults."""
    await work.fill(DOCUMENTS)
    work.service.flaky = Flaky(0.2, faults)

    report = await work.run(timeout_s=TIMEOUT_S)

    assert (report.status, report.reconciled) == (Status.SUCCEEDED, True)
    assert (report.read, report.written, report.dead_lettered) == (DOCUMENTS, DOCUMENTS, 0)
    assert await work.stored() == work.fault_free(range(DOCUMENTS))
    assert report.retries > 0
    assert await work.dead_letters() == {}


async def test_both_drivers_lose_nothing_to_a_flaky_service(work_on_each_driver):
    """All faults mixed, once through Motor and once through PyMongo's own asynchronous client."""
    work = work_on_each_driver
    await work.fill(DOCUMENTS)
    work.service.flaky = Flaky(0.2, FAULTS["all"], seed=2)

    report = await work.run(timeout_s=TIMEOUT_S)

    assert report.status is Status.SUCCEEDED
    assert await work.stored() == work.fault_free(range(DOCUMENTS))


async def test_presidio_format_loses_nothing_to_a_flaky_service(work):
    """The same in Presidio's format, for batches and for single texts."""
    await work.fill(201)
    work.service.flaky = Flaky(0.2, FAULTS["all"])

    report = await work.run(format="presidio", timeout_s=TIMEOUT_S)

    assert (report.status, report.written) == (Status.SUCCEEDED, 201)
    assert await work.stored() == work.fault_free(range(201))


async def test_a_success_is_not_asked_for_again(work):
    """Only failed requests are repeated: each text is answered once."""
    await work.fill(200)
    work.service.flaky = Flaky(0.2, [status(503), reset])

    report = await work.run()

    assert set(work.service.answered.values()) == {1}
    assert report.requests == len(work.service.calls)
    assert report.retries == sum(not call.answered for call in work.service.calls)


async def test_concurrency_is_bounded_by_the_settings(work):
    """However many calls wait for a retry, at most `ranges * callers` requests are in flight."""
    await work.fill(400)
    work.service.flaky = Flaky(0.2, [status(503)])
    work.service.delay_s = 0.005

    await work.run(max_concurrency=3, range_concurrency=2)

    assert work.service.most_in_flight <= 3 * 2


async def test_trap_21_a_stale_keep_alive_connection_is_retried(work):
    """A POST on a kept connection that the server has closed meanwhile fails; the engine sends it again."""
    await work.fill(40)
    work.service.script.extend([None, hang_up, None, hang_up])

    report = await work.run(max_concurrency=1)

    assert (report.status, report.retries, report.dead_lettered) == (Status.SUCCEEDED, 2, 0)
    assert await work.stored() == work.fault_free(range(40))


async def test_trap_18_transient_statuses_are_tried_again(work):
    """Each status that means "try again later" is retried, and has no other effect."""
    await work.fill(8)
    codes = [408, 500, 502, 503, 504]
    work.service.script.extend(status(code) for code in codes)

    patient = dict.fromkeys(("max_attempts", "batch_attempts", "circuit_failures"), len(codes) + 1)
    report = await work.run(**patient)

    assert (report.status, report.retries, report.throttled) == (Status.SUCCEEDED, len(codes), 0)


async def test_trap_20_faults_now_and_then_cost_few_requests(work):
    """With 5% of 503 and 1% of resets, at most 1.2 times the necessary requests are sent."""
    await work.fill(2000)
    work.service.flaky = Flaky(0.06, [status(503)] * 5 + [reset])

    report = await work.run(range_documents=2000)

    assert (report.status, report.written, report.dead_lettered) == (Status.SUCCEEDED, 2000, 0)
    assert report.requests <= 1.2 * 2000 / 8
    assert await work.stored() == work.fault_free(range(2000))


async def test_trap_22_the_time_of_an_attempt_grows_with_its_texts(work):
    """Full batches are answered within their timeout; one that ignores the number of texts is too short."""
    await work.fill(40)
    work.service.delay_text_s = 0.04

    patient = await work.run(timeout_s=0.15, text_timeout_s=0.5)
    strict = await work.run(timeout_s=0.15, text_timeout_s=0.0, extractor_version="2", probe_max_s=0.1)

    assert (patient.status, patient.retries) == (Status.SUCCEEDED, 0)
    assert (strict.status, strict.written) == (Status.SUCCEEDED, 40)
    assert strict.requests >= 3 * patient.requests  # no batch succeeded as a whole


async def test_a_single_worker_with_a_queue_gets_all_its_work_done(work):
    """The service works on one request and queues three; others are told to come later, and succeed then."""
    await work.fill(200)
    work.service.workers, work.service.queue, work.service.delay_s = 1, 3, 0.002

    report = await work.run()

    assert (report.status, report.dead_lettered, report.written) == (Status.SUCCEEDED, 0, 200)
    assert await work.stored() == work.fault_free(range(200))
    assert set(work.service.answered.values()) == {1}


async def test_a_capacity_that_changes_loses_nothing(work):
    """In one run the service has four workers, then one, then none for a while, then four again."""
    await work.fill(400)
    work.service.delay_s = 0.002

    async def changed(workers, request, texts):
        work.service.workers = workers
        return await status(503)(request, texts)

    work.service.script.extend(
        [*[None] * 10, partial(changed, 1), *[None] * 10, partial(changed, 0), None, partial(changed, 4)]
    )

    report = await work.run(timeout_s=0.1)

    assert (report.status, report.dead_lettered, report.written) == (Status.SUCCEEDED, 0, 400)
    assert await work.stored() == work.fault_free(range(400))


async def test_a_full_queue_only_slows_the_run_down(work):
    """A service that holds two requests and answers 429 to all others processes every document."""
    await work.fill(200)
    work.service.queue, work.service.delay_s = 2, 0.002

    report = await work.run()

    assert (report.status, report.dead_lettered) == (Status.SUCCEEDED, 0)
    assert report.throttled == report.retries > 0
    assert work.service.answered == Counter(dict.fromkeys(work.service.answered, 1))
