"""The canary shows in which unit a service counts offsets."""

from __future__ import annotations

import sys

import pytest

from engine import Entity
from engine.extractors.offsets import CANARY_TEXT, OffsetUnit, detect_unit

UNITS = list(OffsetUnit)


def found_by(unit, *names):
    """The entities of a service that counts in this unit and finds these names."""
    return [Entity(_counted(at, unit), _counted(at + len(n), unit), "X", n) for n, at in _placed(names)]


def _placed(names):
    return [(name, CANARY_TEXT.index(name)) for name in names]


def _counted(at, unit):
    before = CANARY_TEXT[:at]
    return {
        OffsetUnit.CODE_POINTS: at,
        OffsetUnit.UTF16: len(before.encode("utf-16-le")) // 2,
        OffsetUnit.UTF8: len(before.encode()),
        OffsetUnit.GRAPHEMES: at - before.count("\u0301"),
    }[unit]


@pytest.mark.parametrize("declared", UNITS)
@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("names", [("Paris",), ("Obama",), ("Barack Obama", "Angela Merkel", "Paris")])
def test_one_name_is_enough_to_tell_any_unit(unit, declared, names):
    """It is enough whatever the format declares, and with a part of a name too."""
    assert detect_unit([(CANARY_TEXT, found_by(unit, *names))], declared) is unit


def test_other_findings_do_not_confuse():
    """A service may also find a date, half a word, or everything."""
    others = [Entity(3, 6, "X", "the"), Entity(0, 2, "X", "At"), Entity(0, 500, "X", "")]
    found = [*others, *found_by(OffsetUnit.UTF16, "Angela Merkel")]
    assert detect_unit([(CANARY_TEXT, found)], OffsetUnit.CODE_POINTS) is OffsetUnit.UTF16


@pytest.mark.parametrize("found", [[], [Entity(0, 2, "X", "At")], [Entity(None, "x", "X", "")]])
def test_nothing_is_concluded_from_nothing(found):
    """If no name was found, or no offsets were given, no unit is detected."""
    assert detect_unit([(CANARY_TEXT, found)], OffsetUnit.CODE_POINTS) is None


def test_it_works_without_the_package_for_graphemes(monkeypatch):
    """Graphemes are then not among the units that are tried."""
    found = found_by(OffsetUnit.UTF8, "Paris")
    unknown = found_by(OffsetUnit.GRAPHEMES, "Paris")
    monkeypatch.setitem(sys.modules, "regex", None)
    assert detect_unit([(CANARY_TEXT, found)], OffsetUnit.CODE_POINTS) is OffsetUnit.UTF8
    assert detect_unit([(CANARY_TEXT, unknown)], OffsetUnit.CODE_POINTS) is None


def test_the_package_for_graphemes_is_not_imported_where_another_unit_fits(monkeypatch):
    """The import takes a tenth of a second in each process."""
    monkeypatch.delitem(sys.modules, "regex", raising=False)
    assert (
        detect_unit([(CANARY_TEXT, found_by(OffsetUnit.UTF8, "Paris"))], OffsetUnit.CODE_POINTS)
        is OffsetUnit.UTF8
    )
    assert "regex" not in sys.modules
