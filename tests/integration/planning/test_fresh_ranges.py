"""Ranges of a plan made while the target held nothing: what a first attempt need not look up."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from engine import KeyRange, MongoWriter, Settings, Window, plan_ranges, run, run_range
from tests.support.samples import first_word, ids_of

pytestmark = pytest.mark.asyncio

SMALL = Settings(range_documents=500, batch_texts=10, page_documents=50)


class Counting(MongoWriter):
    """Counts how often it is asked what it knows."""

    asked = 0

    async def known(self, ids):
        """As it is."""
        self.asked += 1
        return await super().known(ids)


async def work(messages, database, key_range, run_id="run"):
    """One attempt at a range: its report, and how often it looked extractions up."""
    writer = Counting(database, messages.name, SMALL, run_id)
    places = {"source": messages, "target": database, "writer": writer}
    return await run_range(key_range, extractor=first_word, settings=SMALL, **places), writer.asked


async def first_range(messages, database):
    """The first range of a plan, as a task of an orchestrator gets it."""
    plan = await plan_ranges(messages, Window(), SMALL, database)
    return KeyRange.from_json(json.loads(json.dumps(plan.ranges[0].to_json())))


async def test_a_plan_knows_whether_the_target_held_anything(messages, database):
    """One extraction is enough, of whatever document and extractor; without a target nothing is known."""
    assert not any(r.fresh for r in (await plan_ranges(messages, Window(), SMALL)).ranges)
    fresh = await plan_ranges(messages, Window(), SMALL, database)
    assert all(r.fresh for r in fresh.ranges)
    await database["messages_entities"].insert_one({"_id": "of another"})
    again = await plan_ranges(messages, Window(), Settings(**SMALL.model_dump() | {"run_id": "b"}), database)
    assert not any(r.fresh for r in again.ranges)


async def test_a_first_attempt_looks_nothing_up_where_nothing_was(messages, database):
    """A further one does, and finds everything unchanged; so does a first one on a target that held some."""
    key_range = await first_range(messages, database)
    report, asked = await work(messages, database, key_range)
    assert (report.written, asked) == (report.read, 0)
    report, asked = await work(messages, database, key_range)
    assert (report.unchanged, asked > 0) == (report.read, True)
    _, asked = await work(messages, database, replace(key_range, fresh=False, run_id="another"))
    assert asked > 0


async def test_what_another_run_wrote_meanwhile_is_found_at_the_write(messages, database):
    """The target was empty at planning and is no longer: nothing is twice, and the report says unchanged."""
    key_range = await first_range(messages, database)
    other = Settings(**SMALL.model_dump() | {"run_id": "other"})
    await run(Window(), source=messages, extractor=first_word, target=database, settings=other)
    report, asked = await work(messages, database, key_range)
    assert (report.unchanged, report.written, asked) == (report.read, 0, 0)
    assert await ids_of(database["messages_entities"]) == list(range(1000))
