"""The low-water mark, in whatever order batches end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine import Key
from engine.model import Counts
from engine.running.low_water_mark import Ledger


@given(st.permutations(range(12)))
def test_trap_29_the_position_never_passes_an_unsettled_batch(finishing):
    """After each settlement the position is the longest settled prefix, and the counts are those of it."""
    ledger = Ledger()
    entries = [ledger.admit(Key((n,))) for n in range(12)]
    settled: set[int] = set()
    for n in finishing:
        ledger.settle(entries[n], Counts(read=n + 1, written=n + 1))
        settled.add(n)
        prefix = next((i for i in range(13) if i not in settled), 12)
        assert ledger.position == (Key((prefix - 1,)) if prefix else None)
        assert ledger.counts.read == sum(range(1, prefix + 1))
        assert ledger.outstanding == 12 - prefix


@given(st.permutations(range(8)))
def test_every_batch_is_passed_once(finishing):
    """What `settle` returns sums to the number of batches, so each frees its place exactly once."""
    ledger = Ledger()
    entries = [ledger.admit(Key((n,))) for n in range(8)]
    assert sum(ledger.settle(entries[n], Counts()) for n in finishing) == 8


def test_a_resumed_ledger_goes_on_counting():
    """Position and counts start from the checkpoint's."""
    ledger = Ledger(Key((5,)), Counts(6, 6))
    ledger.settle(ledger.admit(Key((6,))), Counts(1, 0, 1))
    assert (ledger.position, ledger.counts) == (Key((6,)), Counts(7, 6, 1))


@given(st.permutations(range(9)))
def test_the_position_rests_only_where_reading_can_go_on(finishing):
    """Batches within a page of ties have no such Key: their counts wait for the next that has."""
    ledger = Ledger()
    entries = [ledger.admit(Key((n,)) if n % 3 == 2 else None) for n in range(9)]
    settled: set[int] = set()
    for n in finishing:
        ledger.settle(entries[n], Counts(read=1, written=1))
        settled.add(n)
        prefix = next((i for i in range(10) if i not in settled), 9)
        assert ledger.counts.read == prefix // 3 * 3
        assert ledger.position == (Key((prefix // 3 * 3 - 1,)) if prefix >= 3 else None)
