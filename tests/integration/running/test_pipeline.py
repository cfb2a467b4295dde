"""One range on a real server: written once, resumed after its checkpoint, stopped cleanly."""

from __future__ import annotations

import asyncio

import pytest

from engine import (
    ConfigError,
    ExtractionError,
    Interrupted,
    KeyRange,
    Settings,
    SourceError,
    Status,
    Tuning,
    Window,
    WriteError,
    plan_ranges,
    run_range,
)
from engine.mongo import driver
from engine.storing.mongo_checkpoints import MongoCheckpoints
from tests.support.samples import first_word, ids_of, message

pytestmark = pytest.mark.asyncio

SMALL = Settings(
    batch_texts=10, max_concurrency=2, checkpoint_s=0, tuning=Tuning(page_documents=50, write_documents=10)
)


async def the_range(collection, settings=SMALL):
    """The only range of a plan of everything."""
    return (await plan_ranges(collection, Window(), settings)).ranges[0]


class Recorder:
    """An extractor that records the texts it is sent, and can be told to stop answering."""

    def __init__(self, answers=10**9):
        self.texts, self.answers, self.stuck = [], answers, asyncio.Event()

    async def __call__(self, texts):
        """Answers the given number of requests, then none."""
        if self.answers <= 0:
            self.stuck.set()
            await asyncio.Event().wait()
        self.answers -= 1
        self.texts += texts
        return await first_word(texts)


async def test_a_range_is_written_once_under_the_source_ids(messages, database):
    """Each holds entities, hash, extractor, run and time; the report reconciles."""
    key_range = await the_range(messages)
    report = await run_range(
        key_range, source=messages, extractor=first_word, target=database, settings=SMALL
    )
    assert report.reconciled
    assert (report.read, report.written, report.expected, report.status) == (
        1000,
        1000,
        1000,
        Status.SUCCEEDED,
    )
    assert await ids_of(database["messages_entities"]) == list(range(1000))
    stored = await database["messages_entities"].find_one({"_id": 7})
    assert stored["entities"] == [{"start": 0, "end": 5, "label": "WORD", "text": "Hello", "score": None}]
    assert stored["extractor"] == "ner@1"
    assert stored["run_id"] == key_range.run_id
    assert len(stored["text_hash"]) == 64
    assert stored["extracted_at"]


async def test_a_finished_range_run_again_sends_nothing(messages, database):
    """Every document is found unchanged."""
    key_range, recorder = await the_range(messages), Recorder()
    await run_range(key_range, source=messages, extractor=first_word, target=database, settings=SMALL)
    report = await run_range(key_range, source=messages, extractor=recorder, target=database, settings=SMALL)
    assert recorder.texts == []
    assert (report.read, report.unchanged, report.written) == (1000, 1000, 0)


async def test_changed_texts_and_new_versions_are_sent_again(messages, database):
    """Other texts are not sent; the extraction is replaced, not duplicated."""
    key_range, recorder = await the_range(messages), Recorder()
    await run_range(key_range, source=messages, extractor=first_word, target=database, settings=SMALL)
    await messages.update_one({"_id": 5}, {"$set": {"text": "Changed now"}})
    report = await run_range(key_range, source=messages, extractor=recorder, target=database, settings=SMALL)
    assert (recorder.texts, report.written, report.unchanged) == (["Changed now"], 1, 999)
    newer = SMALL.model_copy(update={"extractor_version": "2"})
    report = await run_range(
        key_range, source=messages, extractor=first_word, target=database, settings=newer
    )
    assert report.written == 1000
    assert await database["messages_entities"].count_documents({"extractor": "ner@2"}) == 1000


async def cancelled_midway(key_range, source, target, settings=SMALL):
    """Runs the range until the extractor stops answering, then cancels it; returns what was sent."""
    recorder = Recorder(answers=30)
    task = asyncio.create_task(
        run_range(key_range, source=source, extractor=recorder, target=target, settings=settings)
    )
    await recorder.stuck.wait()
    await asyncio.sleep(0.2)  # what was answered is written meanwhile
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return recorder


async def test_trap_31_a_cancelled_range_resumes_after_its_checkpoint(messages, database):
    """The second attempt reads only what lies after the low-water mark; the sums are those of one attempt."""
    key_range = await the_range(messages)
    await cancelled_midway(key_range, messages, database)
    (checkpoint,) = await MongoCheckpoints(driver.durable(database["engine_checkpoints"])).of_run(
        key_range.run_id
    )
    assert checkpoint.status is Status.INTERRUPTED
    assert 0 < checkpoint.counts.read < 1000
    recorder = Recorder()
    report = await run_range(key_range, source=messages, extractor=recorder, target=database, settings=SMALL)
    assert set(recorder.texts).isdisjoint(f"Hello {n}" for n in range(checkpoint.counts.read))
    assert report.reconciled
    assert (report.read, report.written + report.unchanged, report.attempts) == (1000, 1000, 2)
    assert await ids_of(database["messages_entities"]) == list(range(1000))


async def test_trap_29_the_checkpoint_is_behind_what_is_durable(messages, database):
    """Wherever the range is interrupted, every document up to the position has its extraction."""
    key_range = await the_range(messages)
    await cancelled_midway(key_range, messages, database)
    (checkpoint,) = await MongoCheckpoints(driver.durable(database["engine_checkpoints"])).of_run(
        key_range.run_id
    )
    written = set(await ids_of(database["messages_entities"]))
    assert set(range(checkpoint.position.values[-1] + 1)) <= written


