"""Counts documents without the engine: of ranges, and of whole windows to compare times with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from statistics import quantiles
from typing import Any, TypeAlias

from bson.max_key import MaxKey
from bson.min_key import MinKey

from benchmarks.common.documents import ORDER, document
from engine.keys.key import KeyRange
from engine.mongo.driver import exact

Condition: TypeAlias = dict[str, Any]


def whole_window(size: int) -> Condition:
    """A condition on dates that matches all documents of a benchmark's collection."""
    first, last = document(0)["created_at"], document(size - 1)["created_at"]
    return {"created_at": {"$gte": first, "$lt": last + timedelta(milliseconds=1)}}


async def count_documents(collection: Any, condition: Condition) -> int:
    """Counts by the driver's method, which is an aggregation."""
    return int(await collection.count_documents(condition))


async def count_scan(collection: Any, condition: Condition) -> int:
    """Counts by the `count` command on the order's index. COUNT_SCAN reads only keys: the fastest way."""
    return int((await collection.database.command(_count(collection, condition)))["n"])


COUNTERS: dict[str, Callable[[Any, Condition], Awaitable[int]]] = {
    "count_documents": count_documents,
    "count_scan": count_scan,
}
"""The ways of counting, by name. All times are compared with the last one."""

YARDSTICK = "count_scan"


async def count_stages(collection: Any, condition: Condition) -> list[str]:
    """Returns the stages by which the server counts. COUNT_SCAN must be among them."""
    database = exact(collection).database.with_options(codec_options=exact(collection).codec_options)
    explained = await database.command({"explain": _count(collection, condition)})
    stage, names = explained["queryPlanner"]["winningPlan"], []
    while stage:
        names.append(stage["stage"])
        stage = stage.get("inputStage")
    return names


def _count(collection: Any, condition: Condition) -> dict[str, Any]:
    return {"count": collection.name, "query": condition, "hint": dict(ORDER)}


# --- what ranges hold ---


async def count_range(collection: Any, key_range: KeyRange) -> int:
    """Counts the documents of a range of `(created_at, _id)`, whose values are of one type each."""
    return sum([await count_scan(collection, condition) for condition in conditions(key_range)])


def conditions(key_range: KeyRange) -> Iterator[Condition]:
    """Yields disjoint conditions that make up a range: ties that `_id` splits at its ends, and the rest."""
    (low, first_id), (high, last_id) = key_range.start.values, key_range.stop.values
    from_id = {} if isinstance(first_id, MinKey) else {"$gte": first_id}
    to_id = {} if isinstance(last_id, MinKey | MaxKey) else {"$lt": last_id}
    if low == high:
        yield {"created_at": low, "_id": {**from_id, **to_id}}
        return
    between = {} if isinstance(low, MinKey) else {"$gt" if from_id else "$gte": low}
    between |= {} if isinstance(high, MaxKey) else {"$lt": high}
    yield {"created_at": between} if between else {}
    if from_id:
        yield {"created_at": low, "_id": from_id}
    if to_id:
        yield {"created_at": high, "_id": to_id}


@dataclass(frozen=True, slots=True)
class Skew:
    """How unequal ranges are: documents per range over the target, three percentiles and the largest."""

    p5: float
    p50: float
    p95: float
    largest: float


def skew_of(sizes: Sequence[int], target: int) -> Skew:
    """Computes the skew of ranges that have these numbers of documents."""
    shares = [size / target for size in sizes]
    cuts = quantiles(shares, n=20, method="inclusive") if len(shares) > 1 else shares * 19
    rounded = (round(share, 4) for share in (cuts[0], cuts[9], cuts[18], max(shares)))
    return Skew(*rounded)
