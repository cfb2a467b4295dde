"""Compares the counts of a plan with an independent count of the window, all at one snapshot time.

The `count` command cannot read a snapshot. An aggregation can, and the server answers it by COUNT_SCAN, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from bson.timestamp import Timestamp

from engine.errors import PlanError, SourceError
from engine.mongo import driver
from engine.planning.plan import Proof
from engine.planning.segments import Segment, gather_limited
from engine.reading.scan import Scan

NO_SNAPSHOT = frozenset({20, 72, 115, 123, 238, 303})
"""Server codes of a server without snapshot reads: IllegalOperation, InvalidOptions, CommandNotSupported,
NotAReplicaSet (a standalone server), NotImplemented, feature not supported (Amazon DocumentDB)."""

ATTEMPTS = 3
"""Without snapshots, how often the counts are made before the window is reported as changing."""


async def cross_check(scan: Scan, segments: Sequence[Segment]) -> tuple[Sequence[Segment], Proof]:
    """Counts the segments again, and the window as a whole independently of the bounds between them.

    Returns:
        The segments with their counts at one snapshot time. Without snapshots, with the first counts that
        agree with the window's; unchanged if none agree.

    Raises:
        PlanError: at one snapshot time the segments hold another number of documents than the window.
    """
    if not driver.has_server(scan.collection):
        return segments, Proof.NONE
    at = None if scan.capped else await _operation_time(scan)
    if at is not None:
        try:
            return await _check_at_snapshot(scan, segments, at), Proof.SNAPSHOT
        except SourceError as error:
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
            f"{driver.namespace(scan.collection)}: at one snapshot time the ranges hold {_sum(counted):,} "
            f"documents, but their window holds {window:,}. Check the index {scan.index.name!r} with the "
            "validate command"
        )
    return counted


def _sum(segments: Sequence[Segment]) -> int:
    return sum(segment.documents for segment in segments)


async def _operation_time(scan: Scan) -> Timestamp | None:
    """A snapshot time that includes everything planning has read; None on a standalone server.

    Left to itself, the server would choose the last snapshot of a majority, which may lack documents that
    planning saw. Asked for this time, it waits until a majority has it.
    """
    query = {"find": scan.collection.name, "filter": {"_id": {"$in": []}}, "limit": 1}
    return (await scan.command(query)).get("operationTime")  # type: ignore[no-any-return]


async def _counts(scan: Scan, segments: Sequence[Segment], at: Timestamp | None) -> tuple[int, list[Segment]]:
    """Counts the window as a whole, and each segment; at a snapshot time if one is given."""

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
        "hint": scan.index.hint,
    }
    answer = await scan.command({**query, "readConcern": concern})
    found = answer["cursor"]["firstBatch"]
    return int(found[0]["documents"]) if found else 0
