"""The canary: a text that tells in which unit a service counts offsets. Pure.

Before its names stand a letter with a combining mark and an emoji outside the Basic Multilingual Plane, so
each unit puts each name elsewhere, by at least one.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.errors import ConfigError, ExtractionError
from engine.model import Entity
from engine.offsets import OffsetUnit, in_code_points, unit_named

CANARY_TEXT = "At the cafe\u0301 \N{GRINNING FACE} Barack Obama met Angela Merkel in Paris."

_NAMES = ("Barack Obama", "Angela Merkel", "Paris")
CANARY_NAMES = frozenset({*_NAMES, *(word for name in _NAMES for word in name.split())})
"""What counts as found: a service may well find half a name, or other things besides."""


def unit_shown(found: Sequence[Entity], declared: OffsetUnit) -> OffsetUnit | None:
    """The unit in which the entities found in the canary fall on its names; None if that cannot be told.

    Args:
        found: as the service gave them; only their offsets are looked at.
        declared: wins where units agree.
    """
    hits = {unit: _hits(found, unit) for unit in OffsetUnit if unit in (declared, *_CHEAP)}
    if not any(hits.values()) and _can_count_graphemes():
        hits[OffsetUnit.GRAPHEMES] = _hits(found, OffsetUnit.GRAPHEMES)
    best = max(hits, key=lambda unit: (hits[unit], unit is declared))
    return best if hits[best] else None


_CHEAP = (OffsetUnit.CODE_POINTS, OffsetUnit.UTF16, OffsetUnit.UTF8)
"""Tried first: the package that graphemes need takes a tenth of a second to import."""


def _can_count_graphemes() -> bool:
    try:
        unit_named(OffsetUnit.GRAPHEMES)
    except ConfigError:  # the package is not there
        return False
    return True


def _hits(found: Sequence[Entity], unit: OffsetUnit) -> int:
    return sum(_slice(entity, unit) in CANARY_NAMES for entity in found)


def _slice(entity: Entity, unit: OffsetUnit) -> str:
    try:
        return in_code_points(CANARY_TEXT, [entity], unit, surface=False)[0].text
    except (ExtractionError, TypeError):
        return ""
