"""Sample documents and extractors for the tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from engine import Entity

DAY = datetime(2020, 1, 1, tzinfo=UTC)
INDEX = [("created_at", 1), ("_id", 1)]


def message(id_, second=0, text=None):
    """A document of a chat history, `second` seconds after midnight of `DAY`."""
    return {
        "_id": id_,
        "created_at": DAY + timedelta(seconds=second),
        "text": f"Hello {id_}" if text is None else text,
    }


async def first_word(texts):
    """An extractor that finds the first word of each text."""
    return [[Entity(0, len(word), "WORD", word)] if (word := text.split(" ")[0]) else [] for text in texts]


async def fill(collection, documents):
    """Creates the index and inserts the documents."""
    await collection.create_index(INDEX)
    if documents:
        await collection.insert_many(documents)
    return collection


async def ids_of(collection):
    """All `_id`s of a collection, in the server's order of `_id`."""
    return [d["_id"] for d in await collection.find({}, {"_id": 1}).sort([("_id", 1)]).to_list(length=None)]
