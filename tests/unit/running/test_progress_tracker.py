"""What an attempt's accounts keep of its course: looked at now and then, saved with the checkpoint."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from engine import Key, Settings, SourceError, Status
from engine.calling.adaptive_limit import FixedLimit
from engine.calling.concurrency import Slots
from engine.errors import ServiceDown
from engine.model import Counts, Effort
from engine.running.progress_tracker import Accounts, report_of
from engine.storing.checkpoint import MemoryCheckpoints
from engine.storing.mongo_checkpoints import _decode, _encode
from tests.support.memory_parts import RANGE
from tests.support.virtual_time import now_s, run_virtually

START = datetime(2026, 1, 1, tzinfo=UTC)


async def accounts_of(store, slots):
    """Those of the next attempt, on virtual time."""
    checkpoint = await store.claim(RANGE)
    now = {"clock": now_s, "now": lambda: START + timedelta(seconds=now_s())}
    return Accounts(store, checkpoint, Settings(), effort=lambda: Effort(9, 4, 2, 1), slots=slots, **now)


def settle(accounts, last, documents):
    """A batch that was read and is durable."""
    accounts.settle(accounts.admit(Key((last,))), Counts(read=documents, written=documents))


def test_the_timeline_knows_what_was_in_flight_meanwhile():
    """A sample a second while the range is at work, each of the time before it; the rest is the end."""

    async def main():
        store, slots = MemoryCheckpoints(), Slots(FixedLimit(8))
        accounts = await accounts_of(store, slots)
        with accounts.watching():
            slots.take_now()
            settle(accounts, 9, 10)
            await asyncio.sleep(1.05)
            slots.take_now()
            settle(accounts, 19, 10)
            await asyncio.sleep(1)
        await accounts.save(Status.SUCCEEDED)
        return accounts.checkpoint.timeline.samples

    first, second, third, last = run_virtually(main())
    assert (first.documents, first.in_flight) == (0, 0)
    assert (second.documents, second.in_flight, second.limit) == (10, 1.0, 8.0)
    assert (third.documents, third.in_flight) == (20, 2.0)
    assert [(s.at - START).total_seconds() for s in (second, third)] == pytest.approx([1, 2], abs=0.01)
    assert last.documents == 20


def test_ranges_that_share_slots_have_shares_of_them():
    """So that their sum is what was in flight, and the limit."""

    async def main():
        slots = Slots(FixedLimit(8))
        both = [await accounts_of(MemoryCheckpoints(), slots) for _ in range(2)]
        for _ in range(6):
            slots.take_now()
        with both[0].watching(), both[1].watching():
            await asyncio.sleep(1.05)
        for accounts in both:
            await accounts.save(Status.SUCCEEDED)
        return [accounts.checkpoint.timeline.samples[1] for accounts in both], slots.sharing

    samples, sharing = run_virtually(main())
    assert [(sample.in_flight, sample.limit) for sample in samples] == [(3.0, 4.0), (3.0, 4.0)]
    assert sharing == 0


def test_nobody_looks_after_the_range_has_ended():
    """No timer is left on the loop: it would go on, and take samples."""

    async def main():
        accounts = await accounts_of(MemoryCheckpoints(), Slots(FixedLimit(1)))
        with accounts.watching():
            await asyncio.sleep(1.5)
        await asyncio.sleep(5)
        await accounts.save(Status.SUCCEEDED)
        return accounts.checkpoint.timeline

    times = [(sample.at - START).total_seconds() for sample in run_virtually(main()).samples]
    assert times == pytest.approx([0, 1, 6.5], abs=0.01)


def test_the_next_attempt_goes_on_with_the_timeline():
    """It begins with what was accounted for, and with nothing in flight."""

    async def main():
        store, slots = MemoryCheckpoints(), Slots(FixedLimit(8))
        first = await accounts_of(store, slots)
        settle(first, 9, 10)
        await asyncio.sleep(1)
        await first.save_at_end(Status.FAILED, SourceError("gone"))
        await asyncio.sleep(60)
        second = await accounts_of(store, slots)
        await second.save(Status.RUNNING)
        return second.checkpoint

    timeline = run_virtually(main()).timeline
    assert [sample.documents for sample in timeline.samples] == [0, 10, 10, 10]
    assert timeline.samples[2].in_flight == 0


@pytest.mark.parametrize("error", [ServiceDown("down"), SourceError("gone")], ids=lambda e: type(e).__name__)
def test_why_a_range_ended_is_kept_as_a_class_too(error):
    """In its checkpoint and report, for programs; the next attempt forgets it."""

    async def main():
        store = MemoryCheckpoints()
        accounts = await accounts_of(store, Slots(FixedLimit(1)))
        await accounts.save_at_end(Status.INTERRUPTED, error)
        return accounts.checkpoint, await store.claim(RANGE)

    ended, begun = run_virtually(main())
    report = report_of(ended)
    assert (report.reason, report.problems) == (type(error).__name__, (str(error),))
    assert report.finished_at == START
    assert (begun.reason, begun.problem) == (None, None)


def test_a_checkpoint_survives_its_document():
    """With all that it has learnt to keep; one of an earlier version reads as it was."""

    async def main():
        accounts = await accounts_of(MemoryCheckpoints(), Slots(FixedLimit(1)))
        settle(accounts, 9, 10)
        await accounts.save_at_end(Status.FAILED, SourceError("gone"))
        return accounts.checkpoint

    checkpoint = run_virtually(main())
    stored = _encode(checkpoint)
    assert _decode(stored) == checkpoint
    for name in ("refused", "reason", "timeline"):
        del stored[name]
    earlier = _decode(stored)
    assert (earlier.effort, earlier.reason) == (Effort(9, 4, 2, 0), None)
    assert earlier.timeline.samples == ()
