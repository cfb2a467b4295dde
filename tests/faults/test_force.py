"""`force` sends every document again and replaces its extraction, but one run sends nothing twice."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
import pytest_asyncio

from engine import ConfigError, Settings, Status, Window, run
from engine.storing.mongo_checkpoints import MongoCheckpoints
from tests.support.misbehaviour import changed_entity, silence

pytestmark = pytest.mark.asyncio

DOCUMENTS = 300


@pytest_asyncio.fixture
async def done(work_on_each_driver):
    """A finished run; afterwards the service returns other labels, and its records are cleared."""
    await work_on_each_driver.fill(DOCUMENTS)
    await work_on_each_driver.run()
    work_on_each_driver.service.calls.clear()
    work_on_each_driver.service.down = changed_entity(label="NEW")
    return work_on_each_driver


async def labels(work):
    """How many documents have which label in their first entity."""
    return Counter(entities[0]["label"] for entities in (await work.stored()).values())


async def test_a_forced_run_sends_and_replaces_everything(done, text_of):
    """Each text is sent once, and the report counts documents as written, not as unchanged."""
    report = await done.run(force=True)

    assert (report.status, report.reconciled) == (Status.SUCCEEDED, True)
    assert (report.written, report.unchanged) == (DOCUMENTS, 0)
    assert done.service.received == Counter(text_of(n) for n in range(DOCUMENTS))
    assert await labels(done) == {"NEW": DOCUMENTS}


async def test_without_force_nothing_is_sent_and_nothing_replaced(done):
    """With the same service, the old labels stay."""
    report = await done.run()

    assert (report.unchanged, done.service.calls) == (DOCUMENTS, [])
    assert "NEW" not in await labels(done)


async def test_forced_once_more_everything_is_sent_once_more(done):
    """A completed forced run starts over when it is run again."""
    await done.run(force=True)
    done.service.calls.clear()

    report = await done.run(force=True)

    assert (report.written, sum(done.service.received.values())) == (DOCUMENTS, DOCUMENTS)
    assert report.attempts == 1


async def test_a_forced_run_into_an_empty_target_writes_everything(work_on_each_driver):
    """It works although nothing is there to be replaced."""
    await work_on_each_driver.fill(DOCUMENTS)

    report = await work_on_each_driver.run(force=True)

    assert (report.status, report.written) == (Status.SUCCEEDED, DOCUMENTS)
    assert await work_on_each_driver.stored() == work_on_each_driver.fault_free(range(DOCUMENTS))


async def stopped_midway(work, **settings):
    """A run that is cancelled while the service does not answer; returns the `_id`s before its checkpoint."""
    answer, answered = work.service.down, 0

    async def then_silence(request, texts):
        nonlocal answered
        answered += 1
        return await (answer if answered <= 20 else silence)(request, texts)

    work.service.down = then_silence
    running = asyncio.create_task(work.run(range_documents=DOCUMENTS, timeout_s=60, **settings))
    store = MongoCheckpoints(work.database["engine_checkpoints"])
    while True:
        async with asyncio.timeout(30):
            await asyncio.sleep(0.02)
        kept = await work.database["engine_checkpoints"].find({"status": "running"}).to_list(length=None)
        if answered > 20 and kept and kept[0]["read"] >= 100:
            break
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    work.service.down = answer
    (stopped,) = [c for c in await store.of_run(kept[0]["run_id"]) if c.status is Status.INTERRUPTED]
    return range(stopped.counts.read)


async def test_a_forced_run_that_resumes_sends_nothing_before_its_checkpoint_again(done, text_of):
    """Only documents beyond the checkpoint may be sent twice; in the end all are replaced."""
    before = await stopped_midway(done, force=True)
    done.service.calls.clear()

    report = await done.run(force=True, range_documents=DOCUMENTS)

    assert 100 <= len(before) < DOCUMENTS
    assert (report.status, report.written, report.attempts) == (Status.SUCCEEDED, DOCUMENTS, 2)
    assert done.service.received.keys() == {text_of(n) for n in range(before.stop, DOCUMENTS)}
    assert await labels(done) == {"NEW": DOCUMENTS}


async def test_a_forced_run_does_not_go_on_with_one_that_was_not(done):
    """An interrupted run without force has done one half; a forced run does that half again too."""
    await done.database["messages_entities"].delete_many({})
    before = await stopped_midway(done)
    done.service.down = changed_entity(label="NEWER")

    report = await done.run(force=True, range_documents=DOCUMENTS)

    assert len(before) >= 100
    assert (report.written, report.attempts) == (DOCUMENTS, 1)
    assert await labels(done) == {"NEWER": DOCUMENTS}


async def test_a_run_id_is_forced_or_not(done):
    """A forced and an unforced run cannot share a run id; the message says so."""
    await stopped_midway(done, run_id="mine", force=True)

    with pytest.raises(ConfigError, match="force was 'True', now 'False'"):
        await done.run(run_id="mine")


async def test_with_force_no_writer_is_asked_what_it_knows(work):
    """A custom writer that reports every document as known still gets all of them."""

    class Knows:
        written = 0

        async def known(self, documents):
            raise AssertionError("asked")

        async def write(self, extractions, dead_letters):
            self.written += len(extractions)
            return frozenset()

    async def nothing(texts):
        return [[] for _ in texts]

    await work.fill(50)
    writer = Knows()
    report = await run(
        Window(), source=work.source, extractor=nothing, writer=writer, settings=Settings(force=True)
    )
    assert (report.written, writer.written) == (50, 50)
