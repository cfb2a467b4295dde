"""Calls whose form differs between Motor, PyMongo's asynchronous client and mongomock-motor."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import bson
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo import ReplaceOne, WriteConcern
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.collection import Collection as SyncCollection
from pymongo.common import MAX_BSON_SIZE
from pymongo.database import Database as SyncDatabase
from pymongo.errors import BulkWriteError, DocumentTooLarge, OperationFailure, PyMongoError

from engine.errors import ConfigError
from engine.keys.bson_values import AWARE_CODEC, EXACT_CODEC, STRICT
from engine.mongo.error_classes import is_overload

if TYPE_CHECKING:
    from motor.motor_asyncio import AsyncIOMotorCollection, AsyncIOMotorDatabase

Collection: TypeAlias = AsyncCollection[dict[str, Any]]
"""A collection as the engine uses it. Motor's has the same methods, as far as the engine calls them."""

Database: TypeAlias = AsyncDatabase[dict[str, Any]]
"""The database of such a collection."""

AnyCollection: TypeAlias = "Collection | AsyncIOMotorCollection[dict[str, Any]]"
"""A collection that a caller gives; `exact` and `durable` make a `Collection` of it."""

AnyDatabase: TypeAlias = "Database | AsyncIOMotorDatabase[dict[str, Any]]"
"""A database that a caller gives."""

Place: TypeAlias = "AnyCollection | AnyDatabase"
"""A collection or a database."""

WTIMEOUT_S = 30.0
"""The longest wait for a majority, if the address has no `wtimeoutMS`: an election takes 12 s, and the driver
looks for a server for 30 s. Without a limit the server waits for ever (trap 49, docs/traps.md)."""

MOST_BYTES = MAX_BSON_SIZE
"""The size of the largest document: 16 MiB."""

MAJORITY = WriteConcern("majority", wtimeout=round(WTIMEOUT_S * 1000))

NO_BUILD_UUIDS = frozenset({9, 26, 40, 59, 72, 115, 166, 168, 303, 323, 40415})
"""Server codes of `listIndexes` with `includeBuildUUIDs` on a view (166, 168), without a collection (26), and
on servers that do not know the option or allow it: FailedToParse, InvalidOptions, APIStrictError..."""

NO_LIST_INDEXES = frozenset({166, 168})
"""Server codes of `listIndexes` on a view: CommandNotSupportedOnView, InvalidPipelineOperator."""

COMMAND_NOT_FOUND = 59
"""Server code of a server that does not know a command: it is older, or not MongoDB's."""

RAW_CODEC: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)

_HAS_SERVER: dict[type, bool] = {}


def has_server(handle: Place) -> bool:
    """Whether there is a server behind a collection or database. Probed once for each class of a driver.

    False of mongomock-motor, which imitates MongoDB in memory for tests. It lacks all that needs a server:
    commands, index bounds, codecs and write concerns, the options of a collection, and bulk replacements.
    """
    kind = type(handle)
    if kind not in _HAS_SERVER:
        _HAS_SERVER[kind] = _takes_options(handle)
    return _HAS_SERVER[kind]


def _takes_options(handle: Place) -> bool:
    """Whether `with_options` works. mongomock-motor raises, or returns an object of mongomock instead.

    Raises:
        ConfigError: the client is synchronous.
    """
    if isinstance(handle, SyncCollection | SyncDatabase):
        raise ConfigError(
            f"{namespace(handle)} is of pymongo.MongoClient, which is synchronous: give one of "
            "pymongo.AsyncMongoClient, or of Motor's AsyncIOMotorClient"
        )
    try:
        changed = handle.with_options(codec_options=EXACT_CODEC)
    except NotImplementedError:
        return False
    return type(changed) is type(handle)


def exact(collection: AnyCollection) -> Collection:
    """The same collection, which decodes so that every BSON value survives a round trip."""
    changed = collection.with_options(codec_options=EXACT_CODEC) if has_server(collection) else collection
    return cast(Collection, changed)


def undecoded(collection: Collection) -> AsyncCollection[Any]:
    """The same collection, whose documents are the bytes that the server has."""
    return collection.with_options(codec_options=RAW_CODEC)


def utf8_handler(collection: AnyCollection) -> str:
    """What the client has chosen for strings that are not UTF-8: `strict`, `replace`, `ignore`..."""
    return str(collection.codec_options.unicode_decode_error_handler) if has_server(collection) else STRICT


def durable(collection: AnyCollection) -> Collection:
    """The same collection, whose writes a majority acknowledges; decodes exactly, with UTC on dates.

    A `wtimeoutMS` of the client is kept.
    """
    if not has_server(collection):
        return cast(Collection, collection)
    own = collection.write_concern.document.get("wtimeout")
    concern = MAJORITY if own is None else WriteConcern("majority", wtimeout=own)
    changed = collection.with_options(codec_options=AWARE_CODEC, write_concern=concern)
    return cast(Collection, changed)


