"""Converts offsets of a service's unit to code points, and detects that unit by a canary. Pure.

The engine keeps offsets in code points, so that `text[start:end]` is the entity's text. Services also count
UTF-16 code units, bytes or graphemes: in "😀 Paris" the name begins at 2 in code points, at 3 in UTF-16, at 5
in UTF-8. `to_code_points` converts an answer. `detect_unit` tells from the answer to `CANARY_TEXT`, whose
names begin at different offsets in each unit, which unit a service counts in.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from itertools import accumulate

from engine.errors import ConfigError, ExtractionError, WrongAnswer
from engine.extractors.answer_check import alike
from engine.model import Entity

# --- units ---


class OffsetUnit(StrEnum):
    """The unit in which a service counts the offsets of its entities."""

    CODE_POINTS = "code_points"
    """Unicode code points, as Python counts."""
    UTF16 = "utf16"
    """UTF-16 code units, as Java, JavaScript and C# count: an emoji is two of them."""
    UTF8 = "utf8"
    """Bytes of UTF-8, as Go and Rust count: a code point is one to four of them."""
    GRAPHEMES = "graphemes"
    """Extended grapheme clusters (UAX #29), as Swift counts; needs the package `regex`."""

    @property
    def noun(self) -> str:
        """The unit's name in messages."""
        return _NOUNS[self]


_NOUNS = {
    OffsetUnit.CODE_POINTS: "code points",
    OffsetUnit.UTF16: "UTF-16 code units",
    OffsetUnit.UTF8: "UTF-8 bytes",
    OffsetUnit.GRAPHEMES: "graphemes",
}


def parse_unit(name: str) -> OffsetUnit:
    """Returns the unit with that name.

    Raises:
        ConfigError: the name is unknown, or the unit needs a package that is not installed.
    """
    try:
        unit = OffsetUnit(name)
    except ValueError:
        raise ConfigError(f"unknown unit of offsets {name!r}; use one of {', '.join(OffsetUnit)}") from None
    if unit is OffsetUnit.GRAPHEMES:
        _graphemes("")
    return unit


# --- conversion ---


def to_code_points(text: str, entities: Iterable[Entity], unit: OffsetUnit, *, surface: bool) -> list[Entity]:
    """Returns the entities of a text with offsets in code points.

    Args:
        entities: with offsets in `unit`.
        surface: whether the entities have their text exactly. If not, they get `text[start:end]`; a text
            that they have otherwise must be like it.

    Raises:
        WrongAnswer: an offset is outside the text or inside a character, or the text of an entity is
            another one than that at its offsets.
    """
    convert = _converter(text, unit)
    converted = []
    for start, end, label, given, score in entities:
        first, last = convert(start), convert(end)
        if not surface and given:
            _compare(given, text, first, last)
        converted.append(Entity(first, last, label, given if surface else text[first:last], score))
    return converted


def _compare(given: str, text: str, first: int, last: int) -> None:
    """Raises WrongAnswer if the text of an entity is not like that at its offsets."""
    valid = type(first) is type(last) is int and 0 <= first <= last <= len(text)
    if valid and not alike(given, text, first, last):  # other offsets are refused by `check_answer`
        raise WrongAnswer(
            f"the text of an entity is not that at {first}..{last}: the service counts offsets in another "
            "unit, changes the texts that it gets, or answers in another order"
        )


def _converter(text: str, unit: OffsetUnit) -> Callable[[int], int]:
    """Returns the function that converts an offset. In ASCII units differ only in CR LF, one grapheme."""
    if unit is OffsetUnit.CODE_POINTS or (
        text.isascii() and not (unit is OffsetUnit.GRAPHEMES and "\r\n" in text)
    ):
        return _unchanged
    boundaries = _boundaries(text, unit)

    def convert(offset: int) -> int:
        # True and 1.0 would be found among the boundaries: `check_answer` refuses them later.
        if type(offset) is not int:
            return offset
        if offset not in boundaries:
            size = max(boundaries)
            where = "inside a character of" if 0 < offset < size else "outside"
            raise WrongAnswer(
                f"offset {offset} in {unit.noun} is {where} a text of length {size}: wrong unit of offsets?"
            )
        return boundaries[offset]

    return convert


def _unchanged(offset: int) -> int:
    return offset


def _boundaries(text: str, unit: OffsetUnit) -> dict[int, int]:
    """Maps the offset in `unit` to the offset in code points, for each boundary between characters."""
    if unit is OffsetUnit.GRAPHEMES:
        return dict(enumerate(accumulate(map(len, _graphemes(text)), initial=0)))
    width = _utf16_width if unit is OffsetUnit.UTF16 else _utf8_width
    return {offset: at for at, offset in enumerate(accumulate(map(width, text), initial=0))}


def _utf16_width(character: str) -> int:
    return 1 if character <= "\uffff" else 2


def _utf8_width(character: str) -> int:
    return 1 + (character > "\x7f") + (character > "\u07ff") + (character > "\uffff")


def _graphemes(text: str) -> Sequence[str]:
    try:
        regex = importlib.import_module("regex")
    except ImportError:
        raise ConfigError(
            "offsets in graphemes need the package regex: install it, or choose another unit"
        ) from None
    graphemes: Sequence[str] = regex.findall(r"\X", text)
    return graphemes


# --- canary ---

CANARY_TEXT = "At the cafe\u0301 \N{GRINNING FACE} Barack Obama met Angela Merkel in Paris."
"""Sent before the first text. Its accent and its emoji make the units disagree about where the names are."""

_NAMES = ("Barack Obama", "Angela Merkel", "Paris")

CANARY_NAMES = frozenset({*_NAMES, *(word for name in _NAMES for word in name.split())})
"""The entity texts that count as found. A service may find part of a name, or other entities too."""

_CHEAP_UNITS = (OffsetUnit.CODE_POINTS, OffsetUnit.UTF16, OffsetUnit.UTF8)
"""Tried before graphemes, whose package takes a tenth of a second to import."""


def detect_unit(found: Sequence[Entity], declared: OffsetUnit) -> OffsetUnit | None:
    """Returns the unit in which most of the found entities are names of the canary; None if there is none.

    Args:
        found: as the service gave them; only their offsets are used.
        declared: the unit preferred where several fit equally well.
    """
    hits = {unit: _hits(found, unit) for unit in OffsetUnit if unit in (declared, *_CHEAP_UNITS)}
    if not any(hits.values()) and _can_count_graphemes():
        hits[OffsetUnit.GRAPHEMES] = _hits(found, OffsetUnit.GRAPHEMES)
    best = max(hits, key=lambda unit: (hits[unit], unit is declared))
    return best if hits[best] else None


def _can_count_graphemes() -> bool:
    try:
        parse_unit(OffsetUnit.GRAPHEMES)
    except ConfigError:  # the package is not installed
        return False
    return True


def _hits(found: Sequence[Entity], unit: OffsetUnit) -> int:
    return sum(_canary_slice(entity, unit) in CANARY_NAMES for entity in found)


def _canary_slice(entity: Entity, unit: OffsetUnit) -> str:
    """Returns the part of the canary that the entity's offsets select; "" if they are invalid in the unit."""
    try:
        return to_code_points(CANARY_TEXT, [entity], unit, surface=False)[0].text
    except (ExtractionError, TypeError):
        return ""
