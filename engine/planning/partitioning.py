"""Divides a window into segments: by walking the index, by counting between sampled keys, or by a sample.

A boundary lies between two timestamps (`_id` MinKey) where it can, so that ranges are plain ranges of dates.
It splits documents of equal timestamp (ties) by `_id` only if they exceed a range.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from itertools import pairwise

from bson.max_key import MaxKey

from engine.keys.bson_values import lookup_key
from engine.keys.key import Key
from engine.planning.segments import Segment, capped, gather_limited, joined
from engine.reading.query_forms import FilterScan, WholeTiesScan
from engine.reading.scan import Scan
from engine.reading.unreadable import refuse_unmoved

SAMPLES_A_RANGE = 48
"""Sampled keys for each range. The size of a range between every n-th key is Gamma(n)/n of its target: with
n = 48, 95% of ranges are below 1.25 times the target (with 20, measured, below 1.45). The server uses a
random cursor for samples of up to a twentieth of a collection; 48 keys for 1,000 documents are just below."""

HOP_TAIL = 16
"""How many keys a hop also reads before the one where it lands. Mostly they show how many documents tie with
it, which saves a round trip."""

SLICES = 4
"""How many parts of a window are walked side by side."""

WALKED_DOCUMENTS = 100_000
"""Windows of up to this many documents are always walked, which takes some tenths of a second."""

LARGEST_RANGE = 2.0
"""A counted segment of more than this many times its target is walked: the sample missed its documents."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A window as a sample shows it: about how many documents it holds, and keys spread over it, in order."""

    documents: int
    keys: Sequence[Key]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large segments are: so many documents, or more where that would make more than `most` segments."""

    documents: int
    most: int


@dataclass(frozen=True, slots=True)
class Partition:
    """The segments of a window, the strategy that made them, and the estimate that chose the strategy."""

    segments: Sequence[Segment]
    strategy: str
    estimate: int | None = None


async def partition_window(
    scan: Scan, start: Key, stop: Key, sizes: Sizes, strategy: str, max_counted_documents: int
) -> Partition:
    """Divides the window by a strategy; `auto` chooses one by the size of the window.

    `auto` walks small windows (`exact`), counts between sampled keys up to `max_counted_documents`
    (`counted`), and only samples larger ones (`sample`). The filter form always walks.
    """
    if isinstance(scan, FilterScan):
        return Partition(await walk(scan, start, stop, sizes), "exact")
    estimate = await estimate_window(scan, start, stop, sizes, strategy)
    if strategy == "auto":
        strategy = _chosen(estimate, sizes, max_counted_documents)
    if isinstance(scan, WholeTiesScan) and strategy != "sample":
        await refuse_large_ties(scan, start, stop)
    segments = await _STRATEGIES[strategy](scan, start, stop, sizes, estimate)
    return Partition(capped(segments, sizes.most), strategy, estimate.documents)


def _chosen(estimate: Estimate, sizes: Sizes, max_counted_documents: int) -> str:
    ranges = estimate.documents / sizes.documents
    if estimate.documents <= WALKED_DOCUMENTS or len(estimate.keys) < ranges * SAMPLES_A_RANGE / 2:
        return "exact"
    return "counted" if estimate.documents <= max_counted_documents else "sample"


async def estimate_window(scan: Scan, start: Key, stop: Key, sizes: Sizes, strategy: str) -> Estimate:
    """Estimates the window's size from the share of a random sample of the collection that lies inside it."""
    total = await scan.estimated_total()
    if total <= WALKED_DOCUMENTS and strategy in ("auto", "exact"):
        return Estimate(total, [])
    ranges = min(sizes.most, math.ceil(total / sizes.documents))
    size = SAMPLES_A_RANGE * (SLICES if strategy == "exact" else max(1, ranges))
    keys = await scan.sample(start, stop, size)
    return Estimate(round(total * len(keys) / min(size, total)) if keys else 0, keys)


# --- exact: walk the index ---


async def _exact(scan: Scan, start: Key, stop: Key, sizes: Sizes, estimate: Estimate) -> list[Segment]:
    """Divides the window into a few slices at sampled keys, and walks them side by side."""
    bounds = [start, *_boundaries(scan, start, estimate.keys, SLICES), stop]
    # A tenth more than the estimate asks for: one segment above the maximum would halve their number.
    size = max(sizes.documents, math.ceil(1.1 * estimate.documents / sizes.most))
    sized = Sizes(size, sizes.most)
    walks = [partial(walk, scan, a, b, sized) for a, b in pairwise(bounds)]
    return [segment for segments in await gather_limited(walks) for segment in segments]


