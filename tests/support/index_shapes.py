"""Indexes on `created_at` that people have, other than the exact one, and the query forms that they allow."""

from __future__ import annotations

import uuid

from pymongo.errors import BulkWriteError

from engine.mongo.driver import exact
from tests.support.samples import INDEX

COLLATION = {"locale": "en", "strength": 2}
"""Case makes no difference: nothing that Python's `==` or `<` knows."""

DOWN = [("created_at", -1), ("_id", -1)]

SHAPES = {
    "descending": DOWN,
    "longer": [*INDEX, ("text", 1)],
    "longer, of arrays": [*INDEX, ("tags", -1)],
    "descending, longer": [*DOWN, ("tags", 1)],
    "mixed": [("created_at", 1), ("_id", -1)],
    "mixed, longer": [("created_at", -1), ("_id", 1), ("text", 1)],
    "descending, alone": DOWN[:1],
    "without _id": [("created_at", -1), ("text", 1)],
}
"""The fields of the index, by the name of the case."""

TIED = ("whole_ties", "mixed", "mixed, longer", "descending, alone", "without _id")
"""The cases in which the index does not order the documents of one value; the query form is one of them."""


def form_of(shape: str) -> str:
    """The query form that a plan chooses for the index of a case."""
    return "whole_ties" if shape in TIED else "filter" if shape == "filter" else "index_bounds"


class Server:
    """A database whose collections and views are made once; tests run coroutines on its loop."""

    def __init__(self, runner, client):
        self.run, self.client = runner.run, client
        self.database = client[f"test_{uuid.uuid4().hex[:12]}"]

    async def prepare(self):
        """Makes a plain and a collated collection for each index, with a view; and a clustered one."""
        for name, options in (("plain", {}), ("collated", {"collation": COLLATION})):
            for shape, keys in {"index_bounds": INDEX, "whole_ties": INDEX[:1], **SHAPES}.items():
                collection = await self.database.create_collection(f"{name} {shape}", **options)
                await collection.create_index(keys)
            view = {"viewOn": f"{name} index_bounds", "pipeline": []}
            await self.database.create_collection(f"{name} index_bounds view", **view, **options)
            clustered = {"key": {"_id": 1}, "unique": True, "name": "by_id"}
            await self.database.create_collection(f"{name} clustered", clusteredIndex=clustered, **options)

    async def holding(self, case, shape):
        """Fills the collection with the case's documents, without those whose `_id` is already used."""
        shape = "index_bounds" if shape == "filter" else shape
        collection = exact(self.database[f"{'collated' if case.collated else 'plain'} {shape}"])
        await collection.delete_many({})
        try:
            if case.documents:
                tagged = [{**document, "tags": [1, 2, 3]} for document in case.documents]
                await collection.insert_many(tagged, ordered=False)
        except BulkWriteError as error:
            # 50819: a clustered collection fails so for a second NaN
            assert {e["code"] for e in error.details["writeErrors"]} <= {11000, 50819}  # noqa: PT017 - part of setting up
        return collection