async def test_trap_31_the_deadline_interrupts_and_reports(messages, database):
    """The status is `interrupted`, the low-water mark is saved, and no document is blamed."""
    settings = SMALL.model_copy(update={"deadline_s": 0.5})
    recorder = Recorder(answers=5)
    key_range = await the_range(messages)
    report = await run_range(
        key_range, source=messages, extractor=recorder, target=database, settings=settings
    )
    assert (report.status, report.reconciled, report.dead_lettered) == (Status.INTERRUPTED, False, 0)
    report = await run_range(
        key_range, source=messages, extractor=first_word, target=database, settings=SMALL
    )
    assert report.reconciled


async def test_trap_32_an_error_in_one_stage_ends_the_others(messages, database):
    """The error of the writer is raised unchanged, and the checkpoint says `failed`."""
    await database.command(
        "create", "messages_entities", validator={"_id": {"$lt": 500}}, validationAction="error"
    )
    key_range = await the_range(messages)
    with pytest.raises(WriteError, match="_id 50[0-9]") as raised:
        await run_range(key_range, source=messages, extractor=first_word, target=database, settings=SMALL)
    assert raised.value.range_id == "0000"
    (checkpoint,) = await MongoCheckpoints(driver.durable(database["engine_checkpoints"])).of_run(
        key_range.run_id
    )
    assert checkpoint.status is Status.FAILED
    assert checkpoint.counts.read <= 500


async def test_trap_30_write_errors_surface_one_by_one(messages, database):
    """Each error names the `_id` of its document."""
    await database.command("create", "messages_entities", validator={"_id": {"$nin": [3, 4]}})
    with pytest.raises(WriteError, match="2 documents refused .*_id 3: .*_id 4: "):
        await run_range(
            await the_range(messages), source=messages, extractor=first_word, target=database, settings=SMALL
        )


async def test_an_extractor_that_always_fails_fails_the_range(messages, database):
    """No document is blamed."""

    async def broken(texts):
        raise ValueError("a bug")

    with pytest.raises(ExtractionError, match="the service does not work .ValueError: a bug"):
        await run_range(
            await the_range(messages), source=messages, extractor=broken, target=database, settings=SMALL
        )
    assert await database["messages_dead_letters"].count_documents({}) == 0


async def test_a_claim_takes_the_range_from_an_earlier_attempt(messages, database):
    """A zombie attempt stops at its next checkpoint and moves nothing."""
    key_range = await the_range(messages)
    store = MongoCheckpoints(driver.durable(database["engine_checkpoints"]))
    zombie = await store.claim(key_range)
    await store.claim(key_range)
    with pytest.raises(Interrupted, match="taken over"):
        await store.save(zombie)


async def test_trap_17_a_checkpoint_of_other_bounds_is_not_resumed(messages, database):
    """A script that plans again begins such a range at its start, so that no document is skipped."""
    one = await the_range(messages, SMALL.model_copy(update={"range_documents": 100}))
    other = KeyRange(one.start, (await the_range(messages)).stop, one.range_id, one.run_id)
    await cancelled_midway(other, messages, database)
    report = await run_range(one, source=messages, extractor=first_word, target=database, settings=SMALL)
    assert (report.read, report.attempts, report.reconciled) == (one.expected, 1, True)


async def test_a_changed_filter_refuses_to_resume_and_says_so(messages, database):
    """The position and the counts belong to other documents."""
    key_range = await the_range(messages)
    await cancelled_midway(key_range, messages, database)
    filtered = SMALL.model_copy(update={"filter": {"_id": {"$gt": 5}}})
    with pytest.raises(ConfigError, match="range 0000 cannot resume .filter was {}, now "):
        await run_range(key_range, source=messages, extractor=first_word, target=database, settings=filtered)
    report = await run_range(
        key_range, source=messages, extractor=first_word, target=database, settings=SMALL
    )
    assert (report.reconciled, report.read) == (True, 1000)


async def test_documents_that_came_in_behind_the_reader_fail_the_range(messages, database):
    """The error says how many were not read; the next attempt starts over and reconciles."""
    key_range = await the_range(messages)
    await messages.delete_many({"_id": {"$gte": 900}})
    sent = 0

    async def meanwhile(texts):
        nonlocal sent
        sent += len(texts)
        if sent == 900:
            await messages.insert_many([message(-n, 0) for n in range(1, 51)])
        return await first_word(texts)

    settings = SMALL.model_copy(update={"max_concurrency": 1})
    with pytest.raises(SourceError, match="50 documents more than were read"):
        await run_range(key_range, source=messages, extractor=meanwhile, target=database, settings=settings)
    report = await run_range(
        key_range, source=messages, extractor=first_word, target=database, settings=settings
    )
    assert report.reconciled
    assert (report.read, report.written, report.unchanged) == (950, 50, 900)


async def test_a_range_goes_through_json_between_planner_and_worker(messages, database):
    """Ranges are passed on in this way from one Airflow task to the next."""
    key_range = KeyRange.from_json((await the_range(messages)).to_json())
    report = await run_range(
        key_range, source=messages, extractor=first_word, target=database, settings=SMALL
    )
    assert report.reconciled


async def test_results_may_go_to_another_database(messages, client, database):
    """Source and target may be on different servers."""
    elsewhere = client[f"{database.name}_elsewhere"]
    try:
        report = await run_range(
            await the_range(messages), source=messages, extractor=first_word, target=elsewhere, settings=SMALL
        )
        assert report.reconciled
        assert await elsewhere["messages_entities"].count_documents({}) == 1000
        assert await database.list_collection_names() == ["messages"]
    finally:
        await client.drop_database(elsewhere.name)


async def test_results_too_large_for_one_message_are_written_too(messages, database):
    """A message holds at most 48 MB, and a group of results may be larger."""
    big = "x" * 1_000_000
    collection = driver.durable(database["messages_entities"])
    said = await driver.insert(collection, [{"_id": n, "big": big} for n in range(60)])
    assert not any(said.values())
    assert await ids_of(collection) == list(range(60))
