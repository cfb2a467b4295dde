"""BSON values: identity, digests, Extended JSON, the order of types, and the successor of a value. Pure.

The server orders values by BSON type and by the index's collation. Python's `<` knows neither, so nothing
here sorts values, or compares them except for equality of their bytes (trap 8, docs/traps.md).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

import bson
from bson import json_util
from bson.binary import Binary, UuidRepresentation
from bson.code import Code
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.datetime_ms import DatetimeMS
from bson.dbref import DBRef
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.objectid import ObjectId
from bson.regex import Regex
from bson.timestamp import Timestamp

STRICT, ESCAPE = "strict", "surrogateescape"
"""Names of Python's handlers of bytes that are not UTF-8: one raises, one keeps them (`engine.keys.utf8`)."""

EXACT_CODEC: CodecOptions[dict[str, Any]] = CodecOptions(
    uuid_representation=UuidRepresentation.UNSPECIFIED,
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
    unicode_decode_error_handler=ESCAPE,
)
"""Decodes every BSON type to a value that encodes to the same bytes, dates beyond year 9999 included.

Dates are naive and mean UTC: time zones would cost a microsecond a document. Bytes that are not UTF-8 raise
nothing: one such text would end the page of a thousand documents (trap 46, docs/traps.md).
"""

AWARE_CODEC = EXACT_CODEC.with_options(tz_aware=True)
"""Decodes like EXACT_CODEC, but dates have the time zone UTC: for people and reports."""

_JSON = json_util.CANONICAL_JSON_OPTIONS.with_options(
    tz_aware=True,
    tzinfo=UTC,
    uuid_representation=UuidRepresentation.UNSPECIFIED,
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
)

_RELAXED = json_util.RELAXED_JSON_OPTIONS.with_options(
    tz_aware=True,
    tzinfo=UTC,
    uuid_representation=UuidRepresentation.UNSPECIFIED,
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
)


def identity(value: Any) -> Any:
    """A hashable that is equal for two BSON values exactly if their types and bytes are equal.

    For Python, 1, 1.0 and True are the same dictionary key; for MongoDB they are three `_id`s.
    """
    if type(value) in (ObjectId, str):
        return value
    return bson.encode({"": value}, codec_options=EXACT_CODEC)


_OWN_LOOKUP_KEYS = frozenset({ObjectId, str, int, Int64})

_NAN = ("NaN",)


def lookup_key(value: Any) -> Any:
    """A hashable that is equal for two `_id`s exactly if a unique index takes them for the same one.

    The index compares numbers by their value, whatever their BSON types: 3, 3.0, Int64(3) and
    Decimal128("3") are one `_id`, also inside documents and arrays. Python's numbers are equal in the same
    way, and exactly; only its booleans are numbers, too. `identity` tells all of them apart.
    """
    kind = type(value)
    if kind in _OWN_LOOKUP_KEYS:
        return value
    if kind is float or kind is Decimal128:
        return _NAN if is_nan(value) else value if kind is float else value.to_decimal()
    if kind is DBRef:
        value = value.as_doc()
    if isinstance(value, Mapping):
        return ("object", *((name, lookup_key(inner)) for name, inner in value.items()))
    if isinstance(value, list | tuple):
        return ("array", *map(lookup_key, value))
    if kind is Code and value.scope is not None:
        return ("code", str(value), lookup_key(value.scope))
    return identity(value)


_OBJECT_ID_HEAD = b"\x13\x00\x00\x00\x07\x00"
"""The bytes before an ObjectId in the BSON of `{"": ObjectId}`: length 19, type 7, the empty name."""


def digests_of(ids: Iterable[Any]) -> list[int]:
    """The first 16 bytes of BLAKE2b over the BSON of `{"": _id}`, as a big-endian number, for each `_id`.

    Summed modulo 2**128 over documents these identify a set of `_id`s, whatever order they come in
    (AdHash: Bellare and Micciancio, 1997). The BSON of ObjectIds is assembled here, twice as fast.
    """
    encoded = [
        _OBJECT_ID_HEAD + value.binary + b"\x00"
        if type(value) is ObjectId
        else bson.encode({"": value}, codec_options=EXACT_CODEC)
        for value in ids
    ]
    return list(map(int.from_bytes, [blake2b(each).digest()[:16] for each in encoded]))


