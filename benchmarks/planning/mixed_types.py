"""Small collections of mixed BSON types, and how many documents each way of cutting and reading loses.

Query operators compare within one BSON type. So a range whose ends have different types finds nothing.
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
"""Documents per range."""

TIED = 150
"""Documents per timestamp in the case whose groups of ties are larger than a range."""

_TEXT = "x" * 2_000
"""Long enough that the collection is large enough for splitVector."""

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
"""Makers of an `_id` of each type; for the server, the first three are all numbers."""

_VALUES: tuple[Callable[[int], dict[str, Any]], ...] = (
    *[lambda n: {"created_at": _DAY + timedelta(seconds=n)}] * 4,
    lambda n: {"created_at": (_DAY + timedelta(seconds=n)).isoformat()},
    lambda n: {"created_at": 1_704_067_200 + n},
    lambda _: {"created_at": None},
    lambda _: {},
    lambda _: {"created_at": float("nan")},
    lambda n: {"created_at": ObjectId(n.to_bytes(12, "big"))},
)
"""Makers of the order field, as in a history that several programs wrote: four of ten are dates."""


@dataclass(frozen=True, slots=True)
class Case:
    """A collection: the maker of its documents by their number, and the field that orders them."""

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


def fill_case(collection: Any, case: Case) -> None:
    """Fills a collection of the synchronous driver."""
    collection.insert_many([{**case.document(number), "text": _TEXT} for number in range(DOCUMENTS)])
    collection.create_index(ORDER)


# --- reading ranges ---

RangeReader: TypeAlias = Callable[[SplitTask, KeyRange], AsyncIterator[Any]]
"""Yields the `_id`s of the documents in a range."""


async def by_operators(task: SplitTask, key_range: KeyRange) -> AsyncIterator[Any]:
    """Reads a range as other tools do: with a filter of `$gte` and `$lt`."""
    found = exact(task.collection).find(operator_filter(task.order, key_range), {"_id": 1})
    for document in await found.to_list(length=None):
        yield document["_id"]


async def by_engine(task: SplitTask, key_range: KeyRange) -> AsyncIterator[Any]:
    """Reads a range as the engine does: by bounds of the index."""
    settings = task.settings()
    tied = settings.tuning.max_tied_documents
    scan = await choose_scan(task.collection, settings.order_field, settings.filter, tied)
    reader = Reader(scan, key_range, settings)
    async for page in reader.pages(after=None):
        for document_id in page.ids:
            yield document_id


READERS: dict[str, RangeReader] = {"operators": by_operators, "engine": by_engine}


def operator_filter(order: Order, key_range: KeyRange) -> dict[str, Any]:
    """Makes the usual filter for `[start, stop)` on one or two fields; an open end has no condition."""
    ends = (("$gte", "$gt", key_range.start), ("$lt", "$lt", key_range.stop))
    clauses = [_end(order, *end) for end in ends if not isinstance(end[2].values[0], MinKey | MaxKey)]
    return {"$and": clauses} if clauses else {}


def _end(order: Order, operator: str, beyond: str, key: Key) -> dict[str, Any]:
    name, value = order.fields[0], key.values[0]
    if len(key.values) == 1 or isinstance(key.values[1], MinKey):
        return {name: {operator: value}}
    return {"$or": [{name: {beyond: value}}, {name: value, "_id": {operator: key.values[1]}}]}


@dataclass(frozen=True, slots=True)
class ReadResult:
    """What became of the documents of a collection.

    Attributes:
        lost: documents that were neither read nor reported.
        repeated: documents that were read more than once.
        reported: documents that the way leaves out and reports.
        largest: documents found in the largest range, over the target.
    """

    ranges: int
    lost: int
    repeated: int
    reported: int
    largest: float


async def read_ranges(task: SplitTask, split: Split, read: RangeReader) -> ReadResult:
    """Reads all ranges, and counts what is missing."""
    seen: Counter[Any] = Counter()
    largest = 0
    for key_range in split.ranges:
        found = [identity(document_id) async for document_id in read(task, key_range)]
        seen.update(found)
        largest = max(largest, len(found))
    repeated = sum(times > 1 for times in seen.values())
    lost = task.documents - len(seen) - split.reported
    return ReadResult(len(split.ranges), lost, repeated, split.reported, round(largest / task.target, 2))
