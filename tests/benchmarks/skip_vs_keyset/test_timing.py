"""Estimates from sampled pages, and medians over repetitions."""

from __future__ import annotations

import pytest

from benchmarks.skip_vs_keyset.timing import (
    PageTime,
    Reading,
    median_pages,
    sampled_offsets,
    sampled_pages,
    skipped_documents,
)


def linear(depths, page, planned=None):
    """A reading in which the time of each page grows linearly with its depth."""
    return Reading([PageTime(depth, page, 5 + depth / 1000) for depth in depths], planned)


@pytest.mark.parametrize(("size", "page"), [(10_000, 100), (9_000, 1_000), (100_000, 1_000)])
def test_the_estimate_of_a_cost_linear_in_the_depth_is_within_a_hundredth(size, page):
    """The cost of a skip is linear in its depth, so pages at the middles of equal strata give the sum."""
    whole = linear(range(0, size, page), page)
    offsets = sampled_offsets(size, page, 10)
    estimate = linear(offsets, page, planned=size // page)
    assert estimate.estimated
    assert estimate.seconds == pytest.approx(whole.seconds, rel=0.01)
    assert whole.estimate_ratio(10) == pytest.approx(estimate.seconds / whole.seconds)


def test_few_pages_are_not_sampled():
    """All of them are read."""
    assert sampled_pages(5, 10) == [0, 1, 2, 3, 4]
    assert len(set(sampled_pages(1_000, 40))) == 40


def test_skipped_documents_grow_with_the_square():
    """Five pages of ten documents skip 0 + 10 + 20 + 30 + 40."""
    assert skipped_documents(50, 10) == 100
    assert skipped_documents(1_000_000, 1_000) / skipped_documents(100_000, 1_000) == pytest.approx(
        100, rel=0.01
    )


def test_the_median_is_taken_page_by_page():
    """A single slow page in one repetition has no effect."""
    readings = [Reading([PageTime(0, 2, seconds), PageTime(2, 2, 1.0)]) for seconds in (1.0, 9.0, 2.0)]
    assert median_pages(readings, 10) == [PageTime(0, 2, 2.0), PageTime(2, 2, 1.0)]


def test_pages_that_adapt_are_those_of_the_median_reading():
    """Their depths differ from reading to reading, so no page has a median of its own."""
    readings = [Reading([PageTime(0, size, seconds)]) for size, seconds in ((3, 1.0), (4, 2.0), (5, 3.0))]
    assert median_pages(readings, 10) == [PageTime(0, 4, 2.0)]
