"""Keys and ranges of keys: pure, BSON-exact, never compared on the client.

The order of keys is the server's (BSON type order, the index's collation): Python's `<` knows neither, so
nothing here sorts or compares keys except for equality of their BSON bytes.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Self

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

from engine.errors import ConfigError

EXACT_CODEC: CodecOptions[dict[str, Any]] = CodecOptions(
    tz_aware=True,
    uuid_representation=UuidRepresentation.UNSPECIFIED,
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
)
"""Decodes every BSON type to a value that encodes to the same bytes (dates beyond year 9999 too)."""

_JSON = json_util.CANONICAL_JSON_OPTIONS.with_options(
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


def to_extended_json(values: Any) -> Any:
    """Canonical Extended JSON of a list of BSON values, as plain JSON data."""
    return json.loads(json_util.dumps(values, json_options=_JSON))


def from_extended_json(data: Any) -> Any:
    """The BSON values that `to_extended_json` was given."""
    return json_util.loads(json.dumps(data), json_options=_JSON)


@dataclass(frozen=True, slots=True, eq=False)
class Key:
    """A position in the order: the values of `(order_field, _id)`, or of `(_id,)`."""

    values: tuple[Any, ...]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and identity(list(self.values)) == identity(list(other.values))

    def __hash__(self) -> int:
        return hash(identity(list(self.values)))

    def to_json(self) -> list[Any]:
        """The values in canonical Extended JSON."""
        return to_extended_json(list(self.values))  # type: ignore[no-any-return]

    @classmethod
    def from_json(cls, data: list[Any]) -> Self:
        """The Key that `to_json` was called on: same BSON types, same bytes."""
        return cls(tuple(from_extended_json(data)))


@dataclass(frozen=True, slots=True)
class Order:
    """The fields that documents are ordered by, ascending; the last is always `_id`, which breaks ties."""

    fields: tuple[str, ...]

    @classmethod
    def of(cls, order_field: str) -> Self:
        """The order `(order_field, _id)`, or `(_id,)` for `_id` itself."""
        return cls(("_id",) if order_field == "_id" else (order_field, "_id"))

    @property
    def spec(self) -> list[tuple[str, int]]:
        """The index that serves this order; its sort too."""
        return [(name, 1) for name in self.fields]

    def bounds(self, key: Key) -> list[tuple[str, Any]]:
        """The argument of a cursor's `min` or `max`."""
        return list(zip(self.fields, key.values, strict=True))

    def first(self, value: Any) -> Key:
        """The Key before all documents whose first field is `value`."""
        return Key((value,) if len(self.fields) == 1 else (value, MinKey()))

    def values_of(self, document: dict[str, Any]) -> tuple[Any, ...]:
        """The key values of a document; a missing field is None, as in the index."""
        return tuple(value_at(document, name) for name in self.fields)


def value_at(document: Any, path: str) -> Any:
    """The value at a dotted path; None where the path leads nowhere."""
    if "." not in path:
        return document.get(path)
    for name in path.split("."):
        if not isinstance(document, dict):
            return None
        document = document.get(name)
    return document