async def indexes(collection: Collection) -> dict[str, dict[str, Any]] | None:
    """The collection's indexes by name; None for a view, which has no indexes of its own.

    One that is still being built has `buildUUID`, if the server tells it.
    """
    if has_server(collection):
        named = {"listIndexes": collection.name, "cursor": {}, "includeBuildUUIDs": True}
        try:
            answer = await collection.database.command(named)
        except OperationFailure as error:
            if error.code not in NO_BUILD_UUIDS:
                raise
        else:
            return {index["name"]: index for index in map(_described, answer["cursor"]["firstBatch"])}
    try:
        found = await collection.index_information()
    except OperationFailure as error:
        if error.code in NO_LIST_INDEXES:
            return None
        raise
    return dict(found)


async def is_router(database: Database) -> bool:
    """Whether the client speaks to `mongos`, behind which a collection may be spread over shards."""
    if not has_server(database):
        return False
    try:
        hello = await database.command("hello")
    except OperationFailure as error:
        if error.code == COMMAND_NOT_FOUND:
            return False
        raise
    return bool(hello.get("msg") == "isdbgrid")


def _described(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An index as `index_information` describes it, also one that is still being built."""
    index = {**entry, **entry.get("spec", {})}
    return {**index, "key": list(index["key"].items())}


async def default_collation(collection: Collection) -> Any:
    """The collection's default collation; None for the simple collation."""
    return (await options(collection)).get("collation")


async def options(collection: Collection) -> Mapping[str, Any]:
    """The options that the collection was created with."""
    found: Mapping[str, Any] = await collection.options() if has_server(collection) else {}
    return found


async def aggregate(
    collection: Collection, pipeline: list[dict[str, Any]], **options: Any
) -> list[dict[str, Any]]:
    """The documents of an aggregation. PyMongo's must be awaited to get the cursor; Motor's is the cursor."""
    cursor: Any = collection.aggregate(pipeline, **options)
    if isawaitable(cursor):
        cursor = await cursor
    found: list[dict[str, Any]] = await cursor.to_list(length=None)
    return found


async def insert(collection: Collection, documents: list[dict[str, Any]]) -> Mapping[str, Any]:
    """Inserts the documents in any order, and returns `writeErrors` and `writeConcernErrors` of the server.

    It sends one command. `insert_many` would check each document first, which costs a tenth of all that a
    document costs. If the command fails, `insert_many` takes over: it repeats the insert after an election,
    and splits documents that are too large for one message. Documents that the command had inserted before
    it failed are then reported as duplicate keys. What a server that sheds load has refused is not sent again
    here: the driver has waited and repeated it, and `calls` will.

    Raises:
        PyMongoError: `insert_many` failed as a whole.
        DocumentTooLarge: a single document is too large.
    """
    if not has_server(collection):
        return await _insert_many(collection, documents)
    concern = collection.write_concern.document
    command = {"insert": collection.name, "documents": documents, "ordered": False, "writeConcern": concern}
    try:
        reply = await collection.database.command(command, codec_options=EXACT_CODEC)
    except (PyMongoError, DocumentTooLarge) as error:
        if is_overload(error) or (isinstance(error, DocumentTooLarge) and _has_too_large(documents)):
            raise
        return await _insert_many(collection, documents)
    refused, unconfirmed = reply.get("writeErrors", []), reply.get("writeConcernError")
    labels = (
        {"errorLabels": reply["errorLabels"]} if reply.get("errorLabels") else {}
    )  # they concern the whole reply
    return {
        "writeErrors": [{**labels, **error} for error in refused] if labels else refused,
        "writeConcernErrors": [{**labels, **unconfirmed}] if unconfirmed else [],
    }


def _has_too_large(documents: list[dict[str, Any]]) -> bool:
    """Whether one document is too large by itself; `insert_many` would write some of the others first."""
    return any(len(bson.encode(each, codec_options=EXACT_CODEC)) > MOST_BYTES for each in documents)


async def _insert_many(collection: Collection, documents: list[dict[str, Any]]) -> Mapping[str, Any]:
    try:
        await collection.insert_many(documents, ordered=False)
    except BulkWriteError as error:
        return error.details or {}
    return {}


async def replace(collection: Collection, documents: list[dict[str, Any]]) -> Mapping[str, Any]:
    """Replaces the documents of the same `_id`s, in any order; inserts those that are not there.

    Returns `writeErrors` and `writeConcernErrors` of the server, as `insert` does.

    Raises:
        PyMongoError: the replacement failed as a whole.
    """
    if not has_server(collection):
        for document in documents:
            await collection.replace_one({"_id": document["_id"]}, document, upsert=True)
        return {}
    requests = [ReplaceOne({"_id": d["_id"]}, d, upsert=True) for d in documents]
    try:
        await collection.bulk_write(requests, ordered=False)
    except BulkWriteError as error:
        return error.details or {}
    return {}


def namespace(place: Place) -> str:
    """`database.collection`; of a database, its name."""
    return str(place.full_name if isinstance(getattr(place, "full_name", None), str) else place.name)
