"""Whole runs in one process: planned, run, reconciled, resumed."""

from __future__ import annotations

import json

import pytest
from bson import Decimal128, ObjectId

from engine import JsonLinesWriter, Settings, Status, Tuning, Window, plan_ranges, run
from tests.support.samples import fill, first_word, ids_of, message

pytestmark = pytest.mark.asyncio

SMALL = Settings(
    range_documents=100,
    batch_texts=10,
    max_attempts=2,
    max_outage_s=0,
    tuning=Tuning(page_documents=50, retry_base_s=0),
)


async def test_a_run_reconciles_range_by_range(messages, database):
    """Every range has a report, and the run's counts are their sums."""
    report = await run(Window(), source=messages, extractor=first_word, target=database, settings=SMALL)
    assert (report.status, report.reconciled) == (Status.SUCCEEDED, True)
    assert (report.read, report.written, len(report.ranges)) == (1000, 1000, 11)
    assert await ids_of(database["messages_entities"]) == list(range(1000))


async def test_a_second_run_changes_no_document(messages, database):
    """Not even the times of the extractions change."""
    await run(Window(), source=messages, extractor=first_word, target=database, settings=SMALL)
    before = await database["messages_entities"].find({}).to_list(length=None)
    report = await run(Window(), source=messages, extractor=first_word, target=database, settings=SMALL)
    assert (report.unchanged, report.written) == (1000, 0)
    assert await database["messages_entities"].find({}).to_list(length=None) == before


async def test_a_completed_run_is_planned_again_and_finds_new_documents(messages, database):
    """So a daily run of the same window finds documents that came late."""
    await run(Window(), source=messages, extractor=first_word, target=database, settings=SMALL)
    await messages.insert_many([message(2000, 1), message(2001, 10_000)])
    report = await run(Window(), source=messages, extractor=first_word, target=database, settings=SMALL)
    assert (report.read, report.written, report.unchanged) == (1002, 2, 1000)


class Service:
    """Records the texts it answered; goes down for good at a given text, or at the start if that is None."""

    def __init__(self, down_at="never"):
        self.down_at, self.texts, self.down = down_at, [], down_at is None

    async def __call__(self, texts):
        """Finds the first word of each text while it is up."""
        self.down = self.down or self.down_at in texts
        if self.down:
            raise ConnectionError("down")
        self.texts += texts
        return await first_word(texts)


async def test_a_failed_run_resumes_where_it_stopped(messages, database):
    """Finished ranges are not run again, the others resume, and the plan is the same."""
    arguments = {"source": messages, "target": database, "settings": SMALL}
    failed = await run(Window(), extractor=Service(None), **arguments)
    assert (failed.status, failed.reconciled, failed.dead_lettered) == (Status.INTERRUPTED, False, 0)
    assert "the service does not work" in failed.problems[0]
    plan = await plan_ranges(messages, Window(), SMALL, database)
    mended = Service()
    report = await run(Window(), extractor=mended, **arguments)
    assert report.reconciled
    assert report.run_id == plan.run_id
    assert sorted(mended.texts) == sorted(f"Hello {n}" for n in range(1000))


async def test_finished_ranges_are_not_read_again_by_a_resumed_run(messages, database):
    """Only the range that failed is run again."""
    settings = SMALL.model_copy(update={"range_concurrency": 1})
    arguments = {"source": messages, "target": database, "settings": settings}
    failed = await run(Window(), extractor=Service("Hello 555"), **arguments)
    assert [r.status for r in failed.ranges[:5]] == [Status.SUCCEEDED] * 5
    mended = Service()
    report = await run(Window(), extractor=mended, **arguments)
    assert report.reconciled
    assert not {f"Hello {n}" for n in range(500)} & set(mended.texts)


async def test_dead_letters_are_limited_by_a_setting(messages, database):
    """More dead letters than allowed fail the run, but only after all else is done."""

    async def refuses_two(texts):
        if {"Hello 7", "Hello 8"} & set(texts):
            raise ValueError("refused")
        return await first_word(texts)

    report = await run(Window(), source=messages, extractor=refuses_two, target=database, settings=SMALL)
    assert (report.status, report.reconciled, report.dead_lettered) == (Status.FAILED, True, 2)
    assert report.written == 998
    assert await ids_of(database["messages_dead_letters"]) == [7, 8]
    allowed = SMALL.model_copy(update={"max_dead_letters": 2})
    report = await run(Window(), source=messages, extractor=refuses_two, target=database, settings=allowed)
    assert report.status is Status.SUCCEEDED