async def walk(scan: Scan, start: Key, stop: Key, sizes: Sizes) -> list[Segment]:
    """Walks from `start` to `stop` in hops of a range's size: one covered query yields the next boundary.

    When there are too many segments, neighbours are joined and the hops double. So the counts stay exact, and
    nothing need be counted before the walk.
    """
    segments: list[Segment] = []
    size, at = sizes.documents, start
    while (seen := await _hop(scan, at, stop, size)) is not None:
        segment = await _hopped(scan, at, seen, stop, size)
        refuse_unmoved(scan.collection, scan.order, at, segment.stop)
        segments.append(segment)
        at = segment.stop
        if len(segments) > sizes.most:
            segments, size = joined(segments), size * 2
    rest = await scan.count(at, stop)
    if rest or not segments:
        return capped([*segments, Segment(at, stop, rest)], sizes.most)
    return capped([*segments[:-1], replace(segments[-1], stop=stop)], sizes.most)


async def _hop(scan: Scan, start: Key, stop: Key, size: int) -> list[Key] | None:
    """The Key `size` documents after the first of `[start, stop)`, and a few before it; None past `stop`."""
    if isinstance(scan, WholeTiesScan):
        landed = await scan.key_at(start, stop, size)
        return [landed] if landed else None
    before = min(HOP_TAIL, size)
    found = await scan.fetch(start, stop, limit=before + 1, skip=size - before)
    return [Key(scan.order.values_of(document)) for document in found] if len(found) > before else None


async def _hopped(scan: Scan, start: Key, seen: Sequence[Key], stop: Key, size: int) -> Segment:
    """The segment of one hop. It ends before the ties of the key where the hop landed.

    If all documents of the hop are such ties, they are more than a range holds. Then the boundary splits
    them by `_id`, or lies after them if the index lacks `_id`.
    """
    landed = seen[-1]
    before = scan.order.first(landed.values[0])
    if not isinstance(scan, WholeTiesScan):
        if before == landed or lookup_key(start.values[0]) == lookup_key(landed.values[0]):
            return Segment(start, landed, size)
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
    """How many Keys before the last one tie with it; None if more may lie before the first.

    Only dates are compared. Of other types, values that differ in bytes may still be equal in the index.
    """
    *others, landed = (key.values[0] for key in seen)
    ties = sum(lookup_key(value) == lookup_key(landed) for value in others)
    return ties if isinstance(landed, datetime) and ties < len(others) else None


async def _count_few(scan: Scan, start: Key, stop: Key, few: int) -> int:
    """Counts the documents of a part that mostly holds only a few: reads them up to `few`, else counts."""
    found = len(await scan.fetch(start, stop, limit=few))
    return found if found < few else await scan.count(start, stop)


async def refuse_large_ties(scan: WholeTiesScan, start: Key, stop: Key) -> None:
    """Refuses a window in which an order value has more documents than a page of whole ties may hold.

    Raises:
        PlanError: there is such a value; the message holds the index that would order its documents.
    """
    at = start
    while (landed := await scan.key_at(at, stop, scan.most_ties)) is not None:
        if landed == at:
            scan.refuse_too_many(scan.most_ties + 1, landed.values[0])
        at = landed


# --- sample and counted: boundaries between sampled keys ---


async def _sampled(scan: Scan, start: Key, stop: Key, sizes: Sizes, estimate: Estimate) -> list[Segment]:
    """Segments between every n-th sampled key; each holds about as many documents as the others."""
    wanted = max(1, min(sizes.most, math.ceil(estimate.documents / sizes.documents)))
    bounds = [start, *_boundaries(scan, start, estimate.keys, wanted), stop]
    about = max(1, round(estimate.documents / (len(bounds) - 1)))
    return [Segment(a, b, about, exact=False) for a, b in pairwise(bounds)]


async def _counted(scan: Scan, start: Key, stop: Key, sizes: Sizes, estimate: Estimate) -> list[Segment]:
    """The segments of `sample`, counted side by side; those that are far too large are walked."""
    segments = await _sampled(scan, start, stop, sizes, estimate)
    most = LARGEST_RANGE * max(segment.documents for segment in segments)

    async def count(segment: Segment) -> list[Segment]:
        documents = await scan.count(segment.start, segment.stop)
        if documents > most:
            return await walk(scan, segment.start, segment.stop, sizes)
        return [Segment(segment.start, segment.stop, documents)]

    counted = await gather_limited([partial(count, segment) for segment in segments])
    filled = [segment for part in counted for segment in part if segment.documents]
    return filled or [Segment(start, stop, 0)]


def _boundaries(scan: Scan, start: Key, keys: Sequence[Key], wanted: int) -> list[Key]:
    """At most `wanted - 1` boundaries at evenly spaced sampled keys, between two timestamps if possible.

    If the boundary before has the same timestamp, its ties exceed a range, and `_id` splits them.
    """
    chosen: list[Key] = []
    before = start
    for number in range(1, min(wanted, len(keys))):
        key = keys[number * len(keys) // wanted]
        # Under a collation, strings that differ in bytes may be equal; only whole keys are sure to ascend.
        whole = scan.collation is not None and isinstance(key.values[0], str)
        if isinstance(scan, WholeTiesScan) or (
            not whole and lookup_key(key.values[0]) != lookup_key(before.values[0])
        ):
            key = scan.order.first(key.values[0])
        if key != before:
            chosen.append(key)
            before = key
    return chosen


_STRATEGIES = {"exact": _exact, "counted": _counted, "sample": _sampled}
