"""How a window is cut into ranges: by a walk of the index, by counts between sampled keys, or by a sample.

A boundary rests between two timestamps (`_id` MinKey) wherever it can, so that reading and counting are plain
ranges of dates. It splits a group of ties by `_id` only where the group is larger than a range.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from itertools import pairwise

from bson.max_key import MaxKey

from engine.keys.bson_values import identity
from engine.keys.key import Key
from engine.model import QueryForm
from engine.reading.scan import Scan
from engine.settings import Settings

SAMPLES_A_RANGE = 48
"""Sampled keys for each range. A range between every n-th of them holds Gamma(n)/n of its target: with 48,
95% of ranges are below 1.25 of it (with 20, measured, below 1.45). The server draws at random up to a
twentieth of a collection, which 48 in ranges of a thousand just keep."""

HOP_TAIL = 16
"""Keys that a hop brings from before where it lands: mostly they tell its ties, and spare a round trip."""

SLICES = 4
"""Stretches of the window that are walked side by side."""

CONCURRENCY = 4
"""Planning queries in flight."""

WALKED_DOCUMENTS = 100_000
"""Up to this many documents a walk takes some tenths of a second: no other way is worth its round trips."""

LARGEST_RANGE = 2.0
"""A counted range this many times its target is walked: it holds many ties, or the sample missed it."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch `[start, stop)` and its documents; `exact` tells a count from an estimate."""

    start: Key
    stop: Key
    documents: int
    exact: bool = True


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a sample says of a window: its documents, about, and keys spread over it, in order."""

    documents: int
    keys: Sequence[Key]


@dataclass(frozen=True, slots=True)
class Partition:
    """The segments of a window, the strategy that cut it, and the estimate it was chosen by."""

    segments: Sequence[Segment]
    strategy: str
    estimate: int | None = None


async def partition_window(scan: Scan, start: Key, stop: Key, settings: Settings) -> Partition:
    """Cuts the window by the strategy of the settings, or the one that suits its size.

    `auto` walks small windows, counts between sampled keys up to `max_counted_documents`, and beyond them
    samples alone. Without index bounds there is only the walk.
    """
    if scan.form is QueryForm.FILTER:
        return Partition(await walk(scan, start, stop, settings), "exact")
    estimate = await estimate_window(scan, start, stop, settings)
    strategy = settings.strategy if settings.strategy != "auto" else _chosen(estimate, settings)
    if scan.form is QueryForm.WHOLE_TIES and strategy != "sample":
        await refuse_large_ties(scan, start, stop)
    segments = await _STRATEGIES[strategy](scan, start, stop, settings, estimate)
    return Partition(_capped(segments, settings.max_ranges), strategy, estimate.documents)


def _chosen(estimate: Estimate, settings: Settings) -> str:
    ranges = estimate.documents / settings.range_documents
    if estimate.documents <= WALKED_DOCUMENTS or len(estimate.keys) < ranges * SAMPLES_A_RANGE / 2:
        return "exact"
    return "counted" if estimate.documents <= settings.max_counted_documents else "sample"


async def estimate_window(scan: Scan, start: Key, stop: Key, settings: Settings) -> Estimate:
    """Draws a sample from the collection; the share of it inside the window tells the window's size."""
    there = int(await scan.collection.estimated_document_count())
    if there <= WALKED_DOCUMENTS and settings.strategy in ("auto", "exact"):
        return Estimate(there, [])
    ranges = min(settings.max_ranges, math.ceil(there / settings.range_documents))
    size = SAMPLES_A_RANGE * (SLICES if settings.strategy == "exact" else max(1, ranges))
    keys = await scan.sample(start, stop, size)
    return Estimate(round(there * len(keys) / min(size, there)) if keys else 0, keys)


# --- exact: walk the index ---


async def _exact(scan: Scan, start: Key, stop: Key, settings: Settings, estimate: Estimate) -> list[Segment]:
    """Carves the window into a few slices at sampled keys, and walks them side by side."""
    bounds = [start, *_boundaries(scan, start, estimate.keys, SLICES), stop]
    # A tenth more than the estimate asks for: one range too many would halve their number.
    size = max(settings.range_documents, math.ceil(1.1 * estimate.documents / settings.max_ranges))
    sized = settings.model_copy(update={"range_documents": size})
    walks = [partial(walk, scan, a, b, sized) for a, b in pairwise(bounds)]
    return [segment for segments in await gather_limited(walks) for segment in segments]


async def walk(scan: Scan, start: Key, stop: Key, settings: Settings) -> list[Segment]:
    """Walks a stretch in hops of a range's size: each is one covered query that yields the next boundary.

    When there are too many ranges, neighbours are joined and the hops double: the counts stay exact, and the
    stretch need not be counted first.
    """
    segments: list[Segment] = []
    size, at = settings.range_documents, start
    while (seen := await _hop(scan, at, stop, size)) is not None:
        segment = await _hopped(scan, at, seen, stop, size)
        segments.append(segment)
        at = segment.stop
        if len(segments) > settings.max_ranges:
            segments, size = _joined(segments), size * 2
    rest = await scan.count(at, stop)
    if rest or not segments:
        return _capped([*segments, Segment(at, stop, rest)], settings.max_ranges)
    return _capped([*segments[:-1], replace(segments[-1], stop=stop)], settings.max_ranges)


async def _hop(scan: Scan, start: Key, stop: Key, size: int) -> list[Key] | None:
    """The Key `size` documents after the first of `[start, stop)`, if there is one, and a few before it."""
    if scan.form is QueryForm.WHOLE_TIES:
        landed = await scan.key_at(start, stop, size)
        return [landed] if landed else None
    before = min(HOP_TAIL, size)
    found = await scan.fetch(start, stop, limit=before + 1, skip=size - before)
    return [Key(scan.order.values_of(document)) for document in found] if len(found) > before else None