async def test_a_dead_letter_that_succeeds_is_resolved_and_keeps_its_history(messages, database):
    """The resolved letter holds neither text nor entities."""

    async def refuses_one(texts):
        if "Hello 7" in texts:
            raise ValueError("refused")
        return await first_word(texts)

    await run(Window(), source=messages, extractor=refuses_one, target=database, settings=SMALL)
    letter = await database["messages_dead_letters"].find_one({"_id": 7})
    assert (letter["kind"], letter["message"], letter["text_length"]) == (
        "permanent",
        "ValueError: refused",
        7,
    )
    assert letter["resolved_at"] is None
    assert "Hello 7" not in str(letter)
    await run(Window(), source=messages, extractor=first_word, target=database, settings=SMALL)
    resolved = await database["messages_dead_letters"].find_one({"_id": 7})
    assert resolved["resolved_at"] is not None
    assert resolved["message"] == "ValueError: refused"


async def test_a_text_of_any_other_type_is_a_dead_letter(messages, database):
    """No BSON type in the text field ends a range."""
    others = [ObjectId(), 5, None, {"a": 1}, ["x"], True, b"x", Decimal128("1")]
    await messages.insert_many([{**message(f"o{n}", 1), "text": other} for n, other in enumerate(others)])
    settings = SMALL.model_copy(update={"max_dead_letters": len(others)})
    report = await run(Window(), source=messages, extractor=first_word, target=database, settings=settings)
    assert (report.status, report.dead_lettered, report.written) == (Status.SUCCEEDED, len(others), 1000)
    kinds = await database["messages_dead_letters"].distinct("kind")
    assert kinds == ["invalid_text"]


@pytest.mark.parametrize("count", [0, 1])
async def test_trap_14_empty_and_single_collections_run_and_reconcile(database, count):
    """A run without documents, or with one, succeeds."""
    collection = await fill(database["messages"], [message(n) for n in range(count)])
    report = await run(Window(), source=collection, extractor=first_word, target=database, settings=SMALL)
    assert (report.status, report.reconciled, report.read) == (Status.SUCCEEDED, True, count)


async def test_outside_documents_are_in_the_report(messages, database):
    """They are counted at planning and shown at the end."""
    await messages.insert_many([{"_id": "a", "text": "x"}, {"_id": "b", "created_at": "x", "text": "x"}])
    report = await run(Window(), source=messages, extractor=first_word, target=database, settings=SMALL)
    assert report.outside == {"null or missing": 1, "string": 1}
    assert report.reconciled


async def test_json_lines_serve_a_script_without_a_target(messages, tmp_path):
    """Each document is one line of a file; dead letters go to a second file."""
    await messages.update_one({"_id": 3}, {"$unset": {"text": ""}})
    settings = SMALL.model_copy(update={"max_dead_letters": 1})
    path = tmp_path / "entities.jsonl"
    report = await run(
        Window(), source=messages, extractor=first_word, settings=settings, writer=JsonLinesWriter(path)
    )
    assert (report.status, report.written, report.dead_lettered) == (Status.SUCCEEDED, 999, 1)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert sorted(line["_id"] for line in lines) == [n for n in range(1000) if n != 3]
    assert lines[0]["entities"][0]["text"] == "Hello"
    (letter,) = path.with_suffix(".dead_letters.jsonl").read_text().splitlines()
    assert json.loads(letter)["_id"] == 3


async def test_progress_is_told_for_the_whole_run(messages, database):
    """The number of documents only grows, and ends at the expected number."""
    seen = []
    await run(
        Window(), source=messages, extractor=first_word, target=database, settings=SMALL, progress=seen.append
    )
    assert [p.documents for p in seen] == sorted(p.documents for p in seen)
    assert (seen[-1].documents, seen[-1].expected, seen[-1].range_id) == (1000, 1000, None)
