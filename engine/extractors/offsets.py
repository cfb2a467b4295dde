"""Units that services count offsets in, and what they are in code points. Pure."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from itertools import accumulate

from engine.errors import ConfigError, ExtractionError
from engine.model import Entity


class OffsetUnit(StrEnum):
    """What a service counts when it says where an entity is."""

    CODE_POINTS = "code_points"
    """Unicode code points, as Python does."""
    UTF16 = "utf16"
    """UTF-16 code units, as Java, JavaScript and C# do: an emoji is two of them."""
    UTF8 = "utf8"
    """Bytes of UTF-8, as Go and Rust do: up to four a code point."""
    GRAPHEMES = "graphemes"
    """Extended grapheme clusters (UAX #29), as Swift does; needs the package `regex`."""

    @property
    def noun(self) -> str:
        """The unit as a message calls it."""
        return _NOUNS[self]


_NOUNS = {
    OffsetUnit.CODE_POINTS: "code points",
    OffsetUnit.UTF16: "UTF-16 code units",
    OffsetUnit.UTF8: "UTF-8 bytes",
    OffsetUnit.GRAPHEMES: "graphemes",
}


def unit_named(name: str) -> OffsetUnit:
    """The unit of that name, if it can be used here.

    Raises:
        ConfigError: there is none, or it needs a package that is not installed.
    """
    try:
        unit = OffsetUnit(name)
    except ValueError:
        raise ConfigError(f"offsets {name!r} is no unit; known are {', '.join(OffsetUnit)}") from None
    if unit is OffsetUnit.GRAPHEMES:
        _clusters("")
    return unit


def in_code_points(text: str, entities: Iterable[Entity], unit: OffsetUnit, *, surface: bool) -> list[Entity]:
    """The entities of a text with offsets in code points.

    Args:
        entities: with offsets in `unit`.
        surface: whether they have their text; if not, they get `text[start:end]`.

    Raises:
        ExtractionError: an offset is outside the text or inside a character.
    """
    place = _places(text, unit)
    found = []
    for start, end, label, given, score in entities:
        first, last = place(start), place(end)
        found.append(Entity(first, last, label, given if surface else text[first:last], score))
    return found


def _places(text: str, unit: OffsetUnit) -> Callable[[int], int]:
    """Turns an offset in `unit` into one in code points. ASCII is the same in all units, but for CR LF."""
    if unit is OffsetUnit.CODE_POINTS or (
        text.isascii() and not (unit is OffsetUnit.GRAPHEMES and "\r\n" in text)
    ):
        return _same
    places = _boundaries(text, unit)

    def place(offset: int) -> int:
        # Whatever is no int is left to the check of the answer: True and 1.0 would be found here.
        if type(offset) is not int:
            return offset
        if offset not in places:
            size = max(places)
            where = f"inside a character of a text of {size}" if 0 < offset < size else "outside a text"
            raise ExtractionError(f"offset {offset} in {unit.noun} is {where}: wrong unit of offsets?")
        return places[offset]

    return place


def _same(offset: int) -> int:
    return offset


def _boundaries(text: str, unit: OffsetUnit) -> dict[int, int]:
    """Offset in `unit` -> offset in code points, for each place between two characters."""
    if unit is OffsetUnit.GRAPHEMES:
        return dict(enumerate(accumulate(map(len, _clusters(text)), initial=0)))
    width = _utf16_width if unit is OffsetUnit.UTF16 else _utf8_width
    return {place: at for at, place in enumerate(accumulate(map(width, text), initial=0))}


def _utf16_width(character: str) -> int:
    return 1 if character <= "\uffff" else 2


def _utf8_width(character: str) -> int:
    return 1 + (character > "\x7f") + (character > "\u07ff") + (character > "\uffff")


def _clusters(text: str) -> Sequence[str]:
    try:
        regex = importlib.import_module("regex")
    except ImportError:
        raise ConfigError(
            "offsets in graphemes need the package regex: install it, or choose another unit"
        ) from None
    clusters: Sequence[str] = regex.findall(r"\X", text)
    return clusters


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
