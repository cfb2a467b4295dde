"""The proof of a plan's counts: they sum to an independent count of the window, all at one snapshot time.

`count` reads no snapshots; an aggregation does, and the server answers it by COUNT_SCAN too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from bson.timestamp import Timestamp
from pymongo.errors import OperationFailure

from engine.errors import PlanError
from engine.mongo import driver
from engine.planning.partitioning import Segment, gather_limited
from engine.planning.plan import Proof
from engine.reading.scan import Scan

NO_SNAPSHOT = frozenset({20, 72, 115, 123, 238, 303})
"""Server codes for "no snapshot reads here": IllegalOperation, InvalidOptions, CommandNotSupported,
NotAReplicaSet (a standalone server), NotImplemented, feature not supported (Amazon DocumentDB)."""

ATTEMPTS = 3
"""Counts of a window without snapshots, before it is taken for one that changes all the time."""


async def cross_check(scan: Scan, segments: Sequence[Segment]) -> tuple[Sequence[Segment], Proof]:
    """Counts the segments again and, independently of their bounds, the window from the first to the last.

    Returns:
        The segments with their counts at that one time; where the server has no snapshots, as soon as the two
        counts agree; as they were, if they never did.

    Raises:
        PlanError: at one and the same time the ranges hold another number than the window.
    """
    try:
        at = await _time_of_now(scan)
    except NotImplementedError:  # mongomock has no commands
        return segments, Proof.NONE
    if at is not None:
        try:
            return await _check_at_snapshot(scan, segments, at), Proof.SNAPSHOT
        except OperationFailure as error:
            if error.code not in NO_SNAPSHOT:
                raise
    for _ in range(ATTEMPTS):
        window, counted = await _counts(scan, segments, None)
        if window == _sum(counted):
            return counted, Proof.AGREEMENT
    return segments, Proof.CHANGING


async def _check_at_snapshot(scan: Scan, segments: Sequence[Segment], at: Timestamp) -> Sequence[Segment]:
    window, counted = await _counts(scan, segments, at)
    if window != _sum(counted):
        raise PlanError(
            f"{driver.namespace(scan.collection)}: at one time the ranges hold {_sum(counted):,} documents, "
            f"and their window {window:,}. Check the index {scan.index!r} by the validate command"
        )
    return counted


def _sum(segments: Sequence[Segment]) -> int:
    return sum(segment.documents for segment in segments)


async def _time_of_now(scan: Scan) -> Timestamp | None:
    """The server's time after all that planning has read; None on a standalone server.

    A snapshot that the server chooses is the last one of a majority, and may lack what planning saw; of this
    one it waits until a majority has it.
    """
    query = {"find": scan.collection.name, "filter": {"_id": {"$in": []}}, "limit": 1}
    return (await scan.command(query)).get("operationTime")  # type: ignore[no-any-return]


async def _counts(scan: Scan, segments: Sequence[Segment], at: Timestamp | None) -> tuple[int, list[Segment]]:
    """The window's count, and the segments with theirs."""

    async def count(segment: Segment) -> list[Segment]:
        return [replace(segment, documents=await _count_at(scan, segment, at))]

    whole = Segment(segments[0].start, segments[-1].stop, 0)
    [window], *counted = await gather_limited([partial(count, segment) for segment in (whole, *segments)])
    return window.documents, [segment for [segment] in counted]


async def _count_at(scan: Scan, segment: Segment, at: Timestamp | None) -> int:
    concern: Mapping[str, Any] = {"level": "snapshot", "atClusterTime": at} if at else {"level": "local"}
    stages = [{"$match": scan.condition(segment.start, segment.stop)}, {"$count": "documents"}]
    query = {
        "aggregate": scan.collection.name,
        "pipeline": stages,
        "cursor": {},
        "hint": scan.index or dict(scan.spec),
    }
    answer = await scan.command({**query, "readConcern": concern})
    found = answer["cursor"]["firstBatch"]
    return int(found[0]["documents"]) if found else 0
