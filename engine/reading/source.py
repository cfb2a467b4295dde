"""The collection that is read in an order, and the questions to it that concern no range of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from bson import json_util

from engine.keys.bson_values import EXACT_CODEC, STRICT
from engine.keys.key import Order
from engine.mongo import calls, driver
from engine.mongo.collection_info import refuse_replaced_source
from engine.reading.filters import both


@dataclass(frozen=True)
class Source:
    """One collection, the order in which it is read, and what is known of it.

    Attributes:
        index: name of the index that serves the order; None on a view.
        filter: the user's extra filter.
        collation: the collation of the collection, which is the index's too; None for the simple collation.
        behind_router: whether `mongos` answers, behind which the collection may be spread over shards.
        utf8_handler: what the client has chosen for texts that are not UTF-8; keys are always exact.
        source_uuid: what the collection was when the scan was made (`collection_info.identity_of`).
    """

    collection: driver.Collection
    order: Order
    index: str | None
    filter: dict[str, Any] = field(default_factory=dict)
    collation: Mapping[str, Any] | None = None
    behind_router: bool = field(default=False, kw_only=True)
    utf8_handler: str = field(default=STRICT, kw_only=True)
    source_uuid: str | None = field(default=None, kw_only=True)

    @property
    def spec(self) -> list[tuple[str, int]]:
        """The fields of the index, by which every query sorts."""
        return self.order.spec

    @property
    def fingerprint(self) -> dict[str, str]:
        """What a position depends on. A checkpoint with another fingerprint cannot resume here."""
        collation = self.collation or {}
        return {
            "order": ", ".join(name for name, _ in self.spec),
            "collation": f"{collation.get('locale', 'simple')}, strength {collation.get('strength', 3)}",
            "filter": json_util.dumps(self.filter),
        }

    async def refuse_replaced(self) -> None:
        """Refuses to go on if the collection is not the one that the scan was made for.

        Raises:
            SourceError: it was dropped or renamed since, and its name may belong to another one.
        """
        await refuse_replaced_source(self.collection, self.source_uuid)

    async def command(self, query: dict[str, Any]) -> Any:
        """Sends a reading command by the read preference of the collection, and returns the answer."""
        database = self.collection.database
        how: dict[str, Any] = {
            "read_preference": self.collection.read_preference,
            "codec_options": EXACT_CODEC,
        }
        return await calls.read_source(self.collection, lambda: database.command(query, **how))

    async def first_id(self, condition: Mapping[str, Any]) -> Any:
        """A document that fulfils the condition, with its `_id` alone; None if there is none."""
        collection = self.collection
        return await calls.read_source(collection, lambda: collection.find_one(condition, {"_id": 1}))

    async def find_ids(self, ids: Sequence[Any]) -> list[Any]:
        """Those of the `_id`s that the collection has, whatever the filter.

        Raises:
            SourceError: the server could not be read, or the collection was dropped or renamed.
        """
        wanted = {"_id": {"$in": list(ids)}}
        found = await calls.read_source(
            self.collection, lambda: self.collection.find(wanted, {"_id": 1}).to_list(length=None)
        )
        await self.refuse_replaced()
        return [document["_id"] for document in found]

    async def count_matching(self, condition: Mapping[str, Any]) -> int:
        """How many documents fulfil the condition, by an aggregation, which any server and view answers."""
        found = await calls.read_source(self.collection, lambda: self.collection.count_documents(condition))
        return int(found)

    async def estimated_total(self) -> int:
        """How many documents the collection holds, from its metadata (trap 15, docs/traps.md)."""
        return int(await calls.read_source(self.collection, self.collection.estimated_document_count))

    async def _aggregate(self, pipeline: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return await calls.read_source(self.collection, lambda: driver.aggregate(self.collection, pipeline))

    async def compare(self, one: Any, other: Any) -> int:
        """-1, 0 or 1 if `one` sorts before, with or after `other` in the first field of the order.

        The server compares them, by the collection's collation (trap 8, docs/traps.md). The answer is 0 if
        the collection is empty. Without a server there is no collation, and Python compares.
        """
        if not driver.has_server(self.collection):
            return int(one > other) - int(one < other)
        compared = {"$cmp": [{"$literal": one}, {"$literal": other}]}
        first: list[dict[str, Any]] = [{"$sort": dict(self.spec)}, {"$limit": 1}]
        last = {"$project": {"_id": 0, "compared": compared}}
        found = await self._aggregate([*first, last])
        return int(found[0]["compared"]) if found else 0

    def limited_to(self, condition: dict[str, Any]) -> Self:
        """The same scan, limited to the documents that also fulfil the condition."""
        return replace(self, filter=both(self.filter, condition))