@dataclass(frozen=True, slots=True)
class KeyRange:
    """The half-open stretch `[start, stop)` of an order: what one mapped task is given.

    Attributes:
        start: the first Key that may be inside.
        stop: the first Key that is outside; `MaxKey` in the first field means "to the end of the order".
        range_id: identity within its run; by default a hash of the bounds.
        run_id: the run it belongs to; empty for a range made by hand.
        expected: documents counted in it at planning, if counted.
    """

    start: Key
    stop: Key
    range_id: str = ""
    run_id: str = ""
    expected: int | None = None

    def __post_init__(self) -> None:
        if len(self.start.values) != len(self.stop.values):
            raise ConfigError("start and stop of a KeyRange need the same number of values")
        if not self.range_id:
            bounds = identity([list(self.start.values), list(self.stop.values)])
            object.__setattr__(self, "range_id", hashlib.sha256(bounds).hexdigest()[:16])

    def covers_same(self, other: KeyRange) -> bool:
        """Whether both have the same bounds, whatever they are called."""
        return (self.start, self.stop) == (other.start, other.stop)

    @property
    def label(self) -> str:
        """For people: `2018-10-04 00:00 .. 2018-10-04 03:12 · 1,000 docs`."""
        documents = "" if self.expected is None else f" · {self.expected:,} docs"
        return f"{_readable(self.start)} .. {_readable(self.stop)}{documents}"

    def to_json(self) -> dict[str, Any]:
        """A plain JSON dict; the Keys in canonical Extended JSON."""
        return {
            "range_id": self.range_id,
            "run_id": self.run_id,
            "start": self.start.to_json(),
            "stop": self.stop.to_json(),
            "expected": self.expected,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The KeyRange that `to_json` was called on: same BSON types, same bytes.

        Raises:
            ConfigError: the dict is no KeyRange.
        """
        try:
            bounds = Key.from_json(data["start"]), Key.from_json(data["stop"])
            return cls(*bounds, data["range_id"], data["run_id"], data["expected"])
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"not the JSON form of a KeyRange ({error!r}): {str(data)[:200]}") from error


def _readable(key: Key) -> str:
    value = key.values[0]
    if isinstance(value, datetime):
        text = value.strftime("%Y-%m-%d %H:%M")
        return text if value.second == value.microsecond == 0 else value.isoformat(" ", "milliseconds")[:23]
    if isinstance(value, MaxKey | MinKey):
        return "end" if isinstance(value, MaxKey) else "start"
    return str(value)[:24]


# --- BSON's order of types ---

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


# --- the filter form: for servers, views and mocks without min() and max() ---


def range_filter(order: Order, start: Key, stop: Key) -> dict[str, Any]:
    """A filter that selects `[start, stop)`, for `_id`s of any BSON types.

    Query operators compare within one BSON type only. On the first of two fields that is what is wanted: a
    window holds values of one type. On `_id`, `$expr` compares across types in the order of the index.
    """
    clauses = [c for c in (_from(order, start), _before(order, stop)) if c]
    return {"$and": clauses} if len(clauses) > 1 else (clauses[0] if clauses else {})


def _from(order: Order, key: Key) -> dict[str, Any]:
    """`document >= key`, as a filter."""
    if isinstance(key.values[-1], MinKey):
        return {} if isinstance(key.values[0], MinKey) else {order.fields[0]: {"$gte": key.values[0]}}
    return _beyond(order, key, "$gt", "$gte")


def _before(order: Order, key: Key) -> dict[str, Any]:
    """`document < key`, as a filter."""
    if isinstance(key.values[0], MaxKey):
        return {}
    if isinstance(key.values[-1], MinKey) and len(order.fields) > 1:
        return {order.fields[0]: {"$lt": key.values[0]}}
    return _beyond(order, key, "$lt", "$lt")


def _beyond(order: Order, key: Key, strict: str, by_id: str) -> dict[str, Any]:
    """Beyond the key in the first field, or tied with it there and beyond it by `_id`."""
    id_clause = {"$expr": {by_id: ["$_id", {"$literal": key.values[-1]}]}}
    if len(order.fields) == 1:
        return id_clause
    name, value = order.fields[0], key.values[0]
    return {"$or": [{name: {strict: value}}, {"$and": [{name: {"$eq": value}}, id_clause]}]}


# --- values just after another: where an end is pinned ---


def successor(value: Any) -> Any:
    """The least value, or nearly, that sorts after `value`; `MaxKey` for types without one.

    An end pinned there includes `value` and leaves what sorts later to the next run. Strings follow the
    simple collation, where `s + NUL` is the very next string.
    """
    if isinstance(value, datetime):
        return value + timedelta(milliseconds=1)
    if isinstance(value, DatetimeMS):
        return DatetimeMS(int(value) + 1)
    if isinstance(value, ObjectId):
        number = int.from_bytes(value.binary, "big") + 1
        return ObjectId(number.to_bytes(12, "big")) if number < 1 << 96 else MaxKey()
    if type(value) is str:  # bson.Code is a str too, of another type
        return value + "\x00"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return math.nextafter(float(value), math.inf) if value < math.inf else MaxKey()
    return MaxKey()


# --- the window's ends as BSON values ---


def window_bound(value: Any, order_type: str, name: str) -> Any:
    """One end of a window as the BSON value it stands for.

    Args:
        value: a datetime or ISO-8601 string (naive means UTC) for dates; a string or number for the others.
        order_type: `date`, `string`, `number`, or `objectId` (the order `_id`: times become ObjectIds).
        name: `start` or `end`, for the message.

    Raises:
        ConfigError: the value cannot be an end of a window of that type.
    """
    if order_type == "string":
        return _checked(value, str, name, "the window's ends must be strings as the collection has them")
    if order_type == "number":
        return _checked(value, int | float, name, "the window's ends must be numbers")
    moment = _ceil_to_ms(_moment(value, name))
    if order_type == "date":
        return moment
    if moment.microsecond:
        raise ConfigError(f"window {name}={value!r}: ObjectIds have whole seconds; give a whole second")
    return ObjectId.from_datetime(moment)


def _checked(value: Any, kind: Any, name: str, message: str) -> Any:
    if isinstance(value, bool) or not isinstance(value, kind):
        raise ConfigError(f"window {name}={value!r}: {message}")
    return value


def _moment(value: Any, name: str) -> datetime:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ConfigError(
                f"window {name}={value!r} is no ISO-8601 time such as 2018-10-01T00:00:00Z"
            ) from None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    if not isinstance(value, datetime):
        raise ConfigError(f"window {name}={value!r}: give a datetime, an ISO-8601 string, or None")
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _ceil_to_ms(moment: datetime) -> datetime:
    """BSON keeps milliseconds: `stored >= moment` exactly when `stored >= ceil(moment)`; likewise for `<`."""
    excess = moment.microsecond % 1000
    return moment + timedelta(microseconds=1000 - excess) if excess else moment
