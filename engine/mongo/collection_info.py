"""What a server tells about a collection: whether it is there, of which kind, with which options and UUID."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.mongo import driver


@dataclass(frozen=True, slots=True)
class CollectionInfo:
    """A collection as `listCollections` describes it.

    Attributes:
        kind: `collection`, `view` or `timeseries`.
        options: what it was created with: `capped`, `clusteredIndex`, `collation`, `viewOn`, `pipeline`...
        uuid: 32 hexadecimal digits that no other collection has, and that a rename keeps; None for a view.
    """

    kind: str = "collection"
    options: Mapping[str, Any] = field(default_factory=dict)
    uuid: str | None = None


async def collection_info(collection: driver.Collection) -> CollectionInfo | None:
    """Returns what the server tells about a collection; None if there is no collection of this name.

    Send it through `calls.read_source` or `calls.read_target`. Without a server, all are ordinary ones.
    """
    if not driver.has_server(collection):
        return CollectionInfo()
    return (await infos_of(collection.database, {collection.name})).get(collection.name)


async def infos_of(database: driver.Database, names: Collection[str]) -> dict[str, CollectionInfo]:
    """Returns, by one command, what the server tells about those of the collections that exist, by name.

    Send it as `collection_info`. Without a server, nothing is told.
    """
    if not driver.has_server(database):
        return {}
    named = {"listCollections": 1, "filter": {"name": {"$in": sorted(names)}}}
    answer = await database.command(named)
    return {found["name"]: _info(found) for found in answer["cursor"]["firstBatch"]}


def _info(found: Mapping[str, Any]) -> CollectionInfo:
    uuid = found.get("info", {}).get("uuid")
    return CollectionInfo(
        kind=found.get("type", "collection"),
        options=found.get("options", {}),
        uuid=None if uuid is None else bytes(uuid).hex(),
    )
