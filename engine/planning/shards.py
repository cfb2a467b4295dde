"""What a plan guarantees behind `mongos`, where a collection may be spread over shards.

A shard enforces that its own `_id`s differ. If the shard key does not begin with `_id`, two shards may hold
documents with the same one: a page may pass over one of them, and the result of one replaces the other's.
"""

from __future__ import annotations

from typing import Any

from engine.errors import PlanError, SourceError
from engine.keys.key import Key
from engine.mongo import calls, driver
from engine.mongo.calls import EXECUTION_TIMEOUT, UNAUTHORIZED
from engine.reading.scan import Scan

SEARCH_MS = 60_000
"""The longest search for an `_id` that occurs twice in the window."""


async def check_shards(scan: Scan, start: Key, stop: Key) -> str | None:
    """Returns what is guaranteed behind `mongos`, in words; None if the client does not speak to `mongos`.

    Raises:
        PlanError: two documents of the window share an `_id`, or that could not be ruled out.
    """
    if not scan.behind_router:
        return None
    key = await _shard_key(scan.collection)
    if key == ():
        return "behind mongos, on one shard"
    sharded = f"sharded by ({', '.join(key)})" if key else "sharded, and the login may not read the shard key"
    if key and key[0] == "_id":
        unique = "which keeps documents with one _id on one shard"
    else:
        await _refuse_repeated_ids(scan, start, stop, sharded)
        unique = "and no _id occurred twice in the window while it was planned"
    asked = "" if key and key[0] == scan.order.fields[0] else "; each page asks every shard"
    return f"{sharded}, {unique}{asked}"


async def _shard_key(collection: driver.Collection) -> tuple[str, ...] | None:
    """The fields of the shard key; empty if the collection is not sharded, None if that may not be read."""
    name = driver.namespace(collection)
    known = collection.database.client["config"]["collections"]
    try:
        found = await calls.read_source(
            known, lambda: known.find_one({"_id": name}, {"key": 1, "dropped": 1})
        )
    except SourceError as error:
        if error.code != UNAUTHORIZED:
            raise
        return None if await _may_be_sharded(collection) else ()
    return tuple(found["key"]) if found and not found.get("dropped") else ()


async def _may_be_sharded(collection: driver.Collection) -> bool:
    """Whether the statistics call it sharded; true, too, if the login may not read them."""
    stats = {"collStats": collection.name}
    try:
        found = await calls.read_source(collection, lambda: collection.database.command(stats))
    except SourceError as error:
        if error.code is None:
            raise
        return True
    return bool(found.get("sharded", True))


async def _refuse_repeated_ids(scan: Scan, start: Key, stop: Key, sharded: str) -> None:
    name = driver.namespace(scan.collection)
    why = f"{name} is {sharded}, so that two shards may hold documents with the same _id"
    advice = "Copy it to a collection whose shard key begins with _id, with new _ids, and read that"
    try:
        repeated = await _repeated_id(scan, start, stop)
    except SourceError as error:
        if error.code != EXECUTION_TIMEOUT:
            raise
        raise PlanError(
            f"{why}, and {SEARCH_MS // 1000} s did not suffice to rule that out for the window: choose a "
            f"smaller window. {advice}"
        ) from error
    if repeated:
        raise PlanError(
            f"{why}: {repeated[0]!r} occurs twice, and one result would replace the other. {advice}",
            document_id=repeated[0],
        )


async def _repeated_id(scan: Scan, start: Key, stop: Key) -> list[Any]:
    """An `_id` that two documents of the window share; empty if there is none."""
    stages: list[dict[str, Any]] = [
        {"$match": scan.condition(start, stop)},
        {"$group": {"_id": "$_id", "documents": {"$sum": 1}}},
        {"$match": {"documents": {"$gt": 1}}},
        {"$limit": 1},
    ]
    query = {"aggregate": scan.collection.name, "pipeline": stages, "cursor": {}}
    answer = await scan.command({**query, "allowDiskUse": True, "maxTimeMS": SEARCH_MS})
    return [found["_id"] for found in answer["cursor"]["firstBatch"]]
