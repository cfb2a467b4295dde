"""The stages of one range, its parts in memory, on virtual time: what ends one stage ends all of them."""

from __future__ import annotations

import asyncio

import pytest

from engine import ConfigError, ExtractionError, Failure, SourceError, Status, WriteError
from engine.running.progress_tracker import report_of
from tests.support.memory_parts import SMALL, MemorySource, MemoryWriter, Watched, attempt_at
from tests.support.settings import settings_with
from tests.support.virtual_time import now_s, run_virtually

TEXTS = [f"text {n}" for n in range(200)]


class Service:
    """Takes a tenth of a second, then calls the function of the test with each text."""

    def __init__(self, does=lambda _text: None):
        self.does, self.received = does, []

    async def extract(self, texts):
        """Answers with no entities."""
        self.received += texts
        await asyncio.sleep(0.1)
        for text in texts:
            self.does(text)
        return [[] for _ in texts]


class Broken(Exception):
    """An error that is not the engine's."""


def failing_at(text, error):
    """Makes a function that raises the error at the given text."""

    def does(given):
        if given == text:
            raise error

    return does


class BrokenSource(MemorySource):
    """Ends with an error instead of its second half (trap 12, docs/traps.md)."""

    async def pages(self, after):
        """Yields half of the pages."""
        async for page in super().pages(after):
            if page.ids[0] >= 100:
                raise SourceError("the cursor is gone")
            yield page


class BrokenWriter(MemoryWriter):
    """Refuses to write a certain document."""

    async def write(self, extractions, dead_letters):
        """Refuses the whole group that holds it."""
        if any(e.document_id == 90 for e in extractions):
            raise WriteError("_id 90: no")
        return await super().write(extractions, dead_letters)


class ForgetfulWriter(MemoryWriter):
    """Fails when it is asked which documents it knows."""

    async def known(self, ids):
        """Fails for the later documents."""
        if ids[0] >= 100:
            raise WriteError("not now")
        return await super().known(ids)


def of_progress(progress):
    """A progress callback that fails."""
    if progress.documents >= 100:
        raise Broken


ENDS = {
    "reader": (BrokenSource(TEXTS), MemoryWriter, Service(), None, SourceError),
    "what is known": (MemorySource(TEXTS), ForgetfulWriter, Service(), None, WriteError),
    "extractor": (
        MemorySource(TEXTS),
        MemoryWriter,
        Service(failing_at("text 90", ConfigError("no"))),
        None,
        ConfigError,
    ),
    "writer": (MemorySource(TEXTS), BrokenWriter, Service(), None, WriteError),
    "progress": (MemorySource(TEXTS), MemoryWriter, Service(), of_progress, Broken),
}


@pytest.mark.parametrize(("source", "writer", "service", "progress", "error"), ENDS.values(), ids=ENDS)
def test_trap_32_whatever_stage_fails_the_range_ends_with_its_error(source, writer, service, progress, error):
    """The error is raised unchanged, no task is left or hangs, and the checkpoint is saved."""

    async def main():
        kept = Watched(written := writer())
        attempt = await attempt_at(service, source, written, kept, SMALL, progress=progress)
        with pytest.raises(error):
            await attempt.run()
        assert attempt.checkpoint.status is Status.FAILED
        assert 0 < attempt.checkpoint.counts.read < 100 + 2 * 4  # two writers write four documents each
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_virtually(main())


def test_trap_29_rows_that_failed_are_not_passed():
    """A write fails while later batches are extracted already: the position stays before it.

    The next attempt writes it (in redpanda connect#4676 the position moved on).
    """

    async def main():
        written = BrokenWriter()
        kept = Watched(written)
        service = Service(lambda text: None)
        attempt = await attempt_at(service, MemorySource(TEXTS), written, kept, SMALL)
        with pytest.raises(WriteError):
            await attempt.run()
        assert attempt.checkpoint.position.values[-1] < 90
        mended = MemoryWriter()
        mended.stored = written.stored
        kept.writer = mended
        again = await attempt_at(service, MemorySource(TEXTS), mended, kept, SMALL)
        assert await again.run() is Status.SUCCEEDED
        assert set(mended.stored) == set(range(200))
        assert report_of(again.checkpoint).reconciled

    run_virtually(main())


