"""Changes the source at a random moment of a run: renames, drops, swaps, restores, clears it, and more.

The run must succeed with the results of all documents that it has to have, or say what is wrong. It is then
run a second time under the same id, with nothing changed, and judged again.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError

from engine import EngineError, Entity, RunReport, Settings, Tuning, Window, run
from engine.keys.bson_values import lookup_key
from tests.chaos.outcomes import End, Outcome
from tests.support.samples import INDEX, message

DOCUMENTS, BATCH_TEXTS, PAGE_DOCUMENTS, RANGE_DOCUMENTS = 240, 8, 16, 90
MOST_S = 120.0
"""A run that takes longer hangs."""


@dataclass
class Place:
    """A source in a database of its own, a target in another, and the documents that must have results.

    Attributes:
        order_field: the field that orders the documents.
        required: the documents that a run may not miss, whatever was done.
    """

    client: Any
    rng: random.Random
    order_field: str
    name: str = field(default_factory=lambda: f"chaos_{uuid.uuid4().hex[:10]}")
    required: list[dict[str, Any]] = field(default_factory=list)

    @property
    def source(self) -> Any:
        """The collection that is read."""
        return self.client[self.name]["messages"]

    @property
    def target(self) -> Any:
        """The database of the results."""
        return self.client[f"{self.name}_results"]

    async def fill(self, collection: Any, word: str) -> list[dict[str, Any]]:
        """Creates the index and inserts the documents, each with a first word of its own."""
        documents = [message(n, n // 3, f"{word}{n} said something") for n in range(DOCUMENTS)]
        await collection.create_index(INDEX)
        await collection.insert_many(documents)
        return documents

    async def present(self) -> list[dict[str, Any]]:
        """The documents that the source holds now."""
        found: list[dict[str, Any]] = await self.source.find({}).to_list(length=None)
        return found

    async def drop(self) -> None:
        """Removes both databases."""
        for name in (self.name, self.target.name):
            await self.client.drop_database(name)


Change = Callable[[Place], Awaitable[Any]]


async def rename(place: Place) -> None:
    """The collection goes away under its name."""
    await place.source.rename("messages_2019")


async def drop(place: Place) -> None:
    """The collection is dropped."""
    await place.source.drop()


async def drop_database(place: Place) -> None:
    """Its whole database is dropped."""
    await place.client.drop_database(place.name)


async def swap(place: Place) -> None:
    """Another collection with the same `_id`s and other texts takes its name."""
    other = place.client[place.name]["imported"]
    await place.fill(other, "other")
    await other.rename("messages", dropTarget=True)


async def restore(place: Place) -> None:
    """It is dropped and filled again, as by `mongorestore --drop`."""
    await place.source.drop()
    await place.fill(place.source, "word")


async def to_capped(place: Place) -> None:
    """It is converted to a capped collection, which is a new one with few of the documents and no index."""
    await place.client[place.name].command({"convertToCapped": "messages", "size": 4096})


async def clear(place: Place) -> None:
    """All documents are deleted."""
    place.required = []
    await place.source.delete_many({})


async def expire(place: Place) -> None:
    """A part of the documents is deleted, as a TTL index does."""
    kept = place.rng.randrange(DOCUMENTS)
    place.required = [document for document in place.required if document["_id"] >= kept]
    await place.source.delete_many({"_id": {"$lt": kept}})


async def retype_ids(place: Place) -> None:
    """Some `_id`s change their number type: each document is deleted and inserted again in a transaction.

    Without one it is absent for a moment, and a document that comes behind the reader is a late one.
    """
    for document in place.rng.sample(place.required, 20):
        async with place.client.start_session() as session, await session.start_transaction():
            await place.source.delete_one({"_id": document["_id"]}, session=session)
            await place.source.insert_one({**document, "_id": float(document["_id"])}, session=session)


async def drop_index(place: Place) -> None:
    """The index on time is dropped; a run in the order of `_id` does not need it."""
    await place.source.drop_index(INDEX)


async def step_down(place: Place) -> None:
    """The primary steps down; in a set of one it is elected again at once."""
    command = {"replSetStepDown": 1, "force": True}
    await place.client.admin.command(command)


CHANGES: dict[str, Change] = {
    change.__name__: change
    for change in (
        rename,
        drop,
        drop_database,
        swap,
        restore,
        to_capped,
        clear,
        expire,
        retype_ids,
        drop_index,
        step_down,
    )
}


async def trial(uri: str, kind: str, seed: int) -> Outcome:
    """Runs over a source that is changed at a moment chosen by the seed; then runs a second time."""
    rng = random.Random(seed)
    async with AsyncMongoClient(uri, retryWrites=True) as client:
        place = Place(client, rng, rng.choice(["created_at", "_id"]))
        place.required = await place.fill(place.source, "word")
        try:
            faults = [await _attempt(place, _at(rng, lambda: CHANGES[kind](place)))]
            place.required = await place.present()
            faults += [await _attempt(place, _at(rng, None))]
        finally:
            await place.drop()
    if wrong := [f"run {at}: {fault}" for at, fault in enumerate(faults, 1) if fault not in ("", *End)]:
        return Outcome(kind, seed, End.WRONG, "; ".join(wrong))
    return Outcome(kind, seed, End.TOLD if End.TOLD in faults else End.RIGHT)


def _at(rng: random.Random, change: Callable[[], Awaitable[Any]] | None) -> Any:
    """An extractor that finds first words, and that starts the change at a random one of its requests."""
    moment, seen = rng.randrange(DOCUMENTS // BATCH_TEXTS), 0
    changing: list[asyncio.Future[Any]] = []

    async def extract(texts: Sequence[str]) -> list[list[Entity]]:
        nonlocal seen
        seen += 1
        if seen > moment and change is not None and not changing:
            changing.append(asyncio.ensure_future(_done(change)))
        await asyncio.sleep(rng.random() / 200)
        return [[Entity(0, len(word), "WORD", word)] for text in texts if (word := text.split(" ")[0])]

    return extract


async def _done(change: Callable[[], Awaitable[Any]]) -> None:
    try:
        await change()
    except PyMongoError:  # a primary that steps down closes the connection on which it was told so
        await asyncio.sleep(0)


async def _attempt(place: Place, extract: Any) -> str:
    """Runs once; returns how it ended: an `End`, or what was wrong."""
    settings = Settings(
        run_id="chaos",
        order_field=place.order_field,
        range_documents=RANGE_DOCUMENTS,
        batch_texts=BATCH_TEXTS,
        max_concurrency=4,
        checkpoint_s=0,
        tuning=Tuning(page_documents=PAGE_DOCUMENTS),
    )
    places = {"source": place.source, "target": place.target, "settings": settings}
    try:
        async with asyncio.timeout(MOST_S):
            report = await run(Window(), extractor=extract, **places)
    except EngineError as error:
        return End.TOLD if str(error) else "an error without a message"
    except TimeoutError:
        return f"it still ran after {MOST_S:.0f} s"
    except Exception as error:  # noqa: BLE001  (an error that is not the engine's is what is looked for)
        return f"{type(error).__name__}: {error}"
    return await _judged(place, report)


async def _judged(place: Place, report: RunReport) -> str:
    if report.status != "succeeded" or not report.reconciled:
        return End.TOLD if report.problems else "not succeeded, without a problem"
    stored = {
        lookup_key(found["_id"]): found["entities"][0]["text"]
        async for found in place.target["messages_entities"].find({})
    }
    missing = [
        document["_id"]
        for document in place.required
        if stored.get(lookup_key(document["_id"])) != document["text"].split(" ")[0]
    ]
    return f"succeeded, and {len(missing)} results are missing or of another text" if missing else End.RIGHT
