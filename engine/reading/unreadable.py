"""Reads around what a driver cannot decode, and names the documents whose keys no query can name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import bson
from bson.datetime_ms import DatetimeMS
from bson.dbref import DBRef
from bson.errors import BSONError
from bson.int64 import Int64
from bson.objectid import ObjectId

from engine.errors import SourceError
from engine.keys.bson_values import EXACT_CODEC, holds_array, lookup_key, value_at
from engine.keys.key import Key, Order
from engine.keys.utf8 import first_problem, is_encodable, readable
from engine.model import Unreadable
from engine.mongo import calls, driver

Document = dict[str, Any]
Projection = Mapping[str, int]
Find = Callable[[Projection], Awaitable[list[Document]]]

QUERY_PLAN_KILLED = 175
"""Server code of a query whose index was dropped, or changed so that the query cannot go on."""

_SURE = frozenset({ObjectId, int, Int64, float, datetime, DatetimeMS, type(None)})
"""Types whose values hold no string."""


async def documents(
    collection: driver.Collection, order: Order, find: Find, projection: Projection
) -> list[Document]:
    """Returns what `find` finds; a field that cannot be decoded is Unreadable.

    Bytes that are not UTF-8 do not come here, because the codec keeps them. If the driver refuses something
    else, such as a binary value whose length is wrong, the keys are read alone, and then each document.

    Raises:
        BSONError: a key itself cannot be decoded.
    """
    try:
        return await find(projection)
    except BSONError:
        others = [name for name in projection if name not in ("_id", *order.fields)]
        if not others:
            raise
    found = await find({name: 1 for name in projection if name not in others})
    return [await _completed(collection, document, others) for document in found]


async def _completed(collection: driver.Collection, document: Document, others: Sequence[str]) -> Document:
    """Adds the other fields of a document to its keys."""
    for path in others:
        try:
            value = value_at(await collection.find_one({"_id": document["_id"]}, {path: 1}) or {}, path)
        except BSONError as error:
            value = Unreadable(f"cannot be decoded: {error}")
        first, *rest = path.split(".")
        for name in reversed(rest):
            value = {name: value}
        document = {first: value, **document}
    return document


def refuse_arrays(order: Order, found: Sequence[Document], place: str) -> None:
    """Refuses an array in the order field that came after planning, which has refused all others.

    Such a document is in several ranges at once, and no page can go on from its key.

    Raises:
        SourceError: names the document.
    """
    name = order.fields[0]
    if "." not in name and list not in set(map(type, [document.get(name) for document in found])):
        return  # a call for each document would cost some percent of reading
    for document in found:
        if holds_array(document, name):
            raise _array(order, document["_id"], place)


async def refuse_stored_array(collection: driver.Collection, order: Order, killed: SourceError) -> None:
    """Looks for an array if queries stay killed: it makes their index multikey, and a server may kill them.

    Raises:
        SourceError: names a document with an array.
    """
    if killed.code != QUERY_PLAN_KILLED:
        return
    name = order.fields[0]
    above = [name[:at] for at, sign in enumerate(name) if sign == "."]
    arrays = {"$or": [{path: {"$type": "array"}} for path in (*above, name)]}
    found = await calls.read_source(collection, lambda: collection.find_one(arrays, {"_id": 1}))
    if found is not None:
        raise _array(order, found["_id"], driver.namespace(collection)) from killed


def _array(order: Order, document_id: Any, place: str) -> SourceError:
    name = order.fields[0]
    where = f"{name} or a field above it" if "." in name else name
    return SourceError(
        f"{place}: {where} holds an array in the document with _id {document_id!r}, which would be in "
        "several ranges. Give it a single value, drop the index and create it again, then run it again",
        document_id=document_id,
    )


def refuse_unusable_keys(order: Order, found: Sequence[Document], place: str) -> None:
    """Refuses a document with a key that no query can name, because it holds bytes that are not UTF-8.

    Raises:
        SourceError: names the document, the byte and what to do.
    """
    for name in order.fields if found else ():
        # Documents are in order, so a string lies between the first and the last only if one of them is one.
        seen = found if name == "_id" else (found[0], found[-1])
        if set(map(type, [value_at(document, name) for document in seen])) <= _SURE:
            continue
        for document in found:
            value = value_at(document, name)
            if not is_encodable(value):
                raise _unusable(document.get("_id"), name, value, place)


def _unusable(document_id: Any, name: str, value: Any, place: str) -> SourceError:
    what = f"the _id '{readable(str(value))}'" if name == "_id" else f"{name} of the document {document_id!r}"
    return SourceError(
        f"{place}: {what} {first_problem(value)}. No query can name it: store the document with UTF-8 there, "
        "or leave it out with filter",
        document_id=document_id,
    )


def may_be_inexact(found: Sequence[Document]) -> bool:
    """Whether an `_id` may hold undefined, which is decoded as None, or a DBPointer, which is as a DBRef."""
    ids = [document.get("_id") for document in found]
    return not {dict, DBRef}.isdisjoint(map(type, ids)) and any(map(_may_hide, ids))


def _may_hide(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(inner is None or _may_hide(inner) for inner in value.values())
    if isinstance(value, list):
        return any(inner is None or _may_hide(inner) for inner in value)
    return isinstance(value, DBRef)


def refuse_inexact_ids(collection: driver.Collection, stored: Sequence[Any]) -> None:
    """Refuses an `_id` that a driver does not give back: reading from its Key would repeat or lose documents.

    Args:
        stored: as RawBSONDocument, documents that have an `_id` and nothing else.

    Raises:
        SourceError: names the `_id` (trap 45, docs/traps.md).
    """
    for document in stored:
        decoded = bson.decode(document.raw, codec_options=EXACT_CODEC)
        again = bson.encode(decoded, codec_options=EXACT_CODEC)
        # A symbol comes back as a string, which is the same `_id`: only the byte of its type differs.
        alike = len(again) == len(document.raw)
        if not alike or any(
            one not in (other, _SYMBOL) for one, other in zip(document.raw, again, strict=True)
        ):
            raise SourceError(
                f"{driver.namespace(collection)}: {inexact_id(decoded['_id'])}", document_id=decoded["_id"]
            )


_SYMBOL = 14
"""The type of a symbol in BSON."""


def inexact_id(document_id: Any) -> str:
    """The message that an `_id` holds a value that is lost when it is read."""
    return (
        f"the _id {document_id!r} is or holds a value of the deprecated type undefined or DBPointer, "
        "which no driver can give back: store the document under another _id"
    )


def not_moving(collection: driver.Collection, order: Order, document_id: Any) -> SourceError:
    """The error that reading would not move on from a document, but repeat or leave out others."""
    fields = " and ".join(dict.fromkeys((order.fields[0], "_id")))
    return SourceError(
        f"{driver.namespace(collection)} cannot be read on from the document with _id {document_id!r}: "
        f"the _id repeats, or the document holds {fields} differently from its index, as one that has a "
        "field twice does. Write the document again, or leave it out by the filter",
        document_id=document_id,
    )


def refuse_unmoved(collection: driver.Collection, order: Order, start: Key, to: Key | None) -> None:
    """Refuses to go on from a Key to the same Key, which would never end (trap 45, docs/traps.md).

    Raises:
        SourceError: names the document.
    """
    if to == start:
        raise not_moving(collection, order, start.values[-1])


def same_id(document: Mapping[str, Any], key: Key) -> bool:
    """Whether the Key is that of a document with this `_id`."""
    return bool(lookup_key(document["_id"]) == lookup_key(key.values[-1]))


def refuse_repeated(collection: driver.Collection, order: Order, found: Sequence[Document]) -> None:
    """Refuses documents that were looked up by their `_id`s, and of which two have the same.

    Raises:
        SourceError: names the `_id`.
    """
    seen = set()
    for document in found:
        if (key := lookup_key(document["_id"])) in seen:
            raise not_moving(collection, order, document["_id"])
        seen.add(key)
