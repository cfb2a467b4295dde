"""What the engine needs of an asynchronous driver, and where Motor, PyMongo and mongomock-motor differ."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import isawaitable
from typing import Any, TypeAlias

from pymongo import WriteConcern
from pymongo.errors import BulkWriteError, DocumentTooLarge, OperationFailure, PyMongoError

from engine.keys.bson_values import AWARE_CODEC, EXACT_CODEC

Collection: TypeAlias = Any
"""A Motor or PyMongo asynchronous collection (they share no type), or mongomock-motor's imitation."""

Database: TypeAlias = Any
"""The database of such a collection."""

MAJORITY = WriteConcern("majority")

NO_LIST_INDEXES = frozenset({166, 168})
"""Server codes of `listIndexes` on a view: CommandNotSupportedOnView, InvalidPipelineOperator."""


def exact(collection: Collection) -> Collection:
    """The collection, decoding so that every BSON value survives a round trip."""
    return _with_options(collection, codec_options=EXACT_CODEC)


def durable(collection: Collection) -> Collection:
    """The collection, decoding exactly and acknowledging writes by a majority only."""
    return _with_options(collection, codec_options=AWARE_CODEC, write_concern=MAJORITY)


def _with_options(collection: Collection, **options: Any) -> Collection:
    """`with_options`; mongomock-motor has it not, or answers with a synchronous collection: left as it is."""
    try:
        changed = collection.with_options(**options)
    except NotImplementedError:
        return collection
    return changed if type(changed) is type(collection) else collection


async def indexes(collection: Collection) -> dict[str, dict[str, Any]] | None:
    """The collection's indexes by name; None for a view, which has none of its own."""
    try:
        found: dict[str, dict[str, Any]] = await collection.index_information()
    except OperationFailure as error:
        if error.code in NO_LIST_INDEXES:
            return None
        raise
    return found


async def default_collation(collection: Collection) -> Any:
    """The collection's default collation; None is the simple one."""
    return (await options(collection)).get("collation")


async def options(collection: Collection) -> Mapping[str, Any]:
    """What the collection was created with."""
    try:
        found: Mapping[str, Any] = await collection.options()
    except TypeError:  # mongomock has no options(), nor any of them
        return {}
    return found


async def aggregate(
    collection: Collection, pipeline: list[dict[str, Any]], **options: Any
) -> list[dict[str, Any]]:
    """The documents of an aggregation: PyMongo's is awaited to its cursor, Motor's is the cursor."""
    cursor = collection.aggregate(pipeline, **options)
    if isawaitable(cursor):
        cursor = await cursor
    found: list[dict[str, Any]] = await cursor.to_list(length=None)
    return found


async def insert(collection: Collection, documents: list[dict[str, Any]]) -> Mapping[str, Any]:
    """Inserts them, unordered; what the server says: `writeErrors` and `writeConcernErrors`, if any.

    One command, without `insert_many`'s checks of each document: a tenth of what a document costs in all.
    Where that does not work, `insert_many` does: it repeats what met an election, and splits what is too
    large for one message. Documents that were in by then come back as duplicate keys.

    Raises:
        PyMongoError: of `insert_many`, other than those of single documents.
        DocumentTooLarge: one alone is.
    """
    concern = collection.write_concern.document
    command = {"insert": collection.name, "documents": documents, "ordered": False, "writeConcern": concern}
    try:
        reply = await collection.database.command(command)
    except (PyMongoError, DocumentTooLarge, NotImplementedError):  # mongomock knows no such command
        return await _insert_many(collection, documents)
    unconfirmed = reply.get("writeConcernError")
    return {
        "writeErrors": reply.get("writeErrors", []),
        "writeConcernErrors": [unconfirmed] if unconfirmed else [],
    }


async def _insert_many(collection: Collection, documents: list[dict[str, Any]]) -> Mapping[str, Any]:
    try:
        await collection.insert_many(documents, ordered=False)
    except BulkWriteError as error:
        return error.details or {}
    return {}


def namespace(collection: Collection) -> str:
    """`database.collection`."""
    return str(collection.full_name)
