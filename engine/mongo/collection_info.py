"""What a server tells about a collection, and whether it is still the one that it was.

A dropped or renamed collection answers every query with nothing, and so does the end of a range. An empty
answer is believed only of the collection that was planned (trap 44, docs/traps.md).
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import bson

from engine.errors import SourceError, WriteError
from engine.mongo import calls, driver

UUID_MISMATCH = 361
"""Server code CollectionUUIDMismatch; also the `code` of the errors below."""

DEEPEST_VIEW = 20
"""The server's limit of views on views."""

Reading = Callable[[driver.Place, calls.Command[Any]], Awaitable[Any]]
"""`calls.read_source` or `calls.read_target`."""


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


async def layers_of(
    collection: driver.Collection, read: Reading = calls.read_source
) -> list[CollectionInfo | None]:
    """What the server tells about a collection and, if it is a view, about each one below it.

    The last one is None if there is no such collection.
    """
    layers: list[CollectionInfo | None] = []
    while len(layers) <= DEEPEST_VIEW:
        info: CollectionInfo | None = await read(collection, partial(collection_info, collection))
        layers.append(info)
        if info is None or info.kind != "view":
            break
        collection = collection.database[info.options["viewOn"]]
    return layers


def identity_of(layers: list[CollectionInfo | None]) -> str | None:
    """The collection's identity: 32 hexadecimal digits that no other collection has, and a rename keeps.

    Of a collection it is the UUID; of a view, a digest of its definition and of what it reads.

    Returns:
        None if the collection, or the one below the view, does not exist; "" if the server tells no UUID.
    """
    base = layers[-1]
    if base is None:
        return None
    if base.uuid is None or len(layers) == 1:
        return base.uuid or ""
    definitions = [dict(view.options) for view in layers[:-1] if view is not None]
    return hashlib.sha256(bson.encode({"views": definitions, "uuid": base.uuid})).hexdigest()[:32]


async def current_identity(collection: driver.AnyCollection) -> str | None:
    """The identity of the source that has this name now."""
    return identity_of(await layers_of(driver.exact(collection), calls.read_source))


async def target_identity(collection: driver.Collection) -> str | None:
    """The identity of a collection of the target; "" if the login may not list collections."""
    try:
        return identity_of(await layers_of(collection, calls.read_target))
    except WriteError as error:
        if error.code == calls.UNAUTHORIZED:
            return ""
        raise


def is_replaced(before: str | None, now: str | None) -> bool:
    """Whether a collection is another one than before; if either is not known, it is not."""
    return bool(before) and now not in (before, "")


async def refuse_replaced_source(collection: driver.Collection, planned: str | None) -> None:
    """Refuses a source that is not the planned one any more; without a planned UUID it compares nothing.

    Raises:
        SourceError: the collection was dropped or renamed.
    """
    if is_replaced(planned, await current_identity(collection)):
        raise source_replaced(collection)


def source_replaced(collection: driver.AnyCollection, advice: str | None = None) -> SourceError:
    """The error of a source that is not the planned one any more."""
    advice = advice or "if it was renamed, rename it back and run again; otherwise start another run_id"
    what = "the collection that this run was planned on was dropped or renamed"
    error = SourceError(f"{driver.namespace(collection)}: {what}; {advice}")
    error.code = UUID_MISMATCH
    return error


async def refuse_replaced_target(collection: driver.Collection, before: str | None) -> None:
    """Refuses a collection of the target that is not the one it was. One that did not exist is not compared.

    Raises:
        WriteError: the collection was dropped or renamed.
    """
    if is_replaced(before, await target_identity(collection)):
        raise target_replaced(collection)


def target_replaced(collection: driver.Collection) -> WriteError:
    """The error of a collection of the target that is not the one it was."""
    return WriteError(
        f"{driver.namespace(collection)} was dropped or renamed meanwhile, and what it held is not there any "
        "more; run it again"
    )


# --- views ---

Stage = Callable[[Any], bool]
"""Whether a stage with this argument keeps one document for each `_id`."""

KEEPS = "$_id"
"""The expression that gives a document the `_id` that it has."""

UNIQUE_AGAIN = frozenset({"$group", "$bucket", "$bucketAuto", "$sortByCount"})
"""Stages that make a new document for each value, which is its `_id`, whatever came before."""


def breaking_stage(pipelines: Sequence[Sequence[Mapping[str, Any]]]) -> str | None:
    """The name of the first stage after which an `_id` may repeat or be missing; None if there is none.

    Args:
        pipelines: of the view and of the views below it, the lowest first.
    """
    found: str | None = None
    for name, argument in (pair for pipeline in pipelines for stage in pipeline for pair in stage.items()):
        if name in UNIQUE_AGAIN:
            found = None
        elif found is None and not _KEEPING.get(name, _never)(argument):
            found = name
    return found


def _always(argument: Any) -> bool:  # noqa: ARG001
    return True


def _never(argument: Any) -> bool:  # noqa: ARG001
    return False


def _is_id(path: Any) -> bool:
    return isinstance(path, str) and (path == "_id" or path.startswith("_id."))


def _sets_no_id(fields: Any) -> bool:
    """Of `$addFields` and `$set`: they leave `_id` as it is."""
    return isinstance(fields, Mapping) and all(
        value == KEEPS for name, value in fields.items() if _is_id(name)
    )


def _projects_id(fields: Any) -> bool:
    """Of `$project`: it shows the `_id`, by default or by name."""
    if not isinstance(fields, Mapping):
        return False
    chosen = [(name, value) for name, value in fields.items() if _is_id(name)]
    return all(name == "_id" and (value == KEEPS or _is_yes(value)) for name, value in chosen)


def _is_yes(value: Any) -> bool:
    return isinstance(value, bool | int | float) and bool(value)


def _unsets_no_id(paths: Any) -> bool:
    return not any(map(_is_id, [paths] if isinstance(paths, str) else paths))


def _writes_to(*options: str) -> Stage:
    """Of a stage that writes to the fields which these options name."""
    return lambda given: (
        isinstance(given, Mapping) and not any(_is_id(given.get(option)) for option in options)
    )


def _outputs_no_id(given: Any) -> bool:
    """Of `$setWindowFields` and `$fill`, whose `output` names the fields they write."""
    return isinstance(given, Mapping) and not any(map(_is_id, given.get("output", {})))


def _root_with_id(root: Any) -> bool:
    """Of `$replaceWith`: the new document takes the `_id` of the old one, and nothing overwrites it."""
    if root in ("$$ROOT", "$$CURRENT"):
        return True
    if not isinstance(root, Mapping):
        return False
    merged = root.get("$mergeObjects")
    if isinstance(merged, Sequence) and not isinstance(merged, str) and merged:
        return len(root) == 1 and _root_with_id(merged[-1])
    return root.get("_id") == KEEPS


_KEEPING: dict[str, Stage] = {
    "$match": _always,
    "$sort": _always,
    "$limit": _always,
    "$skip": _always,
    "$redact": _always,
    "$addFields": _sets_no_id,
    "$set": _sets_no_id,
    "$project": _projects_id,
    "$unset": _unsets_no_id,
    "$lookup": _writes_to("as"),
    "$graphLookup": _writes_to("as"),
    "$geoNear": _writes_to("distanceField", "includeLocs"),
    "$setWindowFields": _outputs_no_id,
    "$fill": _outputs_no_id,
    "$replaceRoot": lambda given: isinstance(given, Mapping) and _root_with_id(given.get("newRoot")),
    "$replaceWith": _root_with_id,
}
