"""The documents of the benchmarks, and the counter of how often each one was read."""

from __future__ import annotations

from benchmarks.common.documents import TIES, ReadCounter, document, number_of


def test_a_document_is_the_same_at_every_run_and_shares_its_timestamp():
    """Three documents share a second, so a key on the timestamp alone would lose some."""
    same_second = {document(n)["created_at"] for n in range(TIES)}
    assert len(same_second) == 1
    assert document(TIES)["created_at"] not in same_second
    assert document(7) == document(7)


def test_an_id_holds_the_number_also_at_another_place():
    """A document that is inserted in the middle keeps its own number."""
    assert number_of(document(1_234_567)["_id"]) == 1_234_567
    moved = document(1000, at=30)
    assert number_of(moved["_id"]) == 1000
    assert moved["created_at"] == document(30)["created_at"]
    assert document(29)["_id"] < moved["_id"] < document(33)["_id"]


def test_the_counter_finds_what_was_lost_and_what_was_read_twice():
    """It counts only the given documents."""
    seen = ReadCounter(4)
    seen.add(document(n)["_id"] for n in (0, 1, 1))
    assert seen.lost(range(4)) == 2
    assert seen.lost([0, 1, 2]) == 1
    assert seen.repeated(range(4)) == 1
