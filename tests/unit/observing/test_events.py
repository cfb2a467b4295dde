"""Each event is one log line of the logger `engine`, and changes are not logged too often."""

from __future__ import annotations

import logging

import pytest

from engine.observing.events import Changes, Events


@pytest.fixture
def lines(caplog):
    """The lines logged so far."""
    caplog.set_level(logging.INFO, logger="engine")
    return lambda: [record.getMessage() for record in caplog.records]


def test_an_event_is_a_name_and_its_values_after_the_context(lines):
    """Times have milliseconds; values with spaces are quoted."""
    Events(run="r", range="0001").warning("service_up", after_s=1.23456, problem="was away")
    assert lines() == ['service_up run=r range=0001 after_s=1.235 problem="was away"']


@pytest.mark.parametrize("nasty", ["two\nlines", 'a "quote', "a=b", "", "\x1b[2J", "\ttab", "a\u2028b"])
def test_no_value_can_forge_a_line_or_a_value(lines, nasty):
    """A message of a service may contain anything: it stays one quoted value on one line."""
    Events().info("service_down", problem=nasty, next="here")
    (line,) = lines()
    assert line.startswith('service_down problem="')
    assert line.endswith('" next=here')
    assert line.isprintable()


def test_a_changing_value_is_told_at_most_once_a_second(lines):
    """The event has the value before and now; a value that is the same again is not logged."""
    now = 0.0
    changes = Changes(Events(), "limit_changed", 10, clock=lambda: now)
    for second, value in [(0.0, 10), (0.1, 11), (0.9, 12), (1.0, 12), (2.5, 12), (2.6, 7), (3.6, 8)]:
        now = second
        changes.see(value)
    assert lines() == [
        "limit_changed before=10 now=11",
        "limit_changed before=11 now=12",
        "limit_changed before=12 now=8",
    ]
