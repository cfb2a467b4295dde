"""BSON values: identity, Extended JSON, order of types, and what comes just after a value. Pure.

The order of values is the server's (BSON type order, the index's collation): Python's `<` knows neither, so
nothing here sorts or compares them except for equality of their bytes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

import bson
from bson import json_util
from bson.binary import Binary, UuidRepresentation
from bson.code import Code
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.datetime_ms import DatetimeMS
from bson.decimal128 import Decimal128
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.objectid import ObjectId
from bson.regex import Regex
from bson.timestamp import Timestamp

EXACT_CODEC: CodecOptions[dict[str, Any]] = CodecOptions(
    uuid_representation=UuidRepresentation.UNSPECIFIED,
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
)
"""Decodes every BSON type to a value that encodes to the same bytes (dates beyond year 9999 too).

Dates come without a zone, and mean UTC: a zone would cost a microsecond a document.
"""

AWARE_CODEC = EXACT_CODEC.with_options(tz_aware=True)
"""The same with UTC on its dates, for what people and reports see."""

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
    """A hashable that is equal for two BSON values exactly when their type and bytes are.

    Python takes 1, 1.0 and True for one dictionary key; MongoDB keeps three documents.
    """
    if type(value) in (ObjectId, str):
        return value
    return bson.encode({"": value}, codec_options=EXACT_CODEC)


_OBJECT_ID_HEAD = b"\x13\x00\x00\x00\x07\x00"
"""What precedes an ObjectId in the BSON of `{"": ObjectId}`: length 19, type 7, the empty name."""


def digests_of(ids: Iterable[Any]) -> list[int]:
    """The first 16 bytes of BLAKE2b over the BSON of `{"": _id}`, as a big-endian number, for each `_id`.

    Summed modulo 2**128 over documents these identify a set of `_id`s, whatever order they come in
    (AdHash: Bellare and Micciancio, 1997). ObjectIds are assembled here: half the time of an encoder's call.
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
    """The value at a dotted path; None where the path leads nowhere."""
    if "." not in path:
        return document.get(path)
    for name in path.split("."):
        if not isinstance(document, dict):
            return None
        document = document.get(name)
    return document


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
"""Type brackets in the server's order, each with its least value (manual: "Comparison/Sort Order").

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
    """Whether it is NaN, which is the least number as a key, and comparable to nothing for operators."""
    if isinstance(value, Decimal128):
        return value.to_decimal().is_nan()
    return isinstance(value, float) and math.isnan(value)


_MS = timedelta(milliseconds=1)


def successor(value: Any) -> Any:
    """The least value, or nearly, that sorts after `value`; `MaxKey` for types without one.

    An end pinned there includes `value` and leaves what sorts later to the next run. Strings follow the
    simple collation, where `s + NUL` is the very next string.
    """
    if isinstance(value, datetime):
        last = value.replace(tzinfo=UTC) > datetime.max.replace(tzinfo=UTC) - _MS  # Python has no year 10000
        return DatetimeMS(int(DatetimeMS(value)) + 1) if last else value + _MS
    if isinstance(value, DatetimeMS):
        return DatetimeMS(int(value) + 1) if int(value) < (1 << 63) - 1 else MaxKey()
    if isinstance(value, ObjectId):
        number = int.from_bytes(value.binary, "big") + 1
        return ObjectId(number.to_bytes(12, "big")) if number < 1 << 96 else MaxKey()
    if type(value) is str:  # bson.Code is a str too, of another type
        return value + "\x00"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return math.nextafter(float(value), math.inf) if value < math.inf else MaxKey()
    return MaxKey()
