"""Events as log lines: one line each, told to the logger `engine`, and not too often."""

from __future__ import annotations

import logging

import pytest

from engine.observing.events import Changes, Events


@pytest.fixture
def lines(caplog):
    """The lines told so far."""
    caplog.set_level(logging.INFO, logger="engine")
    return lambda: [record.getMessage() for record in caplog.records]


def test_an_event_is_a_name_and_its_values_after_the_context(lines):
    """Times have milliseconds; what has spaces is quoted."""
    Events(run="r", range="0001").warning("service_up", after_s=1.23456, problem="was away")
    assert lines() == ['service_up run=r range=0001 after_s=1.235 problem="was away"']


@pytest.mark.parametrize("nasty", ["two\nlines", 'a "quote', "a=b", "", "\x1b[2J", "\ttab", "a\u2028b"])
def test_no_value_can_forge_a_line_or_a_value(lines, nasty):
    """A service's message may hold anything: it stays one quoted value of one line."""
    Events().info("service_down", problem=nasty, next="here")
    (line,) = lines()
    assert line.startswith('service_down problem="')
    assert line.endswith('" next=here')
    assert line.isprintable()


def test_a_changing_value_is_told_at_most_once_a_second(lines):
    """What it is then, with what was told before; the same again is no change."""
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