def test_trap_29_a_slow_document_holds_the_checkpoint_back():
    """The first batch is answered last: until then the position stays, though later batches are written."""

    async def main():
        class Slow(Service):
            async def extract(self, texts):
                if "text 0" in texts:
                    await asyncio.sleep(60)
                return await super().extract(texts)

        written = MemoryWriter()
        kept = Watched(written)
        attempt = await attempt_at(Slow(), MemorySource(TEXTS), written, kept, SMALL)
        running = asyncio.create_task(attempt.run())
        await asyncio.sleep(50)
        assert attempt.checkpoint.position is None
        assert len(written.stored) == (8 - 1) * 4
        assert await running is Status.SUCCEEDED
        assert attempt.checkpoint.counts.read == 200

    run_virtually(main())


@pytest.mark.parametrize(("drain_s", "rounds"), [(0.2, 6), (0.01, 5)], ids=["ends", "is dropped"])
@pytest.mark.parametrize("how", ["deadline", "cancellation"])
def test_trap_31_an_interruption_in_flight_saves_the_low_water_mark(how, drain_s, rounds):
    """Requests in flight may end within `drain_s`, no other is sent, and the next attempt sends the rest."""

    async def main():
        written = MemoryWriter()
        kept = Watched(written)
        service = Service()
        deadline_s = 0.55 if how == "deadline" else None
        settings = SMALL.model_copy(update={"deadline_s": deadline_s, "drain_s": drain_s})
        attempt = await attempt_at(service, MemorySource(TEXTS), written, kept, settings)
        running = asyncio.create_task(attempt.run())
        if how == "cancellation":
            await asyncio.sleep(0.55)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
        else:
            assert await running is Status.INTERRUPTED
        first = attempt.checkpoint
        assert (first.status, first.counts.read) == (Status.INTERRUPTED, rounds * 4 * 4)
        assert len(service.received) == 6 * 4 * 4
        assert attempt._endpoint.slots.in_flight == 0
        service.received.clear()
        again = await attempt_at(service, MemorySource(TEXTS), written, kept, SMALL)
        assert await again.run() is Status.SUCCEEDED
        assert sorted(service.received) == sorted(TEXTS[rounds * 16 :])
        assert set(written.writes.values()) == {1}

    run_virtually(main())


def test_trap_31_an_interruption_uses_up_no_attempts():
    """However often the range is stopped, a bad text is blamed after `max_attempts` within one attempt."""

    async def main():
        written = MemoryWriter()
        kept = Watched(written)
        crash = ExtractionError("HTTP 500", failure=Failure.TRANSIENT, status=500)
        service = Service(failing_at("text 0", crash))
        stopping = settings_with(SMALL, deadline_s=0.45, drain_s=0, retry_base_s=0.05)
        for _ in range(5):
            attempt = await attempt_at(service, MemorySource(TEXTS[:8]), written, kept, stopping)
            assert await attempt.run() is Status.INTERRUPTED
            assert written.letters == {}
        last = await attempt_at(service, MemorySource(TEXTS[:8]), written, kept, SMALL)
        assert await last.run() is Status.SUCCEEDED
        assert written.letters[0].attempts == SMALL.max_attempts
        assert last.checkpoint.counts.dead_lettered == 1

    run_virtually(main())


def test_trap_24_a_range_waits_an_outage_out():
    """After a minute of outage the same attempt goes on; no text is blamed, and each is written once."""

    async def main():
        def down(_text):
            if 0.55 <= now_s() < 60.55:
                raise ConnectionError("down")

        written = MemoryWriter()
        attempt = await attempt_at(Service(down), MemorySource(TEXTS), written, Watched(written), SMALL)
        assert await attempt.run() is Status.SUCCEEDED
        assert now_s() > 60.55
        assert (attempt.checkpoint.attempts, written.letters) == (1, {})
        assert set(written.writes.values()) == {1}

    run_virtually(main())


def test_trap_24_an_outage_without_end_interrupts_the_range():
    """It ends after `max_outage_s`; what was done is kept, and the next attempt resumes there."""

    async def main():
        down = [True]

        def gone(_text):
            if down[0] and now_s() > 0.55:
                raise ConnectionError("down")

        written = MemoryWriter()
        kept = Watched(written)
        service = Service(gone)
        attempt = await attempt_at(service, MemorySource(TEXTS), written, kept, SMALL)
        assert await attempt.run() is Status.INTERRUPTED
        assert "run again to resume" in attempt.checkpoint.problem
        down[0] = False
        again = await attempt_at(service, MemorySource(TEXTS), written, kept, SMALL)
        assert await again.run() is Status.SUCCEEDED
        assert (written.letters, again.checkpoint.counts.read) == ({}, 200)

    run_virtually(main())
