"""The verdict of the memory benchmark."""

from __future__ import annotations

import pytest

from benchmarks.memory.benchmark import ratios, succeeded


def row(size, peak_mb, entities="none", **changes):
    """The report of a child process about a collection."""
    return {
        "size": size,
        "entities": entities,
        "peak_mb": peak_mb,
        "read": size,
        "reconciled": True,
        **changes,
    }


def test_ratios_compare_the_largest_with_the_smallest_for_each_extractor():
    """The order of the rows does not matter."""
    rows = [row(100, 90), row(10, 60), row(10, 50, "one"), row(100, 100, "one")]
    assert ratios(rows) == {"none": 1.5, "one": 2.0}


@pytest.mark.parametrize(
    ("large", "verdict"),
    [
        (row(100, 90), True),
        (row(100, 91), False),
        (row(100, 60, reconciled=False), False),
        (row(100, 60, read=99), False),
    ],
)
def test_it_succeeds_only_if_memory_stays_and_all_was_read(large, verdict):
    """A run that loses documents needs little memory, so that is checked too."""
    assert succeeded([row(10, 60), large]) is verdict
