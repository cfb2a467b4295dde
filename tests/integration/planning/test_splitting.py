"""Halving a range that fails: the stored plan still covers the window exactly."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from engine import PlanError, Settings, Tuning, Window, load_plan, plan_ranges, run, split_range
from tests.support.samples import fill, first_word, ids_of, message

pytestmark = pytest.mark.asyncio

SMALL = Settings(
    range_documents=300,
    batch_texts=10,
    run_id="r",
    max_attempts=1,
    max_outage_s=0,
    tuning=Tuning(retry_base_s=0),
)


async def test_the_halves_cover_what_the_range_covered(messages, database):
    """They meet at a real key between two timestamps, and each is counted; other ranges stay as they are."""
    plan = await plan_ranges(messages, Window(), SMALL, database)
    whole = plan.ranges[1]
    changed = await split_range("r", whole.range_id, source=messages, target=database, settings=SMALL)
    halves = [r for r in changed.ranges if r.range_id.startswith(f"{whole.range_id}.")]
    assert (halves[0].start, halves[-1].stop) == (whole.start, whole.stop)
    assert all(one.stop == other.start for one, other in itertools.pairwise(halves))
    assert sum(r.expected for r in halves) == whole.expected
    assert [r for r in changed.ranges if r not in halves] == [r for r in plan.ranges if r != whole]
    assert await load_plan("r", database, SMALL) == changed


async def test_a_failed_range_is_split_and_its_run_goes_on(messages, database):
    """The halves find what the first attempt wrote unchanged; the run reconciles."""
    broken = {"Hello 450"}

    async def service(texts):
        if broken & set(texts):
            broken.add("Ada Lovelace met Charles Babbage in London in 1833.")
            raise ConnectionError("down")
        if broken and len(broken) > 1:
            raise ConnectionError("down")
        return await first_word(texts)

    settings = SMALL.model_copy(update={"range_concurrency": 1})
    failed = await run(Window(), source=messages, extractor=service, target=database, settings=settings)
    assert not failed.reconciled
    (bad, *_) = [r.range_id for r in failed.ranges if not r.reconciled]
    await split_range("r", bad, source=messages, target=database, settings=settings)
    broken.clear()
    report = await run(Window(), source=messages, extractor=service, target=database, settings=settings)
    assert (report.reconciled, report.read) == (True, 1000)
    assert await ids_of(database["messages_entities"]) == list(range(1000))


async def test_ties_are_split_by_id(database):
    """A range of a single timestamp can only be halved at an `_id`."""
    collection = await fill(database["messages"], [message(n) for n in range(100)])
    await plan_ranges(collection, Window(), SMALL, database)
    changed = await split_range("r", "0000", source=collection, target=database, settings=SMALL)
    assert [r.expected for r in changed.ranges] == [50, 50]


async def test_what_cannot_be_split_is_told(messages, database):
    """There is no plan or no such range, it has one document, or it has succeeded."""
    with pytest.raises(PlanError, match="no plan is kept"):
        await split_range("r", "0000", source=messages, target=database, settings=SMALL)
    await run(Window(), source=messages, extractor=first_word, target=database, settings=SMALL)
    with pytest.raises(PlanError, match="has no range '9'"):
        await split_range("r", "9", source=messages, target=database, settings=SMALL)
    with pytest.raises(PlanError, match="is succeeded"):
        await split_range("r", "0000", source=messages, target=database, settings=SMALL)
    single = Settings(run_id="s", filter={"_id": 5})
    await plan_ranges(messages, Window(), single, database)
    with pytest.raises(PlanError, match="holds 1 documents"):
        await split_range("s", "0000", source=messages, target=database, settings=single)


async def test_two_splits_at_once_do_not_lose_each_other(messages, database):
    """The later one is told to try again or finds the range gone; the plan still covers the window."""
    plan = await plan_ranges(messages, Window(), SMALL, database)
    tries = [
        split_range("r", r.range_id, source=messages, target=database, settings=SMALL)
        for r in plan.ranges[:2]
    ]
    await asyncio.gather(*tries, return_exceptions=True)
    kept = await load_plan("r", database, SMALL)
    assert all(one.stop == other.start for one, other in zip(kept.ranges, kept.ranges[1:], strict=False))
    assert (kept.ranges[0].start, kept.ranges[-1].stop) == (plan.ranges[0].start, plan.ranges[-1].stop)
