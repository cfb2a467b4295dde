"""The ways of cutting a collection into ranges. Each returns a list of KeyRanges.

The first and the last range of other tools are open, as in Spark's connector. This is the most favourable
form, because a range that begins at the least value by `$gte` finds documents of one BSON type only.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from inspect import isawaitable
from itertools import pairwise
from typing import Any, TypeAlias

from bson.max_key import MaxKey
from bson.min_key import MinKey
from pymongo.errors import OperationFailure

from engine import Settings, Tuning, Window, plan_ranges
from engine.keys.bson_values import identity, value_at
from engine.keys.key import Key, KeyRange, Order
from engine.mongo.driver import exact

SAMPLES_A_RANGE = 10
"""Samples per range that Spark's SamplePartitioner draws by default."""

LEAST_CHUNK_BYTES = 1 << 20
"""The least chunk size of splitVector, which does not split a smaller collection."""


class NotAllowedError(Exception):
    """The server, or the user's privileges, do not allow this way."""


@dataclass(frozen=True, slots=True)
class SplitTask:
    """A collection to be cut into ranges of `target` documents, in the order of a field and `_id`."""

    collection: Any
    documents: int
    target: int
    order_field: str = "created_at"

    @property
    def order(self) -> Order:
        """The order, and the index that serves it."""
        return Order.of(self.order_field)

    @property
    def ranges(self) -> int:
        """The number of ranges that there should be."""
        return max(1, self.documents // self.target)

    def settings(self, strategy: str = "auto") -> Settings:
        """The engine's settings for this task."""
        return Settings(
            range_documents=self.target, order_field=self.order_field, tuning=Tuning(strategy=strategy)
        )


@dataclass(frozen=True, slots=True)
class Split:
    """Ranges, and the number of documents that they leave out according to the way's own report."""

    ranges: Sequence[KeyRange]
    reported: int = 0


Splitter: TypeAlias = Callable[[SplitTask], Awaitable[Split]]
"""Cuts a collection into ranges; raises NotAllowedError if the server does not allow this way."""


def _planned_by(strategy: str) -> Splitter:
    """Makes the splitter of an engine's strategy, which includes all checks before planning."""

    async def split(task: SplitTask) -> Split:
        plan = await plan_ranges(task.collection, Window(), task.settings(strategy))
        return Split(plan.ranges, sum(plan.outside.values()))

    return split


async def _bucket_auto(task: SplitTask) -> Split:
    """Splits by `$bucketAuto` on the whole key, a stage that Ray Data and Spark's AutoBucketPartitioner use.

    A missing field counts as null, as in the index. Otherwise such keys would be documents of another shape,
    and sorted elsewhere.
    """
    key = {name: {"$ifNull": [f"${name}", None]} for name in task.order.fields}
    stages = [
        {"$project": {"_id": 0, "key": key}},
        {"$bucketAuto": {"groupBy": "$key", "buckets": task.ranges}},
    ]
    buckets = await _aggregate(task, stages)
    starts = [task.order.values_of(bucket["_id"]["min"]) for bucket in buckets]
    return Split(_tiles(task.order, [Key(values) for values in starts[1:]]))


async def _one_field_sample(task: SplitTask) -> Split:
    """Splits at every tenth value of a sorted sample of the first field, as Spark's SamplePartitioner does.

    Boundaries on one field cannot separate ties, so equal ones are joined.
    """
    name = task.order.fields[0]
    stages = [
        {"$sample": {"size": SAMPLES_A_RANGE * task.ranges}},
        {"$project": {"_id": 0, name: 1} if name != "_id" else {"_id": 1}},
        {"$sort": {name: 1}},
    ]
    values = [value_at(found, name) for found in await _aggregate(task, stages)]
    chosen = values[SAMPLES_A_RANGE::SAMPLES_A_RANGE]
    distinct = {identity(value): value for value in chosen}
    return Split(_tiles(task.order, [task.order.first(value) for value in distinct.values()]))


async def _split_vector(task: SplitTask) -> Split:
    """Splits by the command that sharding uses for chunks. Only administrators of a mongod may call it."""
    database = task.collection.database
    try:
        size = (await database.command("collStats", task.collection.name))["size"]
        found = await database.command(
            "splitVector",
            task.collection.full_name,
            keyPattern=dict(task.order.spec),
            # The command halves this; after that, the number of documents is the tighter limit.
            maxChunkSizeBytes=max(LEAST_CHUNK_BYTES, 4 * size // task.ranges),
            maxChunkObjects=task.target,
        )
    except OperationFailure as error:
        raise NotAllowedError((error.details or {}).get("codeName", str(error.code))) from error
    return Split(_tiles(task.order, [Key(task.order.values_of(key)) for key in found["splitKeys"]]))


def _tiles(order: Order, boundaries: Sequence[Key]) -> list[KeyRange]:
    """Makes the ranges between boundaries; the first and the last one are open."""
    least, most = (Key((bound,) * len(order.fields)) for bound in (MinKey(), MaxKey()))
    return [KeyRange(start, stop) for start, stop in pairwise([least, *boundaries, most])]


async def _aggregate(task: SplitTask, pipeline: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Runs an aggregation. PyMongo's method must be awaited for the cursor, Motor's returns it."""
    cursor = exact(task.collection).aggregate(pipeline, allowDiskUse=True)
    if isawaitable(cursor):
        cursor = await cursor
    found: list[dict[str, Any]] = await cursor.to_list(length=None)
    return found


SPLITTERS: dict[str, Splitter] = {
    "exact": _planned_by("exact"),
    "counted": _planned_by("counted"),
    "sample": _planned_by("sample"),
    "bucket_auto": _bucket_auto,
    "one_field_sample": _one_field_sample,
    "split_vector": _split_vector,
}

ENGINE = ("exact", "counted", "sample")
"""The strategies of the engine, which must neither lose nor repeat a document."""

LABELS = {
    "exact": "engine: exact",
    "counted": "engine: counted",
    "sample": "engine: sample",
    "bucket_auto": "$bucketAuto, whole key",
    "one_field_sample": "$sample, one field",
    "split_vector": "splitVector",
    "count_documents": "count_documents",
    "count_scan": "count by COUNT_SCAN",
}
"""Labels of these ways, and of the two counts that they are compared with (`counts.py`)."""
