"""The collection that is read in an order, and the questions to it that concern no range of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from typing import Any, Self

from bson import json_util

from engine.errors import PlanError, SourceError
from engine.keys.bson_values import EXACT_CODEC, STRICT, bracket_of
from engine.keys.key import Order
from engine.keys.order_index import OrderIndex, missing_index
from engine.mongo import calls, driver
from engine.mongo.calls import EXECUTION_TIMEOUT
from engine.mongo.collection_info import refuse_replaced_source
from engine.reading.filters import both

BAD_HINT = 2
"""Server code BadValue: among others, no index that may be used has the name of the hint."""

SEARCH_MS = 5_000
"""The longest search for a document that has the order field. After it, one is assumed to be there."""

MOST_NAMES = 8
"""How many names a message lists."""

ORDERED = ("date", "number")
"""Types of the fields that are proposed as an order."""


@dataclass(frozen=True)
class Source:
    """One collection, the order in which it is read, and what is known of it.

    Attributes:
        index: the index that serves the order; that of the collection behind a view.
        filter: the user's extra filter.
        collation: the collation of the collection, which is the index's too; None for the simple collation.
        capped: whether the collection is capped: then no snapshot of it can be read.
        behind_router: whether `mongos` answers, behind which the collection may be spread over shards.
        utf8_handler: what the client has chosen for texts that are not UTF-8; keys are always exact.
        source_uuid: what the collection was when the scan was made (`collection_info.identity_of`).
    """

    collection: driver.Collection
    order: Order
    index: OrderIndex
    filter: dict[str, Any] = field(default_factory=dict)
    collation: Mapping[str, Any] | None = None
    capped: bool = field(default=False, kw_only=True)
    behind_router: bool = field(default=False, kw_only=True)
    utf8_handler: str = field(default=STRICT, kw_only=True)
    source_uuid: str | None = field(default=None, kw_only=True)

    @property
    def spec(self) -> list[tuple[str, int]]:
        """The fields that every query sorts by, and their directions."""
        return self.order.spec

    @property
    def of_view(self) -> bool:
        """Whether this reads a view, by an index of the collection behind it."""
        name: str = self.collection.name
        return self.index.collection != name

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

    async def refuse_lost_index(self, error: SourceError) -> None:
        """Tells the refusal of a query with a hint as the index that is gone, if the hint is the reason.

        A wrong filter has the same code, and a view does not list indexes: the filter is tried alone.

        Raises:
            PlanError: names the index; the message holds the `createIndex` to run.
        """
        if error.code != BAD_HINT:
            return
        alone = {"find": self.collection.name, "filter": self.filter, "limit": 1}
        try:
            await self._sent({"explain": alone})
        except SourceError:
            return
        lost = f"index {self.index.name!r}, by which it was read, was dropped or hidden"
        where, index = driver.namespace(self.collection), self.index
        reasons, ways = ([lost], [index.creation]) if index.name else ([], [])
        message = missing_index(where, self.order, reasons, behind=index.collection, ways=ways)
        raise PlanError(message) from error

    async def command(self, query: dict[str, Any]) -> Any:
        """Sends a reading command by the read preference of the collection, and returns the answer.

        Raises:
            PlanError: the command has a hint, and its index is gone.
            SourceError: the server could not be read.
        """
        try:
            return await self._sent(query)
        except SourceError as error:
            if "hint" in query.get("explain", query):
                await self.refuse_lost_index(error)
            raise

    async def _sent(self, query: dict[str, Any]) -> Any:
        database = self.collection.database
        how: dict[str, Any] = {
            "read_preference": self.collection.read_preference,
            "codec_options": EXACT_CODEC,
        }
        return await calls.read_source(self.collection, lambda: database.command(query, **how))

    async def first_id(self, condition: Mapping[str, Any], most_ms: int = 0) -> Any:
        """A document that fulfils the condition, with its `_id` alone; None if there is none.

        Raises:
            SourceError: the server could not be read, or the search took longer than `most_ms`, if given.
        """
        collection = self.collection
        limits: dict[str, Any] = {"max_time_ms": most_ms} if most_ms else {}
        return await calls.read_source(
            collection, lambda: collection.find_one(condition, {"_id": 1}, **limits)
        )

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


async def missing_collection(collection: driver.Collection) -> str:
    """The message that there is no such collection, with the names that there are, the nearest first."""
    database = collection.database
    names = await calls.read_source(database, database.list_collection_names)
    names = nearest(collection.name, [name for name in names if not name.startswith("system.")])
    if names:
        there = f"{database.name} has {', '.join(names)}"
    else:
        databases = nearest(database.name, await _database_names(database))
        there = f"database {database.name} has no collections"
        there += f"; the databases are {', '.join(databases)}" if databases else ""
    return f"there is no collection {driver.namespace(collection)}: {there}"


async def _database_names(database: driver.Database) -> list[str]:
    """The databases that this login sees; none if it may not list them."""
    try:
        names = await calls.read_source(database, database.client.list_database_names)
    except SourceError:
        return []
    return [name for name in names if name not in ("admin", "config", "local")]


async def missing_field(collection: driver.Collection, name: str) -> str | None:
    """The message that no document has the order field, with fields that could take its place.

    None if a document has it, or if it is not known after `SEARCH_MS`. No value is told, only names.
    """
    if name == "_id" or not driver.has_server(collection):
        return None
    has_it: dict[str, Any] = {name: {"$exists": True}}
    try:
        found = await calls.read_source(
            collection, lambda: collection.find_one(has_it, {"_id": 1}, max_time_ms=SEARCH_MS)
        )
        one = None if found else await calls.read_source(collection, collection.find_one)
    except SourceError as error:
        if error.code == EXECUTION_TIMEOUT:
            return None
        raise
    if one is None:
        return None
    others = nearest(name, [path for path, value in _fields(one) if bracket_of(value) in ORDERED])
    listed = f": documents have {', '.join(others)}" if others else ""
    where = driver.namespace(collection)
    return f"no document of {where} has a field {name}{listed}. Choose another order_field"


def nearest(wanted: str, names: Sequence[str]) -> list[str]:
    """At most `MOST_NAMES` of the names, those most like the wanted one first."""
    by_likeness = sorted(names, key=lambda name: -SequenceMatcher(None, wanted.lower(), name.lower()).ratio())
    return by_likeness[:MOST_NAMES]


def _fields(document: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """The paths and values of a document's fields but `_id`, also of those in embedded documents."""
    found: list[tuple[str, Any]] = []
    for name, value in document.items():
        if not prefix and name == "_id":
            continue
        inside = isinstance(value, Mapping)
        found += _fields(value, f"{prefix}{name}.") if inside else [(f"{prefix}{name}", value)]
    return found
