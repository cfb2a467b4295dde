"""Small collections of mixed BSON types, and what is lost of them by each way of cutting and of reading.

Query operators compare within one BSON type: a range between two types finds nothing, whoever drew its ends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from bson.binary import Binary
from bson.decimal128 import Decimal128
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.objectid import ObjectId

from benchmarks.common.documents import ORDER
from benchmarks.planning.splitters import Split, SplitTask
from engine.keys.bson_values import identity
from engine.keys.key import Key, KeyRange, Order
from engine.mongo.driver import exact
from engine.reading.index_choice import choose_scan
from engine.reading.reader import Reader

DOCUMENTS = 600
TARGET = 30
"""Documents a range."""

TIED = 150
"""Documents a timestamp where groups of ties are larger than a range."""

_TEXT = "x" * 2_000
"""Together more than the least collection that splitVector splits."""

_DAY = datetime(2024, 1, 1, tzinfo=UTC)

_IDS: tuple[Callable[[int], Any], ...] = (
    lambda n: n,
    lambda n: n + 0.5,
    lambda n: Decimal128(f"{n}.25"),
    lambda n: f"message {n:04}",
    lambda n: {"room": n % 7, "message": n},
    lambda n: Binary(n.to_bytes(16, "big"), 4),
    lambda n: ObjectId(n.to_bytes(12, "big")),
    lambda n: _DAY + timedelta(seconds=n),
)
"""An `_id` of each kind; the first three are numbers to the server."""

_VALUES: tuple[Callable[[int], dict[str, Any]], ...] = (
    *[lambda n: {"created_at": _DAY + timedelta(seconds=n)}] * 4,
    lambda n: {"created_at": (_DAY + timedelta(seconds=n)).isoformat()},
    lambda n: {"created_at": 1_704_067_200 + n},
    lambda _: {"created_at": None},
    lambda _: {},
    lambda _: {"created_at": float("nan")},
    lambda n: {"created_at": ObjectId(n.to_bytes(12, "big"))},
)
"""The order field of a history that several programs wrote: dates are four in ten."""


@dataclass(frozen=True, slots=True)
class Case:
    """A collection by the number of its documents, and the field it is ordered by."""

    label: str
    document: Callable[[int], dict[str, Any]]
    order_field: str = "created_at"


CASES = {
    "ids": Case("order _id, mixed", lambda n: {"_id": _IDS[n % len(_IDS)](n)}, "_id"),
    "ties": Case(
        "tied dates, mixed _id",
        lambda n: {"_id": _IDS[n % len(_IDS)](n), "created_at": _DAY + timedelta(seconds=n // TIED)},
    ),
    "values": Case("order field mixed", lambda n: {"_id": n, **_VALUES[n % len(_VALUES)](n)}),
}


def make(collection: Any, case: Case) -> None:
    """Fills a collection (of the synchronous driver)."""
    collection.insert_many([{**case.document(number), "text": _TEXT} for number in range(DOCUMENTS)])
    collection.create_index(ORDER)


# --- reading ranges ---

RangeReader: TypeAlias = Callable[[SplitTask, KeyRange], AsyncIterator[Any]]
"""The `_id`s that one range yields."""


async def by_operators(task: SplitTask, key_range: KeyRange) -> AsyncIterator[Any]:
    """As other tools read a range: a filter of `$gte` and `$lt`."""
    found = exact(task.collection).find(operator_filter(task.order, key_range), {"_id": 1})
    for document in await found.to_list(length=None):
        yield document["_id"]


async def by_engine(task: SplitTask, key_range: KeyRange) -> AsyncIterator[Any]:
    """As the engine reads a range: by bounds of the index."""
    settings = task.settings()
    reader = Reader(await choose_scan(task.collection, settings), key_range, settings)
    async for page in reader.pages(after=None):
        for document_id in page.ids:
            yield document_id


READERS: dict[str, RangeReader] = {"operators": by_operators, "engine": by_engine}


def operator_filter(order: Order, key_range: KeyRange) -> dict[str, Any]:
    """The usual filter for `[start, stop)` of one field or two; nothing at an open end."""
    ends = (("$gte", "$gt", key_range.start), ("$lt", "$lt", key_range.stop))
    clauses = [_end(order, *end) for end in ends if not isinstance(end[2].values[0], MinKey | MaxKey)]
    return {"$and": clauses} if clauses else {}


def _end(order: Order, operator: str, beyond: str, key: Key) -> dict[str, Any]:
    name, value = order.fields[0], key.values[0]
    if len(key.values) == 1 or isinstance(key.values[1], MinKey):
        return {name: {operator: value}}
    return {"$or": [{name: {beyond: value}}, {name: value, "_id": {operator: key.values[1]}}]}


@dataclass(frozen=True, slots=True)
class Account:
    """What became of the documents.

    Attributes:
        lost: neither read nor reported.
        repeated: read more than once.
        reported: left out, and said so.
        largest: documents found in the largest range, over the target.
    """

    ranges: int
    lost: int
    repeated: int
    reported: int
    largest: float


async def account(task: SplitTask, split: Split, read: RangeReader) -> Account:
    """Reads all ranges and tells what is missing."""
    seen: Counter[Any] = Counter()
    largest = 0
    for key_range in split.ranges:
        found = [identity(document_id) async for document_id in read(task, key_range)]
        seen.update(found)
        largest = max(largest, len(found))
    repeated = sum(times > 1 for times in seen.values())
    lost = task.documents - len(seen) - split.reported
    return Account(len(split.ranges), lost, repeated, split.reported, round(largest / task.target, 2))
