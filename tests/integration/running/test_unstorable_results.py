"""Trap 47: a result that can never be stored is a dead letter of its document; the rest is written."""

from __future__ import annotations

import pytest

from engine import Entity, JsonLinesWriter, MongoWriter, PlanError, Status, Window, replay, run, verify
from engine.model import DeadLetter
from engine.storing.target import Target
from tests.support.checking import SMALL, places
from tests.support.samples import fill, ids_of, message
from tests.support.settings import settings_with

pytestmark = pytest.mark.asyncio

MANY = settings_with(SMALL, max_dead_letters=99, batch_texts=30)


class Odd:
    """An extractor that finds these entities in the text `Hello 7`, and one entity in every other text."""

    def __init__(self, *entities):
        self.entities = list(entities)

    async def __call__(self, texts):
        """Returns the entities of each text."""
        return [self.entities if text == "Hello 7" else [Entity(0, 5, "WORD", "Hello")] for text in texts]


def _many(count):
    return [Entity(0, 5, "LABEL" * 10, "Hello", 0.5) for _ in range(count)]


UNSTORABLE = {
    "many entities": (_many(150_000), "bytes, and MongoDB stores at most 16,777,216"),
    "a long label": ([Entity(0, 5, "L" * (16 << 20), "Hello")], "MongoDB stores at most 16,777,216"),
    "just above": ([Entity(0, 5, "L" * ((16 << 20) - 200), "Hello")], "MongoDB stores at most 16,777,216"),
    "half of a surrogate pair": ([Entity(0, 5, "\ud83d", "Hello")], "a string that UTF-8 cannot encode"),
}


@pytest.mark.parametrize("case", UNSTORABLE)
@pytest.mark.parametrize("force", [False, True])
async def test_a_result_that_cannot_be_stored_is_a_dead_letter(pymongo_database, case, force):
    """The letter says why; the nineteen others are written, and counted as such."""
    entities, says = UNSTORABLE[case]
    collection = await fill(pymongo_database["messages"], [message(n, n) for n in range(20)])
    where = places(collection, settings_with(MANY, force=force))
    report = await run(Window(), extractor=Odd(*entities), **where)
    assert (report.status, report.reconciled) == (Status.SUCCEEDED, True)
    assert (report.written + report.unchanged, report.dead_lettered) == (19, 1)
    assert await ids_of(pymongo_database["messages_entities"]) == [n for n in range(20) if n != 7]
    letter = await pymongo_database["messages_dead_letters"].find_one({})
    assert (letter["_id"], letter["kind"]) == (7, "permanent")
    assert says in letter["message"]
    assert "Hello" not in letter["message"]
    assert (await verify(Window(), **where)).dead_lettered == 1


async def test_what_was_stored_before_is_not_counted_as_written(pymongo_database):
    """A second run finds nineteen unchanged, and the letter again; a replay can resolve it."""
    collection = await fill(pymongo_database["messages"], [message(n, n) for n in range(20)])
    await run(Window(), extractor=Odd(*_many(150_000)), **places(collection, MANY))
    again = settings_with(MANY, run_id="again")
    report = await run(Window(), extractor=Odd(*_many(150_000)), **places(collection, again))
    assert (report.written, report.unchanged, report.dead_lettered) == (0, 19, 1)
    failed = await replay(Window(), extractor=Odd(*_many(150_000)), **places(collection, MANY))
    assert (failed.read, failed.dead_lettered) == (1, 1)
    mended = await replay(Window(), extractor=Odd(), **places(collection, MANY))
    assert (mended.read, mended.written) == (1, 1)
    assert (await verify(Window(), **places(collection, MANY))).present == 20


async def test_two_results_that_cannot_be_stored_beside_many_large_ones(pymongo_database):
    """Their batch is larger than a message, so it is split; all others are written once."""
    collection = await fill(pymongo_database["messages"], [message(n, n) for n in range(12)])

    async def large(texts):
        chars = {"Hello 3": 17 << 20, "Hello 9": 18 << 20}
        return [[Entity(0, 5, "L" * chars.get(text, 5 << 20), "Hello")] for text in texts]

    report = await run(Window(), extractor=large, **places(collection, MANY))
    assert (report.status, report.written, report.dead_lettered) == (Status.SUCCEEDED, 10, 2)
    letters = pymongo_database["messages_dead_letters"]
    assert await ids_of(letters) == [3, 9]


@pytest.mark.parametrize("text", ["x" * ((16 << 20) - 100), "\ud83d"])
async def test_a_letter_that_cannot_be_stored_is_kept_without_its_text(pymongo_database, text):
    """A text of nearly 16 MB fits its own document, but not a letter that says more."""
    target = Target.of(pymongo_database, f"{pymongo_database.name}.messages", MANY)
    writer = MongoWriter(target, "r", extractor="ner@1")
    await writer.write([], [DeadLetter(7, "permanent", "HTTP 400", "0000", text=text)])
    letter = await pymongo_database["messages_dead_letters"].find_one({"_id": 7})
    assert "text" not in letter
    assert letter["message"].startswith("HTTP 400 (the text is not kept: it h")


async def test_lines_take_half_of_a_surrogate_pair(pymongo_database, tmp_path):
    """JSON can say it, with an escape."""
    collection = await fill(pymongo_database["messages"], [message(7)])
    path = tmp_path / "entities.jsonl"
    odd = Odd(Entity(0, 5, "\ud83d", "Hello"))
    report = await run(
        Window(), source=collection, extractor=odd, writer=JsonLinesWriter(path), settings=MANY
    )
    assert (report.written, r"\ud83d" in path.read_text()) == (1, True)


async def test_a_plan_that_is_too_large_is_one_line(pymongo_database):
    """Ranges whose keys are very long strings do not fit one document; the line says what to do."""
    collection = pymongo_database["messages"]
    await collection.insert_many([{"_id": f"{n}" + "x" * 1_000_000, "text": "a"} for n in range(10, 30)])
    settings = settings_with(MANY, order_field="_id", range_documents=1, max_ranges=100)
    with pytest.raises(PlanError, match=r"has \d+ ranges, whose keys are too large .* smaller max_ranges"):
        await run(Window(), extractor=Odd(), **places(collection, settings))
