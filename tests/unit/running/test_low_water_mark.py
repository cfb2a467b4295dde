"""The low-water mark is right in whatever order the batches become durable."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine import Key
from engine.model import Counts
from engine.running.low_water_mark import LowWaterMark


@given(st.permutations(range(12)))
def test_trap_29_the_position_never_passes_a_batch_that_is_not_durable(finishing):
    """The position is the end of the longest durable prefix, and the counts are those of that prefix."""
    mark = LowWaterMark()
    batches = [mark.register(Key((n,))) for n in range(12)]
    durable: set[int] = set()
    for n in finishing:
        mark.complete(batches[n], Counts(read=n + 1, written=n + 1))
        durable.add(n)
        prefix = next((i for i in range(13) if i not in durable), 12)
        assert mark.position == (Key((prefix - 1,)) if prefix else None)
        assert mark.counts.read == sum(range(1, prefix + 1))
        assert mark.pending == 12 - prefix


@given(st.permutations(range(8)))
def test_every_batch_is_passed_once(finishing):
    """What `complete` returns sums to the number of batches, so each frees its place exactly once."""
    mark = LowWaterMark()
    batches = [mark.register(Key((n,))) for n in range(8)]
    assert sum(mark.complete(batches[n], Counts()) for n in finishing) == 8


def test_a_resumed_mark_goes_on_counting():
    """Position and counts start from the checkpoint's."""
    mark = LowWaterMark(Key((5,)), Counts(6, 6))
    mark.complete(mark.register(Key((6,))), Counts(1, 0, 1))
    assert (mark.position, mark.counts) == (Key((6,)), Counts(7, 6, 1))


@given(st.permutations(range(9)))
def test_the_position_stops_only_where_reading_can_resume(finishing):
    """Batches within a page of ties have no Key to resume after: their counts wait for one that has."""
    mark = LowWaterMark()
    batches = [mark.register(Key((n,)) if n % 3 == 2 else None) for n in range(9)]
    durable: set[int] = set()
    for n in finishing:
        mark.complete(batches[n], Counts(read=1, written=1))
        durable.add(n)
        prefix = next((i for i in range(10) if i not in durable), 9)
        assert mark.counts.read == prefix // 3 * 3
        assert mark.position == (Key((prefix // 3 * 3 - 1,)) if prefix >= 3 else None)