def to_extended_json(values: Any) -> Any:
    """Canonical Extended JSON of a list of BSON values, as plain JSON data."""
    return json.loads(json_util.dumps(values, json_options=_JSON))


def to_relaxed_json(value: Any) -> str:
    """One BSON value in relaxed Extended JSON, for people."""
    return json_util.dumps(value, json_options=_RELAXED)


def from_extended_json(data: Any) -> Any:
    """The BSON values that `to_extended_json` was given."""
    return json_util.loads(json.dumps(data), json_options=_JSON)


def value_at(document: Any, path: str) -> Any:
    """Returns the value at a dotted path; None if the path does not exist."""
    if "." not in path:
        return document.get(path)
    for name in path.split("."):
        if not isinstance(document, dict):
            return None
        document = document.get(name)
    return document


def holds_array(document: Any, path: str) -> bool:
    """Whether the value at a dotted path, or a field above it, is an array."""
    if "." not in path:
        return type(document.get(path)) is list
    for name in path.split("."):
        if not isinstance(document, dict):
            return False
        document = document.get(name)
        if isinstance(document, list):
            return True
    return False


BRACKETS: tuple[tuple[str, Any], ...] = (
    ("minKey", MinKey()),
    ("null", None),
    ("number", float("nan")),
    ("string", ""),
    ("object", {}),
    ("array", []),
    ("binData", Binary(b"")),
    ("objectId", ObjectId(b"\x00" * 12)),
    ("bool", False),
    ("date", DatetimeMS(-(1 << 63))),
    ("timestamp", Timestamp(0, 0)),
    ("regex", Regex("")),
    ("javascript", Code("")),
    ("maxKey", MaxKey()),
)
"""Type brackets in the server's order, each with its least value (MongoDB manual: "Comparison/Sort Order").

A missing field and null share one index key, and NaN is the least number.
"""

_BRACKET_TYPES: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "bool"),
    ((int, float, Decimal128), "number"),
    (Code, "javascript"),
    (str, "string"),
    ((datetime, DatetimeMS), "date"),
    (ObjectId, "objectId"),
    (bytes, "binData"),
    (Timestamp, "timestamp"),
    (Regex, "regex"),
    (MinKey, "minKey"),
    (MaxKey, "maxKey"),
    ((list, tuple), "array"),
    (type(None), "null"),
)


def bracket_of(value: Any) -> str:
    """The type bracket of a decoded BSON value."""
    return next((name for kinds, name in _BRACKET_TYPES if isinstance(value, kinds)), "object")


def is_nan(value: Any) -> bool:
    """Whether the value is NaN: the least number as a key, but operators compare it to nothing."""
    if isinstance(value, Decimal128):
        return value.to_decimal().is_nan()
    return isinstance(value, float) and math.isnan(value)


_MS = timedelta(milliseconds=1)


def successor(value: Any) -> Any:
    """The least value, or nearly the least, that sorts after `value`; MaxKey for types without a successor.

    A range that ends there includes `value` and nothing that sorts later. Strings are taken to follow the
    simple collation. Their very next one would be `s + NUL`, which Airflow cannot keep: PostgreSQL refuses
    NUL in JSON.
    """
    if isinstance(value, datetime):
        last = value.replace(tzinfo=UTC) > datetime.max.replace(tzinfo=UTC) - _MS  # Python has no year 10000
        return DatetimeMS(int(DatetimeMS(value)) + 1) if last else value + _MS
    if isinstance(value, DatetimeMS):
        return DatetimeMS(int(value) + 1) if int(value) < (1 << 63) - 1 else MaxKey()
    if isinstance(value, ObjectId | Timestamp):
        return _next_number(value)
    if type(value) is str:  # not bson.Code, which is a str of another BSON type
        return value + "\x01"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return math.nextafter(float(value), math.inf) if value < math.inf else MaxKey()
    return MaxKey()


def _next_number(value: ObjectId | Timestamp) -> Any:
    """The value whose bits, read as one number, are one more; MaxKey after the last."""
    if isinstance(value, ObjectId):
        number = int.from_bytes(value.binary, "big") + 1
        return ObjectId(number.to_bytes(12, "big")) if number < 1 << 96 else MaxKey()
    number = (value.time << 32) + value.inc + 1
    return Timestamp(number >> 32, number & 0xFFFFFFFF) if number < 1 << 64 else MaxKey()
