"""Runs with an index on the order field alone: ranges and pages end between two of its values."""

from __future__ import annotations

import pytest
import pytest_asyncio

from engine import PlanError, Settings, Status, Tuning, Window, plan_ranges, run, verify
from engine.model import QueryForm
from engine.planning.query_plan_check import check_query_plan, stages_of_page
from engine.planning.splitting import split_range
from tests.support.samples import INDEX, first_word, ids_of, message
from tests.support.scans import scan_of
from tests.support.settings import settings_with

pytestmark = pytest.mark.asyncio

SMALL = Settings(
    range_documents=100,
    batch_texts=4,
    max_attempts=2,
    max_outage_s=0,
    tuning=Tuning(page_documents=50, write_documents=1, retry_base_s=0),
)


@pytest_asyncio.fixture
async def tied(database):
    """A thousand messages, thirty a second, and an index without `_id`."""
    await database["messages"].create_index(INDEX[:1])
    await database["messages"].insert_many([message(n, n // 30) for n in range(1000)])
    return database["messages"]


@pytest.mark.parametrize("strategy", ["exact", "counted", "sample"])
async def test_trap_3_boundaries_rest_between_two_values(tied, strategy):
    """No range begins within a group of ties, and the plan says that it uses this form."""
    plan = await plan_ranges(tied, Window(), settings_with(SMALL, strategy=strategy))
    assert (plan.form, plan.exact) == (QueryForm.WHOLE_TIES, strategy != "sample")
    assert "end between two values" in plan.guarantee
    assert len(plan.ranges) > 5
    firsts = [await tied.find_one({"created_at": {"$gte": r.start.values[0]}}) for r in plan.ranges]
    assert all(first["_id"] % 30 == 0 for first in firsts)
    assert plan.documents == 1000 or not plan.exact


async def test_a_compound_index_is_preferred(tied):
    """If both indexes exist, the compound one is used."""
    await tied.create_index(INDEX)
    assert (await plan_ranges(tied, Window(), SMALL)).form is QueryForm.INDEX_BOUNDS


async def test_a_page_is_one_scan_of_the_index(tied):
    """The query plan check accepts it: there is neither a sort nor a collection scan."""
    scan = await scan_of(tied, SMALL)
    check_query_plan(scan, await stages_of_page(scan))


@pytest.mark.parametrize("batch_texts", [4, 7], ids=["batches-fill-pages", "batches-end-with-pages"])
async def test_a_run_resumes_after_the_last_whole_group(tied, database, batch_texts):
    """Interrupted within a group, it sends that page again, loses nothing and reconciles.

    A batch does not continue into the next page here, because then no checkpoint could be saved at the end of
    the first one.
    """
    left = 37

    async def failing(texts):
        nonlocal left
        left -= 1
        if left < 0:
            raise ConnectionError("down")
        return await first_word(texts)

    changed = {"batch_texts": batch_texts, "max_concurrency": 1, "range_documents": 1000, "checkpoint_s": 0.0}
    one = settings_with(SMALL, **changed)
    given = {"source": tied, "target": database, "settings": one}
    failed = await run(Window(), extractor=failing, **given)
    assert failed.status is not Status.SUCCEEDED
    kept = await database["engine_checkpoints"].find_one({})
    assert '"$maxKey"' in kept["position"]
    assert kept["read"] % 30 == 0
    report = await run(Window(), extractor=first_word, **given)
    assert (report.reconciled, report.read, await ids_of(database["messages_entities"])) == (
        True,
        1000,
        list(range(1000)),
    )
    assert (await verify(Window(), source=tied, target=database, settings=one)).complete


@pytest.mark.parametrize("strategy", ["exact", "counted"])
async def test_more_ties_than_a_page_may_hold_are_refused_before_work(tied, strategy):
    """The message names the value, and the index that would tell its documents apart."""
    few = settings_with(SMALL, max_tied_documents=29, strategy=strategy)
    with pytest.raises(PlanError, match=r"more than 29 documents .* have created_at .*createIndex"):
        await plan_ranges(tied, Window(), few)
    enough = settings_with(few, max_tied_documents=30)
    assert (await plan_ranges(tied, Window(), enough)).documents == 1000


async def test_ties_that_came_after_planning_fail_their_range(tied, database):
    """A group that is too large to be read as a whole is not read in part; the message says what to do."""
    few = settings_with(SMALL, max_tied_documents=30, run_id="tied")
    await plan_ranges(tied, Window(), few, target=database)
    await tied.insert_many([message(f"late {n}", 3) for n in range(40)])
    report = await run(Window(), source=tied, extractor=first_word, target=database, settings=few)
    failed = [r for r in report.ranges if r.status is Status.FAILED]
    assert len(failed) == 1
    assert "createIndex" in failed[0].problems[0]
    await tied.create_index(INDEX)


async def test_a_range_is_halved_between_two_values(tied, database):
    """Both halves together cover the whole range."""
    settings = SMALL.model_copy(update={"range_documents": 1000, "run_id": "halved"})
    await plan_ranges(tied, Window(), settings, target=database)
    plan = await split_range("halved", "0000", source=tied, target=database, settings=settings)
    assert [r.expected for r in plan.ranges] == [480, 520]
    report = await run(Window(), source=tied, extractor=first_word, target=database, settings=settings)
    assert (report.reconciled, report.read) == (True, 1000)


@pytest.mark.parametrize(
    ("at", "outside"),
    [
        ({}, "null or missing"),
        ({"created_at": None}, "null or missing"),
        ({"created_at": "2020"}, "string"),
        ({"created_at": float("nan")}, "number"),
        ({"created_at": True}, "bool"),
    ],
)
async def test_trap_2_what_lies_outside_is_counted_by_type(tied, at, outside):
    """Counts by type work as in the other query forms."""
    await tied.insert_one({"_id": "other", "text": "x", **at})
    assert (await plan_ranges(tied, Window(), SMALL)).outside == {outside: 1}


async def test_trap_6_an_array_is_refused(tied):
    """It would be at two places of this index too."""
    await tied.insert_one({"_id": "twice", "created_at": [1, 2]})
    with pytest.raises(PlanError, match="holds an array"):
        await plan_ranges(tied, Window(), SMALL)
