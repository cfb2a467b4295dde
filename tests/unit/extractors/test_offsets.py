"""Offsets in other units are converted to code points."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import ConfigError, Entity, ExtractionError
from engine.extractors.offsets import OffsetUnit, parse_unit, to_code_points

CODECS = {OffsetUnit.UTF16: ("utf-16-le", 2), OffsetUnit.UTF8: ("utf-8", 1)}
TEXT = "e\u0301\N{GRINNING FACE}x"
"""An e with an accent, an emoji, an x."""


def convert(text, start, end, unit):
    """Converts one entity; returns its start, its end and its text."""
    (found,) = to_code_points(text, [Entity(start, end, "X", "")], unit, surface=False)
    return found.start, found.end, found.text


@pytest.mark.parametrize("unit", CODECS)
@given(text=st.text(), ends=st.tuples(st.integers(0, 50), st.integers(0, 50)))
def test_trap_27_every_place_is_found_again(unit, text, ends):
    """For any text, offsets counted by Python's own codecs are converted back."""
    start, end = sorted(min(at, len(text)) for at in ends)
    codec, width = CODECS[unit]
    first, last = (len(text[:at].encode(codec)) // width for at in (start, end))
    assert convert(text, first, last, unit) == (start, end, text[start:end])


@pytest.mark.parametrize(
    ("unit", "places"),
    [
        (OffsetUnit.CODE_POINTS, [0, 1, 2, 3, 4]),
        (OffsetUnit.UTF16, [0, 1, 2, None, 3, 4]),
        (OffsetUnit.UTF8, [0, 1, None, 2, None, None, None, 3, 4]),
        (OffsetUnit.GRAPHEMES, [0, 2, 3, 4]),
    ],
)
def test_trap_27_each_unit_counts_otherwise(unit, places):
    """Offsets inside a character or beyond the end are refused."""
    for offset, place in enumerate(places):
        if place is None:
            with pytest.raises(
                ExtractionError, match=f"offset {offset} in {unit.noun} is inside a character"
            ):
                convert(TEXT, 0, offset, unit)
        else:
            assert convert(TEXT, 0, offset, unit) == (0, place, TEXT[:place])


@pytest.mark.parametrize("unit", [OffsetUnit.UTF16, OffsetUnit.UTF8, OffsetUnit.GRAPHEMES])
@pytest.mark.parametrize("offset", [-1, 99])
def test_a_place_outside_the_text_is_none(unit, offset):
    """The error gives the offset in the service's unit."""
    with pytest.raises(ExtractionError, match=f"offset {offset} in {unit.noun} is outside"):
        convert(TEXT, 0, offset, unit)


@pytest.mark.parametrize("unit", OffsetUnit)
def test_ascii_is_the_same_in_every_unit(unit):
    """Offsets outside the text are left to the check of the answer."""
    assert convert("Ann went home", 4, 99, unit) == (4, 99, "went home")


def test_a_line_break_of_two_characters_is_one_grapheme():
    """This is the only case in which units differ for ASCII (UAX #29, GB3)."""
    assert convert("a\r\nAnn", 2, 5, OffsetUnit.GRAPHEMES) == (3, 6, "Ann")


@pytest.mark.parametrize("wrong", [True, 1.0, None, "1"])
def test_what_is_no_integer_is_left_to_the_check(wrong):
    """True and 1.0 equal an offset in Python, but must not be converted as one."""
    (found,) = to_code_points(TEXT, [Entity(wrong, wrong, "X", "x")], OffsetUnit.UTF16, surface=True)
    assert found.start is wrong


def test_a_given_surface_form_is_kept():
    """It is compared with the document's text later."""
    (found,) = to_code_points(TEXT, [Entity(4, 5, "X", "other")], OffsetUnit.UTF16, surface=True)
    assert found == Entity(3, 4, "X", "other")


def test_graphemes_say_what_they_need(monkeypatch):
    """Without the package, the error is raised before any work starts."""
    monkeypatch.setitem(sys.modules, "regex", None)
    with pytest.raises(ConfigError, match="need the package regex: install it"):
        parse_unit("graphemes")
    assert parse_unit("utf8") is OffsetUnit.UTF8
