"""Operators that a filter cannot have, because pages are read by a hint and counted."""

from __future__ import annotations

import pytest

from engine import ConfigError, Settings


@pytest.mark.parametrize(
    "chosen",
    [
        {"$text": {"$search": "x"}},
        {"$and": [{"a": 1}, {"place": {"$near": [0, 0]}}]},
        {"$where": "true"},
        {"$expr": {"$lt": [{"$rand": {}}, 0.5]}},
    ],
)
def test_an_operator_that_cannot_be_counted_by_a_hint_is_refused(chosen):
    """One line names it."""
    with pytest.raises(ConfigError, match=r"\$\w+ cannot be used"):
        Settings(filter=chosen)


def test_other_operators_are_taken():
    """A place inside a polygon needs no index."""
    Settings(filter={"place": {"$geoWithin": {"$center": [[0, 0], 1]}}, "$or": [{"a": {"$regex": "x"}}]})
