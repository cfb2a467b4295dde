"""Durations, numbers and shares, formatted for people."""

from __future__ import annotations

import pytest

from engine.wording import duration, number, share


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "-"),
        (0, "0 s"),
        (4.26, "4.3 s"),
        (95, "95 s"),
        (725, "12 min 5 s"),
        (3599.7, "1 h"),
        (11_045, "3 h 4 min"),
    ],
)
def test_durations_as_people_say_them(seconds, said):
    """They have at most two units."""
    assert duration(seconds) == said


def test_numbers_and_shares_as_people_say_them():
    """Only nothing is shown as 0%, and only all as 100%."""
    assert [number(n) for n in (None, 0, 0.25, 9.0, 12345.6)] == ["-", "0", "0.2", "9", "12,346"]
    assert [share(n, 10_000) for n in (0, 1, 50, 9_999, 10_000)] == [
        "0%",
        "under 0.1%",
        "0.5%",
        "over 99.9%",
        "100%",
    ]
    assert share(3, 0) == "0%"