async def _hopped(scan: Scan, start: Key, seen: Sequence[Key], stop: Key, size: int) -> Segment:
    """What a hop went over, without the ties of the key it landed on: a boundary rests before them.

    If the whole hop was over ties, they are more than a range holds: the boundary splits them, or stands
    after them where the index has no `_id` to split them by.
    """
    landed = seen[-1]
    before = scan.order.first(landed.values[0])
    whole = scan.form is QueryForm.WHOLE_TIES
    if not whole and (before == landed or identity(start.values[0]) == identity(landed.values[0])):
        return Segment(start, landed, size)
    if not whole:
        hopped = _ties_seen(seen)
        if hopped is None:
            hopped = await _count_few(scan, before, landed, min(size, 1000))
        return Segment(start, landed, size) if hopped >= size else Segment(start, before, size - hopped)
    documents = await scan.count(start, before)
    if documents:
        return Segment(start, before, documents)
    after = await scan.key_at(Key((landed.values[0], MaxKey())), stop) or stop
    ties = await scan.count(start, after)
    scan.refuse_too_many(ties, landed.values[0])
    return Segment(start, after, ties)


def _ties_seen(seen: Sequence[Key]) -> int | None:
    """How many Keys before the last one tie with it; None where what was seen does not tell.

    Of dates alone the same bytes are the same key, and other bytes another.
    """
    *others, landed = (key.values[0] for key in seen)
    ties = sum(identity(value) == identity(landed) for value in others)
    return ties if isinstance(landed, datetime) and ties < len(others) else None


async def _count_few(scan: Scan, start: Key, stop: Key, few: int) -> int:
    """The documents of a stretch that most often holds only a few."""
    found = len(await scan.fetch(start, stop, limit=few))
    return found if found < few else await scan.count(start, stop)


async def refuse_large_ties(scan: Scan, start: Key, stop: Key) -> None:
    """Hops over the window to find an order value with more documents than a page of whole ties may hold.

    Raises:
        PlanError: there is one; the message holds the index that would tell its documents apart.
    """
    at = start
    while (landed := await scan.key_at(at, stop, scan.most_ties)) is not None:
        if landed == at:
            scan.refuse_too_many(scan.most_ties + 1, landed.values[0])
        at = landed


# --- sample and counted: boundaries between sampled keys ---


async def _sampled(
    scan: Scan, start: Key, stop: Key, settings: Settings, estimate: Estimate
) -> list[Segment]:
    """Boundaries at every n-th sampled key; each range holds about as many documents as the others."""
    wanted = max(1, min(settings.max_ranges, math.ceil(estimate.documents / settings.range_documents)))
    bounds = [start, *_boundaries(scan, start, estimate.keys, wanted), stop]
    about = max(1, round(estimate.documents / (len(bounds) - 1)))
    return [Segment(a, b, about, exact=False) for a, b in pairwise(bounds)]


async def _counted(
    scan: Scan, start: Key, stop: Key, settings: Settings, estimate: Estimate
) -> list[Segment]:
    """The ranges of `sample`, counted side by side; those far too large are walked."""
    segments = await _sampled(scan, start, stop, settings, estimate)
    most = LARGEST_RANGE * max(p.documents for p in segments)

    async def count(segment: Segment) -> list[Segment]:
        documents = await scan.count(segment.start, segment.stop)
        if documents > most:
            return await walk(scan, segment.start, segment.stop, settings)
        return [Segment(segment.start, segment.stop, documents)]

    counted = await gather_limited([partial(count, segment) for segment in segments])
    return [segment for segments in counted for segment in segments if segment.documents] or [
        Segment(start, stop, 0)
    ]


def _boundaries(scan: Scan, start: Key, keys: Sequence[Key], wanted: int) -> list[Key]:
    """At most `wanted - 1` boundaries at evenly spaced sampled keys, between timestamps where that can be.

    Where the boundary before has the same timestamp already, its ties fill a range, and `_id` splits them.
    """
    chosen: list[Key] = []
    before = start
    for number in range(1, min(wanted, len(keys))):
        key = keys[number * len(keys) // wanted]
        # Under a collation other bytes may be the same string: only whole keys are sure to ascend.
        whole = scan.collation is not None and isinstance(key.values[0], str)
        if scan.form is QueryForm.WHOLE_TIES or (
            not whole and identity(key.values[0]) != identity(before.values[0])
        ):
            key = scan.order.first(key.values[0])
        if key != before:
            chosen.append(key)
            before = key
    return chosen


# --- arithmetic of segments ---


def _capped(segments: Sequence[Segment], most: int) -> list[Segment]:
    """At most that many segments: neighbours joined, two by two."""
    capped = list(segments)
    while len(capped) > most:
        capped = _joined(capped)
    return capped


def _joined(segments: Sequence[Segment]) -> list[Segment]:
    """Every two neighbours as one."""
    return [
        Segment(
            pair[0].start,
            pair[-1].stop,
            sum(segment.documents for segment in pair),
            exact=all(segment.exact for segment in pair),
        )
        for pair in (segments[at : at + 2] for at in range(0, len(segments), 2))
    ]


async def gather_limited(jobs: Sequence[Callable[[], Awaitable[list[Segment]]]]) -> list[list[Segment]]:
    """The results of the jobs in their order, `CONCURRENCY` at a time."""
    slots = asyncio.Semaphore(CONCURRENCY)

    async def one(job: Callable[[], Awaitable[list[Segment]]]) -> list[Segment]:
        async with slots:
            return await job()

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(job)) for job in jobs]
    return [task.result() for task in tasks]


_STRATEGIES = {"exact": _exact, "counted": _counted, "sample": _sampled}
