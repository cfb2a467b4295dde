"""Texts that a service may read only in part are told in the report, whoever extracts and however it ends."""

from __future__ import annotations

import pytest

from engine import Entity, Status, Window, run
from engine.extractors.formats import FORMATS
from tests.support.places import DOCS
from tests.support.settings import settings_with

pytestmark = pytest.mark.asyncio


async def fill(work, *lengths):
    """Inserts a document for each length of a text."""
    texts = [f"{n} Ada " + "x" * (length - len(f"{n} Ada ")) for n, length in enumerate(lengths)]
    await work.source.insert_many([{"_id": n, "created_at": n, "text": text} for n, text in enumerate(texts)])
    await work.source.create_index([("created_at", 1), ("_id", 1)])


def truncated(report):
    """The notes about texts that are too long."""
    return [note for note in report.notes if "possibly truncated" in note]


@pytest.mark.parametrize(("longest", "told"), [(510, 0), (511, 1), (40_000, 1)])
async def test_a_format_knows_what_its_models_read(work, longest, told):
    """One character more is told; every document is written all the same."""
    await fill(work, 20, longest, 30)
    report = await work.run(format="huggingface", order_type="number")
    assert (report.status, report.written, len(truncated(report))) == (Status.SUCCEEDED, 3, told)
    assert all("510 characters (max_text_chars)" in note for note in truncated(report))


@pytest.mark.parametrize("shape", ["native", "presidio", "huggingface"])
@pytest.mark.parametrize(("most", "told"), [(99, 1), (100, 0), (100_000, 0), (None, 0)])
async def test_the_setting_holds_for_every_format(work, shape, most, told):
    """It counts characters, and replaces the format's own limit."""
    await fill(work, 20, 100)
    report = await work.run(format=shape, order_type="number", max_text_chars=most)
    assert (report.status, len(truncated(report))) == (Status.SUCCEEDED, told)


async def test_it_holds_for_a_function_of_ones_own(work):
    """The note is there whatever the extractor is."""
    await fill(work, 20, 101)

    async def extract(texts):
        return [[Entity(0, 1, "X", text[:1])] for text in texts]

    settings = settings_with(order_type="number", max_text_chars=100)
    report = await run(
        Window(), source=work.source, extractor=extract, target=work.database, settings=settings
    )
    assert (report.status, len(truncated(report))) == (Status.SUCCEEDED, 1)


async def test_several_ranges_and_a_stop_tell_it_once(work):
    """A note is shown once, after a resumption too, and by a later run that finds all documents unchanged."""
    await fill(work, *[150] * 40)
    settings = {"order_type": "number", "max_text_chars": 100, "range_documents": 10}
    stopped = await work.run(**settings, deadline_s=0.000001, range_concurrency=1)
    report = await work.run(**settings)
    again = await work.run(**settings, run_id="again")
    assert stopped.status is not Status.SUCCEEDED
    assert (len(report.ranges), len(truncated(report))) == (4, 1)
    assert (again.unchanged, len(truncated(again))) == (40, 1)


async def test_what_is_no_text_has_no_length(work):
    """Missing texts, lists and numbers are dead letters, and nothing else."""
    await work.source.insert_many(
        [{"_id": n, "created_at": n, "text": text} for n, text in enumerate([None, ["x"] * 500, 7, "short"])]
    )
    await work.source.create_index([("created_at", 1), ("_id", 1)])
    report = await work.run(order_type="number", max_text_chars=100, max_dead_letters=3)
    assert (report.status, report.dead_lettered, truncated(report)) == (Status.SUCCEEDED, 3, [])


async def test_the_page_of_formats_says_what_each_does():
    """Its table has the limit of each format."""
    page = (DOCS / "formats.md").read_text().split("## Texts that are too long")[1].split("\n## ")[0]
    for shape in FORMATS.values():
        (row,) = [line for line in page.splitlines() if line.startswith(f"| {shape.name} |")]
        assert row.endswith(f"| {shape.max_text_chars or 'none'} |")
