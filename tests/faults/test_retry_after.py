"""`Retry-After`: all calls obey it, up to a maximum, and a value without sense is ignored."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from engine import Status
from tests.support.misbehaviour import status

pytestmark = pytest.mark.asyncio

CALLERS = 4
EARLY_S = 0.02
"""Clocks are read at both ends; a call may seem that much too early."""


def in_seconds() -> tuple[str, float]:
    """A pause of one second, and the moment (monotonic clock) before which no call may come."""
    return "1", time.monotonic() + 1


def as_http_date() -> tuple[str, float]:
    """The next but one full second as an HTTP date, and its moment."""
    then = (datetime.now(UTC) + timedelta(seconds=2)).replace(microsecond=0)
    wait_s = (then - datetime.now(UTC)).total_seconds()
    return format_datetime(then, usegmt=True), time.monotonic() + wait_s


async def test_trap_19_nobody_calls_while_the_service_asks_to_wait(work):
    """The service asks twice for a pause of a second; no call comes before its end."""
    await work.fill(200)
    work.service.delay_s = 0.005
    hint = status(429, Retry_After="1")
    work.service.script.extend([*[None] * 4, hint, *[None] * 8, hint])

    report = await work.run(range_documents=200, max_concurrency=CALLERS)

    assert (report.status, report.throttled) == (Status.SUCCEEDED, 2)
    assert work.service.disobedient == []


@pytest.mark.parametrize(("code", "form"), [(503, in_seconds), (429, as_http_date)])
async def test_trap_19_retry_after_pauses_the_endpoint(work, code, form):
    """One call is told to wait; the others wait too, except those already in flight."""
    await work.fill(200)
    moments = []

    async def throttled(request, texts):
        header, until = form()
        moments.append(until)
        return await status(code, Retry_After=header)(request, texts)

    work.service.script.append(throttled)
    work.service.delay_s = 0.1

    report = await work.run(max_concurrency=CALLERS, range_documents=200)

    assert (report.status, report.throttled, report.retries) == (Status.SUCCEEDED, 1, 1)
    early = [call for call in work.service.calls if call.at < moments[0] - EARLY_S]
    assert len(early) <= CALLERS
    assert len(work.service.calls) > CALLERS


async def test_trap_19_retry_after_has_a_cap(work):
    """A service that asks for an hour, then for a century, is called again after `retry_after_max_s`."""
    await work.fill(8)
    hints = ["3600", "Fri, 31 Dec 2100 23:59:59 GMT"]
    work.service.script.extend(status(429, Retry_After=hint) for hint in hints)

    report = await work.run(retry_after_max_s=0.01)

    assert (report.status, report.throttled) == (Status.SUCCEEDED, 2)


async def test_trap_19_a_hint_without_sense_is_ignored(work):
    """A malformed or past Retry-After neither fails nor delays the run: the usual backoff applies."""
    await work.fill(8)
    hints = ["soon", "", "-5", "1e9", "0x10", "Fri, 99 Foo 2100", "Wed, 21 Oct 2015 07:28:00 GMT", "0"]
    work.service.script.extend(status(429, Retry_After=hint) for hint in hints)

    report = await work.run()

    assert (report.status, report.throttled, report.written) == (Status.SUCCEEDED, len(hints), 8)


async def test_trap_18_throttling_uses_up_no_attempts(work):
    """Many more 429s than `max_attempts` cost the run time, and nothing else."""
    await work.fill(8)
    work.service.script.extend([status(429, Retry_After="0")] * 10)

    report = await work.run(max_attempts=2, retry_max_s=0.005)

    assert (report.status, report.throttled, report.dead_lettered) == (Status.SUCCEEDED, 10, 0)


async def test_trap_18_a_503_without_a_hint_is_no_throttling(work):
    """A 503 without a valid Retry-After is a transient error and counts as an attempt."""
    await work.fill(8)
    work.service.script.extend([status(503), status(503, Retry_After="later")])

    report = await work.run()

    assert (report.status, report.retries, report.throttled) == (Status.SUCCEEDED, 2, 0)
