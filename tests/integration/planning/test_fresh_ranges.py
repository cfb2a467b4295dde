"""Ranges planned while the target was empty: a first attempt does not look up extractions."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from engine import KeyRange, MongoWriter, Settings, Tuning, Window, plan_ranges, run, run_range, target_of
from tests.support.samples import first_word, ids_of
from tests.support.settings import settings_with

pytestmark = pytest.mark.asyncio

SMALL = Settings(range_documents=500, batch_texts=10, tuning=Tuning(page_documents=50))


class Counting(MongoWriter):
    """A writer that counts how often it is asked which extractions exist."""

    asked = 0

    async def known(self, ids):
        """Answers as `MongoWriter` does."""
        self.asked += 1
        return await super().known(ids)


async def work(messages, database, key_range, run_id="run"):
    """Makes one attempt at a range; returns its report and how often it looked up extractions."""
    writer = Counting(target_of(database, messages, SMALL), run_id, extractor="ner@1")
    places = {"source": messages, "target": database, "writer": writer}
    return await run_range(key_range, extractor=first_word, settings=SMALL, **places), writer.asked


async def first_range(messages, database):
    """The first range of a plan, passed through JSON as between the tasks of an orchestrator."""
    plan = await plan_ranges(messages, Window(), SMALL, database)
    return KeyRange.from_json(json.loads(json.dumps(plan.ranges[0].to_json())))


async def test_a_plan_knows_whether_the_target_held_anything(messages, database):
    """One extraction is enough, of any document and extractor; without a target no range counts as fresh."""
    assert not any(r.fresh for r in (await plan_ranges(messages, Window(), SMALL)).ranges)
    fresh = await plan_ranges(messages, Window(), SMALL, database)
    assert all(r.fresh for r in fresh.ranges)
    await database["messages_entities"].insert_one({"_id": "of another"})
    again = await plan_ranges(messages, Window(), settings_with(SMALL, run_id="b"), database)
    assert not any(r.fresh for r in again.ranges)


async def test_a_first_attempt_looks_nothing_up_where_nothing_was(messages, database):
    """A second attempt does, and so does a first one if the target was not empty."""
    key_range = await first_range(messages, database)
    report, asked = await work(messages, database, key_range)
    assert (report.written, asked) == (report.read, 0)
    report, asked = await work(messages, database, key_range)
    assert (report.unchanged, asked > 0) == (report.read, True)
    _, asked = await work(messages, database, replace(key_range, fresh=False, run_id="another"))
    assert asked > 0


async def test_what_another_run_wrote_meanwhile_is_found_at_the_write(messages, database):
    """Documents that another run wrote after planning are counted as unchanged, and not written twice."""
    key_range = await first_range(messages, database)
    other = settings_with(SMALL, run_id="other")
    await run(Window(), source=messages, extractor=first_word, target=database, settings=other)
    report, asked = await work(messages, database, key_range)
    assert (report.unchanged, report.written, asked) == (report.read, 0, 0)
    assert await ids_of(database["messages_entities"]) == list(range(1000))
