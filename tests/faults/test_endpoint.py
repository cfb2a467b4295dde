"""A pause or an outage that one range meets applies to the other ranges too (trap 39, docs/traps.md)."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from engine import HttpExtractor, Status, Window, plan_ranges, run_range
from tests.support.misbehaviour import status
from tests.support.settings import settings_with

pytestmark = pytest.mark.asyncio

PAUSE_S = 3.0
EARLY_S = 0.02
"""Clocks are read at both ends; a call may seem that much too early."""


def in_seconds():
    """A pause in seconds, and the moment (monotonic clock) at which it ends."""
    return f"{PAUSE_S:g}", time.monotonic() + PAUSE_S


def as_http_date():
    """A pause as an HTTP date, which has whole seconds only, and the moment at which it ends."""
    then = (datetime.now(UTC) + timedelta(seconds=PAUSE_S + 1)).replace(microsecond=0)
    return format_datetime(then, usegmt=True), time.monotonic() + (then - datetime.now(UTC)).total_seconds()


async def run_two_ranges(work, **settings):
    """Runs two ranges side by side through one extractor; returns their reports."""
    chosen = settings_with(range_documents=102, batch_texts=4, max_concurrency=4, **settings)
    plan = await plan_ranges(work.source, Window(), chosen, work.database)
    assert len(plan.ranges) == 2
    where = {"source": work.source, "target": work.database, "settings": chosen}
    async with HttpExtractor(work.service.url, canary=False) as extractor:
        ranges = [run_range(key_range, extractor=extractor, **where) for key_range in plan.ranges]
        return await asyncio.gather(*ranges)


@pytest.mark.parametrize("form", [in_seconds, as_http_date])
async def test_trap_39_a_pause_told_to_one_range_holds_for_the_other(work, form):
    """Apart from those already in flight, neither range sends a request before the pause ends."""
    await work.fill(204)
    work.service.delay_s = 0.05
    told = []

    async def throttled(request, texts):
        header, until = form()
        told.append(until)
        return await status(429, Retry_After=header)(request, texts)

    work.service.script.extend([*[None] * 6, throttled])

    reports = await run_two_ranges(work)

    assert [report.status for report in reports] == [Status.SUCCEEDED] * 2
    assert sum(report.throttled for report in reports) == 1
    # By then the pause was heard, and requests that were in flight had ended.
    heard_s = told[0] - PAUSE_S + 2 * work.service.delay_s
    assert [call.at for call in work.service.calls if heard_s < call.at < told[0] - EARLY_S] == []
    assert len(work.service.calls) > 20


async def test_trap_39_an_outage_is_probed_once_for_both_ranges(work):
    """While the service is down, both ranges together send one probe at a time."""
    await work.fill(204)
    work.service.delay_s = 0.02
    work.service.script.extend([*[None] * 4, *[status(503)] * 12])

    reports = await run_two_ranges(work, circuit_failures=4, retry_base_s=0.01, probe_max_s=0.05)

    assert [report.status for report in reports] == [Status.SUCCEEDED] * 2
    assert sum(report.dead_lettered for report in reports) == 0
    probes = [call for call in work.service.calls if len(call.texts) == 1]
    assert 1 <= len(probes) <= 12
