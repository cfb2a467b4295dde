"""Twelve ways to be ordered that people have: what they store, which index they have, what they set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import Decimal128, Int64, ObjectId, Timestamp

FIRST = datetime(2026, 11, 1, tzinfo=UTC)
DAYS = 2
EACH_DAY = 8
"""Documents of each day."""

Z = "%Y-%m-%dT%H:%M:%SZ"
PLAIN = "%Y-%m-%d %H:%M:%S"


@dataclass(frozen=True)
class Order:
    """One way to be ordered.

    Attributes:
        value: the order's value of the document of a time; it is the `_id` if the order field is `_id`.
        settings: what a user sets.
        id_of: the `_id` of the document with a number, if the order is another field.
        index: the keys of the index, if the order is another field.
    """

    name: str
    value: Callable[[datetime], Any]
    settings: dict[str, str] = field(default_factory=dict)
    id_of: Callable[[int], Any] = int
    index: tuple[tuple[str, int], ...] = (("created_at", 1), ("_id", 1))

    def documents(self) -> list[dict[str, Any]]:
        """A document every three hours, for two days."""
        made = []
        for number in range(DAYS * EACH_DAY):
            at = self.value(FIRST + timedelta(hours=24 // EACH_DAY * number))
            ordered = {"_id": at} if self.by_id else {"_id": self.id_of(number), "created_at": at}
            made.append({**ordered, "text": f"message {number} from Ada{number} in Paris"})
        return made

    @property
    def by_id(self) -> bool:
        """Whether the order field is `_id`."""
        return self.settings.get("order_field") == "_id"

    def fill(self, collection: Any) -> None:
        """Creates the index and inserts the documents, by PyMongo."""
        if not self.by_id:
            collection.create_index(list(self.index))
        collection.insert_many(self.documents())


def _seconds(at: datetime) -> int:
    return int(at.timestamp())


def _of_any_type(number: int) -> Any:
    kinds = (
        int,
        str,
        float,
        lambda n: ObjectId(f"{n:024x}"),
        lambda n: {"n": n},
        lambda n: Decimal128(f"{n}.5"),
    )
    return kinds[number % len(kinds)](number)


ORDERS = [
    Order("BSON date", lambda at: at),
    Order("ISO string with zone", lambda at: f"{at:{Z}}", {"order_type": "string", "order_unit": Z}),
    Order(
        "ISO string without zone", lambda at: f"{at:{PLAIN}}", {"order_type": "string", "order_unit": PLAIN}
    ),
    Order("epoch seconds", _seconds, {"order_type": "number", "order_unit": "s"}),
    Order(
        "epoch milliseconds",
        lambda at: (Int64, float)[at.hour % 2](_seconds(at) * 1000),
        {"order_type": "number", "order_unit": "ms"},
    ),
    Order("ObjectId", ObjectId.from_datetime, {"order_field": "_id"}),
    Order("Timestamp", lambda at: Timestamp(_seconds(at), at.hour), {"order_type": "timestamp"}),
    Order("int _id", _seconds, {"order_field": "_id", "order_type": "number", "order_unit": "s"}),
    Order(
        "string _id",
        lambda at: f"{at:{Z}}",
        {"order_field": "_id", "order_type": "string", "order_unit": Z},
    ),
    Order("mixed _id", lambda at: at, id_of=_of_any_type),
    Order("descending index", lambda at: at, index=(("created_at", -1), ("_id", -1))),
    Order("longer index", lambda at: at, index=(("created_at", 1), ("_id", 1), ("text", 1))),
]
