"""Services that take fewer texts or characters a request than they are sent (trap 59, docs/traps.md)."""

from __future__ import annotations

import asyncio

import pytest

from engine import Entity, ExtractionError, Failure, Report, Status, Window, run
from tests.support.samples import fill, message
from tests.support.settings import settings_with

pytestmark = pytest.mark.asyncio

DOCUMENTS = 6400


class LimitedService:
    """Refuses requests with more than so many texts or characters: 413, 422 or 400, as services do."""

    def __init__(self, most_texts=10**9, most_chars=10**9, status=413):
        self.most_texts, self.most_chars, self.status = most_texts, most_chars, status
        self.sizes, self.refused = [], 0

    async def extract(self, texts):
        """Returns one entity for each text, after 5 ms."""
        self.sizes.append(len(texts))
        await asyncio.sleep(0.005)
        if len(texts) > self.most_texts or sum(map(len, texts)) > self.most_chars:
            self.refused += 1
            raise ExtractionError(f"HTTP {self.status}", failure=Failure.PERMANENT, status=self.status)
        return [[Entity(0, 1, "X", text[0])] for text in texts]


async def run_over(database, service, texts, **settings):
    """Runs over documents with these texts, and returns the report."""
    documents = [message(n, n // 3) | {"text": text} for n, text in enumerate(texts)]
    source = await fill(database["messages"], documents)
    return await run(
        Window(), source=source, extractor=service, target=database, settings=settings_with(**settings)
    )


@pytest.mark.parametrize(("most", "status"), [(32, 413), (25, 400), (8, 422), (1, 413)])
async def test_trap_59_the_number_of_texts_is_learnt(pymongo_database, most, status, caplog):
    """The run makes few requests beyond those needed, and logs once which setting to change."""
    service = LimitedService(most, status=status)
    texts = [f"text number {n}" for n in range(DOCUMENTS)]
    with caplog.at_level("WARNING"):
        report = await run_over(pymongo_database, service, texts)
    assert (report.status, report.written, report.dead_lettered) == (Status.SUCCEEDED, DOCUMENTS, 0)
    needed = DOCUMENTS // most
    assert len(service.sizes) <= 1.1 * needed + 10
    told = [r.getMessage() for r in caplog.records if "request_size_learnt" in r.getMessage()]
    assert len(told) == 1
    note = f"the service takes at most {most} texts a request; set batch_texts={most}"
    assert note in told[0]
    assert report.notes == (note,)
    stored = await pymongo_database["engine_plans"].find_one({"_id": report.run_id})
    assert Report.from_json(stored["report"]).notes == (note,)
    kept = await pymongo_database["engine_checkpoints"].find({}).to_list()
    assert [checkpoint["notes"] for checkpoint in kept] == [[note]]


async def test_trap_59_the_number_of_characters_is_learnt_apart(pymongo_database):
    """Where long texts are refused, the learnt number of texts stays as it is for short ones."""
    service = LimitedService(most_chars=4000)
    texts = [f"{n:05}" + "x" * (5 if n < 3200 else 195) for n in range(DOCUMENTS)]
    report = await run_over(pymongo_database, service, texts, range_concurrency=1)
    assert (report.status, report.written, report.dead_lettered) == (Status.SUCCEEDED, DOCUMENTS, 0)
    assert service.sizes[:20].count(64) == 20
    assert [note.partition(" a request; set batch_")[0][-10:] for note in report.notes] == ["characters"]
    # Requests that were in flight or cut already when the limit was met come on top.
    assert len(service.sizes) <= 1.15 * (3200 / 64 + 3200 / 20) + 2 * 64


async def test_trap_59_one_text_too_long_shrinks_nothing(pymongo_database):
    """Its document becomes a dead letter; all other requests stay as large as before."""
    service = LimitedService(most_chars=10_000)
    texts = [f"text number {n}" for n in range(2048)]
    texts[0], texts[1000] = "x" * 20_000, "y" * 20_000
    report = await run_over(pymongo_database, service, texts, repeat_cache_texts=0)
    assert (report.status, report.written, report.dead_lettered) == (Status.FAILED, 2046, 2)
    assert service.sizes.count(64) >= 2048 // 64 - 2


async def test_a_text_that_is_refused_teaches_nothing_of_sizes(pymongo_database):
    """A bad text fails its whole request and one of its parts, so the size was not the reason."""

    class Picky(LimitedService):
        async def extract(self, texts):
            if "text number 7" in texts:
                self.sizes.append(len(texts))
                raise ExtractionError("HTTP 400", failure=Failure.PERMANENT, status=400)
            return await super().extract(texts)

    service = Picky()
    report = await run_over(pymongo_database, service, [f"text number {n}" for n in range(2048)])
    assert (report.written, report.dead_lettered) == (2047, 1)
    assert service.sizes.count(64) >= 2048 // 64 - 1


async def test_a_service_that_takes_less_than_before_is_learnt_again(pymongo_database):
    """The service restarts with a smaller limit during the run."""

    class Restarted(LimitedService):
        async def extract(self, texts):
            if len(self.sizes) == 30:
                self.most_texts = 16
            return await super().extract(texts)

    service = Restarted(64)
    report = await run_over(pymongo_database, service, [f"text number {n}" for n in range(DOCUMENTS)])
    assert (report.status, report.written) == (Status.SUCCEEDED, DOCUMENTS)
    assert len(service.sizes) <= 1.15 * (30 + (DOCUMENTS - 30 * 64) / 16) + 2 * 64
