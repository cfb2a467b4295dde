"""Key, Order and KeyRange: a position, the fields it consists of, and a range between two positions. Pure.

Keys are compared for equality only. Only the server knows their order (trap 8, docs/traps.md).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.timestamp import Timestamp

from engine.errors import ConfigError
from engine.keys.bson_values import from_extended_json, identity, to_extended_json, value_at
from engine.model import Page


@dataclass(frozen=True, slots=True, eq=False)
class Key:
    """A position in the order: the values of `(order_field, _id)`, or of `(_id,)`."""

    values: tuple[Any, ...]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and identity(list(self.values)) == identity(list(other.values))

    def __hash__(self) -> int:
        return hash(identity(list(self.values)))

    @property
    def label(self) -> str:
        """For people: the first value, such as `2018-10-04 00:00`."""
        return _readable(self)

    def to_json(self) -> list[Any]:
        """The values in canonical Extended JSON."""
        return to_extended_json(list(self.values))  # type: ignore[no-any-return]

    @classmethod
    def from_json(cls, data: list[Any]) -> Self:
        """The Key that `to_json` was called on, with the same BSON types and bytes."""
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
        """The fields as `createIndex` and `sort` take them; indexes in other forms serve it, too."""
        return [(name, 1) for name in self.fields]

    def first(self, value: Any) -> Key:
        """The Key before all documents whose first field is `value`."""
        return Key((value,) if len(self.fields) == 1 else (value, MinKey()))

    def values_of(self, document: dict[str, Any]) -> tuple[Any, ...]:
        """The key values of a document; a missing field is None, as in the index."""
        return tuple(value_at(document, name) for name in self.fields)

    def page_of(self, documents: Sequence[dict[str, Any]], text_field: str) -> Page:
        """The Page of these documents: the values of the order's fields, and the texts."""
        return Page(tuple(_column(documents, name) for name in self.fields), _column(documents, text_field))


def _column(documents: Sequence[dict[str, Any]], path: str) -> list[Any]:
    if "." in path:
        return [value_at(document, path) for document in documents]
    return [document.get(path) for document in documents]


@dataclass(frozen=True, slots=True)
class KeyRange:
    """The half-open range `[start, stop)` of an order, which one mapped task processes.

    Attributes:
        start: the first Key that may be inside.
        stop: the first Key that is outside; `MaxKey` in the first field means "to the end of the order".
        range_id: its identity within its run; by default a hash of the bounds.
        run_id: the run to which it belongs; empty for a range made by hand.
        expected: the number of its documents, if they were counted at planning.
        about: an estimate of that number, if they were not counted.
        fresh: the target held no extractions at planning, so the first attempt does not look for any.
        source_uuid: what the collection was at planning; None if that is not known.
    """

    start: Key
    stop: Key
    range_id: str = ""
    run_id: str = ""
    expected: int | None = None
    about: int | None = None
    fresh: bool = False
    source_uuid: str | None = None

    def __post_init__(self) -> None:
        if len(self.start.values) != len(self.stop.values):
            raise ConfigError("start and stop of a KeyRange need the same number of values")
        if not self.range_id:
            bounds = identity([list(self.start.values), list(self.stop.values)])
            object.__setattr__(self, "range_id", hashlib.sha256(bounds).hexdigest()[:16])

    def covers_same(self, other: KeyRange) -> bool:
        """Whether both have the same bounds, even if their ids differ."""
        return (self.start, self.stop) == (other.start, other.stop)

    @property
    def label(self) -> str:
        """For people: `2018-10-04 00:00 .. 03:12 · 1,000 docs`; the end shows its date only if it differs."""
        documents = "" if self.about is None else f" · about {self.about:,} docs"
        documents = documents if self.expected is None else f" · {self.expected:,} docs"
        return f"{_readable(self.start)} .. {_readable(self.stop, after=self.start)}{documents}"

    def to_json(self) -> dict[str, Any]:
        """A plain JSON dict; the Keys in canonical Extended JSON."""
        return {
            "range_id": self.range_id,
            "run_id": self.run_id,
            "start": self.start.to_json(),
            "stop": self.stop.to_json(),
            "expected": self.expected,
            "about": self.about,
            "fresh": self.fresh,
            "source_uuid": self.source_uuid,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The KeyRange that `to_json` was called on, with the same BSON types and bytes.

        Raises:
            ConfigError: the dict is not the JSON form of a KeyRange.
        """
        try:
            return cls(
                Key.from_json(data["start"]),
                Key.from_json(data["stop"]),
                data["range_id"],
                data["run_id"],
                data["expected"],
                data.get("about"),
                data.get("fresh", False),
                data.get("source_uuid"),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"not the JSON form of a KeyRange ({error!r}): {str(data)[:200]}") from error


def _readable(key: Key, after: Key | None = None) -> str:
    """The first value of a Key for people; a time without its date if `after` has the same date."""
    value, before = (_shown(each.values[0]) if each else None for each in (key, after))
    if isinstance(value, datetime):
        same_day = isinstance(before, datetime) and before.date() == value.date()
        return ("" if same_day else f"{value:%Y-%m-%d} ") + value.time().isoformat(_precision(value))
    if isinstance(value, MaxKey | MinKey):
        return "end" if isinstance(value, MaxKey) else "start"
    return "".join(filter(str.isprintable, str(value)[:24]))


def _shown(value: Any) -> Any:
    """A Timestamp as a time; other values as they are."""
    return value.as_datetime() if isinstance(value, Timestamp) else value


def _precision(value: datetime) -> str:
    if value.microsecond:
        return "milliseconds"
    return "seconds" if value.second else "minutes"
