"""The progress tracker samples the requests in flight and saves them with the checkpoint."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from engine import Key, SourceError, Status
from engine.calling.adaptive_limit import AdaptiveLimit
from engine.calling.concurrency import Slots
from engine.calling.retry import EffortCounter
from engine.errors import ServiceDown
from engine.model import Counts, Effort
from engine.running.progress_tracker import ProgressTracker, report_of
from engine.storing.checkpoint import MemoryCheckpoints
from engine.storing.mongo_checkpoints import _decode, _encode
from tests.support.memory_parts import RANGE
from tests.support.virtual_time import now_s, run_virtually

START = datetime(2026, 1, 1, tzinfo=UTC)


async def tracker_of(store, slots):
    """The tracker of the next attempt, on virtual time."""
    checkpoint = await store.claim(RANGE)
    now = {"clock": now_s, "now": lambda: START + timedelta(seconds=now_s())}
    return ProgressTracker(
        store, checkpoint, checkpoint_s=1, counter=EffortCounter(9, 4, 2, 1), slots=slots, **now
    )


def complete(tracker, last, documents):
    """Registers a batch and marks it as durable."""
    tracker.complete(tracker.register(Key((last,))), Counts(read=documents, written=documents))


def test_the_timeline_samples_the_requests_in_flight():
    """One sample for each second of the range, of the second before it; the last one is taken at the end."""

    async def main():
        store, slots = MemoryCheckpoints(), Slots(AdaptiveLimit(8, 8))
        tracker = await tracker_of(store, slots)
        with tracker.sampling():
            slots.try_take()
            complete(tracker, 9, 10)
            await asyncio.sleep(1.05)
            slots.try_take()
            complete(tracker, 19, 10)
            await asyncio.sleep(1)
        await tracker.save(Status.SUCCEEDED)
        return tracker.checkpoint.timeline.samples

    first, second, third, last = run_virtually(main())
    assert (first.documents, first.in_flight) == (0, 0)
    assert (second.documents, second.in_flight, second.limit) == (10, 1.0, 8.0)
    assert (third.documents, third.in_flight) == (20, 2.0)
    assert [(s.at - START).total_seconds() for s in (second, third)] == pytest.approx([1, 2], abs=0.01)
    assert last.documents == 20


def test_ranges_that_share_slots_record_their_shares():
    """The sum of the ranges is what was in flight in all, and the limit."""

    async def main():
        slots = Slots(AdaptiveLimit(8, 8))
        both = [await tracker_of(MemoryCheckpoints(), slots) for _ in range(2)]
        for _ in range(6):
            slots.try_take()
        with both[0].sampling(), both[1].sampling():
            await asyncio.sleep(1.05)
        for tracker in both:
            await tracker.save(Status.SUCCEEDED)
        return [tracker.checkpoint.timeline.samples[1] for tracker in both], slots.sharing

    samples, sharing = run_virtually(main())
    assert [(sample.in_flight, sample.limit) for sample in samples] == [(3.0, 4.0), (3.0, 4.0)]
    assert sharing == 0


def test_sampling_ends_with_the_range():
    """No timer is left on the loop, where it would go on taking samples."""

    async def main():
        tracker = await tracker_of(MemoryCheckpoints(), Slots(AdaptiveLimit(1, 1)))
        with tracker.sampling():
            await asyncio.sleep(1.5)
        await asyncio.sleep(5)
        await tracker.save(Status.SUCCEEDED)
        return tracker.checkpoint.timeline

    times = [(sample.at - START).total_seconds() for sample in run_virtually(main()).samples]
    assert times == pytest.approx([0, 1, 6.5], abs=0.01)


def test_the_next_attempt_goes_on_with_the_timeline():
    """It begins with the documents counted so far, and with no request in flight."""

    async def main():
        store, slots = MemoryCheckpoints(), Slots(AdaptiveLimit(8, 8))
        first = await tracker_of(store, slots)
        complete(first, 9, 10)
        await asyncio.sleep(1)
        await first.save_at_end(Status.FAILED, SourceError("gone"))
        await asyncio.sleep(60)
        second = await tracker_of(store, slots)
        await second.save(Status.RUNNING)
        return second.checkpoint

    timeline = run_virtually(main()).timeline
    assert [sample.documents for sample in timeline.samples] == [0, 10, 10, 10]
    assert timeline.samples[2].in_flight == 0


@pytest.mark.parametrize("error", [ServiceDown("down"), SourceError("gone")], ids=lambda e: type(e).__name__)
def test_the_class_of_the_error_that_ended_a_range_is_kept(error):
    """Checkpoint and report hold it, for programs; the next attempt clears it."""

    async def main():
        store = MemoryCheckpoints()
        tracker = await tracker_of(store, Slots(AdaptiveLimit(1, 1)))
        await tracker.save_at_end(Status.INTERRUPTED, error)
        return tracker.checkpoint, await store.claim(RANGE)

    ended, begun = run_virtually(main())
    report = report_of(ended)
    assert (report.reason, report.problems) == (type(error).__name__, (str(error),))
    assert report.finished_at == START
    assert (begun.reason, begun.problem) == (None, None)


def test_a_checkpoint_survives_its_document():
    """Nothing is lost, and a document of an earlier version, without the later fields, can still be read."""

    async def main():
        tracker = await tracker_of(MemoryCheckpoints(), Slots(AdaptiveLimit(1, 1)))
        complete(tracker, 9, 10)
        await tracker.save_at_end(Status.FAILED, SourceError("gone"))
        return tracker.checkpoint

    checkpoint = run_virtually(main())
    stored = _encode(checkpoint)
    assert _decode(stored) == checkpoint
    for name in ("refused", "reason", "timeline"):
        del stored[name]
    earlier = _decode(stored)
    assert (earlier.effort, earlier.reason) == (Effort(9, 4, 2, 0), None)
    assert earlier.timeline.samples == ()


def test_the_next_attempt_keeps_the_notes_and_adds_its_own():
    """Each note is kept once, also if both attempts made it."""

    async def main():
        store = MemoryCheckpoints()
        for notes in (["slow", "small"], ["small", "old"]):
            checkpoint = await store.claim(RANGE)
            tracker = ProgressTracker(
                store,
                checkpoint,
                checkpoint_s=1,
                counter=EffortCounter(),
                slots=Slots(AdaptiveLimit(1, 1)),
                notes=lambda notes=notes: notes,
            )
            await tracker.save_at_end(Status.INTERRUPTED, ServiceDown("down"))
        return report_of(tracker.checkpoint)

    assert run_virtually(main()).notes == ("slow", "small", "old")


def test_a_checkpoint_of_before_there_were_notes_has_none():
    """It is read like any other."""
    noted = replace(asyncio.run(MemoryCheckpoints().claim(RANGE)), notes=("slow",))
    stored = _encode(noted)
    assert _decode(stored).notes == ("slow",)
    del stored["notes"]
    assert _decode(stored).notes == ()
