"""Converts offsets of a service's unit to code points, and detects that unit by a canary. Pure.

The engine keeps offsets in code points, so that `text[start:end]` is the entity's text. Services also count
UTF-16 code units, bytes or graphemes: in "😀 Paris" the name begins at 2 in code points, at 3 in UTF-16, at 5
in UTF-8. `to_code_points` converts an answer. `detect_unit` tells from the answer to the canary, whose names
begin at different offsets in each unit, which unit a service counts in; `canary_problem` tells also whether
it counts in another text than it was sent.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from itertools import accumulate
from typing import Any, TypeAlias

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

MOST_CHARS = 16 << 20
"""Characters of the texts of all entities of a document together. With more, MongoDB cannot store them."""

TOO_LONG = "what the service gave cannot be stored: the texts of the entities are too long together"


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
    entities = list(entities)
    convert = _converter(text, unit, (offset for entity in entities for offset in entity[:2]))
    converted, room = [], MOST_CHARS
    for start, end, label, given, score in entities:
        first, last = convert(start), convert(end)
        if not surface:
            if given:
                _compare(given, text, first, last)
            given = text[first:last]  # noqa: PLW2901  (the text of the document is kept)
            room -= len(given)
            if room < 0:
                raise WrongAnswer(f"{TOO_LONG}: more than {MOST_CHARS:,} characters", reason=TOO_LONG)
        converted.append(Entity(first, last, label, given, score))
    return converted


def _compare(given: str, text: str, first: int, last: int) -> None:
    """Raises WrongAnswer if the text of an entity is not like that at its offsets."""
    valid = type(first) is type(last) is int and 0 <= first <= last <= len(text)
    if valid and not alike(given, text, first, last):  # other offsets are refused by `check_answer`
        raise WrongAnswer(
            f"the text of an entity is not that at {first}..{last}: the service counts offsets in another "
            "unit, changes the texts that it gets, or answers in another order",
            reason="the text of an entity is not that at its offsets",
        )


def _converter(text: str, unit: OffsetUnit, offsets: Iterable[Any]) -> Callable[[int], int]:
    """Returns the function that converts these offsets.

    In ASCII units differ only in CR LF, one grapheme.
    """
    if unit is OffsetUnit.CODE_POINTS or (
        text.isascii() and not (unit is OffsetUnit.GRAPHEMES and "\r\n" in text)
    ):
        return _unchanged
    # True and 1.0 would be found among the boundaries: `check_answer` refuses them later.
    wanted = {offset for offset in offsets if type(offset) is int}
    size, boundaries = _graphemes_at(text) if unit is OffsetUnit.GRAPHEMES else _units_at(text, unit, wanted)

    def convert(offset: int) -> int:
        if type(offset) is not int:
            return offset
        if offset not in boundaries:
            inside = 0 < offset < size
            where = "inside a character of" if inside else "outside"
            shown = offset if abs(offset) <= sys.maxsize else "(more than 64 bits)"
            raise WrongAnswer(
                f"offset {shown} in {unit.noun} is {where} a text of length {size}: wrong unit of offsets?",
                reason=f"an offset in {unit.noun} is {where} a text: wrong unit of offsets?",
            )
        return boundaries[offset]

    return convert


def _unchanged(offset: int) -> int:
    return offset


def _graphemes_at(text: str) -> tuple[int, dict[int, int]]:
    """Returns the number of graphemes, and the code point at which each of them begins."""
    boundaries = dict(enumerate(accumulate(map(len, _graphemes(text)), initial=0)))
    return len(boundaries) - 1, boundaries


def _units_at(text: str, unit: OffsetUnit, wanted: Iterable[int]) -> tuple[int, dict[int, int]]:
    """Returns the length of the text in a unit of an encoding, and the wanted offsets in code points.

    Those inside a character are left out. The text is encoded as a whole and decoded between the offsets:
    a loop over its characters would stop the process for seconds if it is long.
    """
    codec, width = ("utf-16-le", 2) if unit is OffsetUnit.UTF16 else ("utf-8", 1)
    try:
        encoded = text.encode(codec)
    except UnicodeEncodeError:  # halves of surrogate pairs; the other character is as wide
        encoded = _SURROGATES.sub("\uffff", text).encode(codec)
    size, before, at = len(encoded) // width, 0, 0
    found = {}
    for offset in sorted(offset for offset in wanted if 0 <= offset <= size):
        # The first byte of what follows shows whether a character goes on: 10xxxxxx, or 110111xx of a pair.
        following = encoded[width * offset + width - 1] if offset < size else 0
        if following & 0xC0 == 0x80 if width == 1 else following & 0xFC == 0xDC:  # noqa: PLR2004
            continue
        at += len(encoded[width * before : width * offset].decode(codec))
        before, found[offset] = offset, at
    return size, found


_SURROGATES = re.compile("[\ud800-\udfff]")


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

CANARY_TEXTS = (
    "    At the re\u0301sume\u0301 \N{GRINNING FACE} 7%20 \n\nBarack Obama met Angela Merkel in Paris. \t\n",
    "   \N{HONEYBEE}\N{HONEYBEE} In a cafe\u0301, 9%25 off\r\nMarie Curie met Albert Einstein in Berlin. \n",
)
"""Sent before the first text, in one request where the format takes several texts.

Whatever makes offsets differ stands before the names: blanks, accents that can be composed, emoji, a percent
sign and line breaks. In the first text, UTF-16 shifts offsets by one, and whatever a service may take out of
it or compose shifts them by two or more, so that two faults do not cancel out.
"""

CANARY_TEXT = CANARY_TEXTS[0]
"""The one that is sent where a format takes a single text."""

PROBE_TEXT = "Ada Lovelace met Charles Babbage in London in 1833."
"""Sent to ask whether the service works at all: plain, and with entities for most services."""

_NAMES = ("Barack Obama", "Angela Merkel", "Paris", "Marie Curie", "Albert Einstein", "Berlin")

CANARY_NAMES = frozenset({*_NAMES, *(word for name in _NAMES for word in name.split())})
"""The entity texts that count as found. A service may find part of a name, or other entities too."""

_CHEAP_UNITS = (OffsetUnit.CODE_POINTS, OffsetUnit.UTF16, OffsetUnit.UTF8)
"""Tried before graphemes, whose package takes a tenth of a second to import."""

_MOST_SHIFT = 16
"""What a service takes out of a canary shifts the offsets of the names by fewer characters."""

Answered: TypeAlias = Sequence[tuple[str, Sequence[Entity]]]
"""Texts of the canary, each with the entities that the service gives for it, with offsets in its own unit."""


def detect_unit(answered: Answered, declared: OffsetUnit) -> OffsetUnit | None:
    """Returns the unit in which most of the found entities are names of the canary; None if there is none.

    Args:
        declared: the unit preferred where several fit equally well.
    """
    hits = {unit: _hits(answered, unit) for unit in OffsetUnit if unit in (declared, *_CHEAP_UNITS)}
    if not any(hits.values()) and _can_count_graphemes():
        hits[OffsetUnit.GRAPHEMES] = _hits(answered, OffsetUnit.GRAPHEMES)
    best = max(hits, key=lambda unit: (hits[unit], unit is declared))
    return best if hits[best] else None


def canary_problem(answered: Answered, declared: OffsetUnit) -> str | None:
    """Says what is wrong with the offsets of an answer to the canary; None if nothing is.

    Of several explanations it is the one that finds most names, because a short one may be met by chance.
    """
    detected = detect_unit(answered, declared) or declared
    texts, found = zip(*answered, strict=True)
    hits = _hits(answered, detected)
    swapped = _hits(list(zip(texts, reversed(found), strict=True)), declared)
    shifts = [_shift(text, entities, declared) for text, entities in answered]
    if sum(names for _, names in shifts) > max(hits, swapped):
        by = next(by for by, _ in shifts if by)
        return (
            f"the service's offsets are {abs(by)} characters too {'low' if by > 0 else 'high'}: it trims, "
            "normalises or decodes the texts that it gets, and counts in what is left; put that right in the "
            "service"
        )
    if swapped > hits:
        return (
            "the service answers a batch of texts in another order than it was sent: put that right in the "
            "service, or set batch_texts=1"
        )
    if detected is not declared:
        return (
            f"the service counts offsets in {detected.noun}, not in {declared.noun}: "
            f"set offsets={detected.value!r} (of HttpExtractor; --offsets; extra of the Airflow Connection)"
        )
    return None


def _shift(text: str, entities: Sequence[Entity], unit: OffsetUnit) -> tuple[int, int]:
    """Returns by how many characters offsets must be moved to find most names, and how many that finds."""
    shifts = sorted(range(-_MOST_SHIFT, _MOST_SHIFT + 1), key=abs)
    hits = {by: _hits([(text, entities)], unit, by) for by in shifts}
    best = max(hits, key=lambda by: hits[by])
    return best, hits[best]


def _can_count_graphemes() -> bool:
    try:
        parse_unit(OffsetUnit.GRAPHEMES)
    except ConfigError:  # the package is not installed
        return False
    return True


def _hits(answered: Answered, unit: OffsetUnit, shift: int = 0) -> int:
    return sum(
        _slice(text, entity, unit, shift) in CANARY_NAMES
        for text, entities in answered
        for entity in entities
    )


def _slice(text: str, entity: Entity, unit: OffsetUnit, shift: int) -> str:
    """Returns the part of a text that the entity's offsets select; "" if they are invalid in the unit."""
    try:
        (found,) = to_code_points(text, [entity._replace(text="")], unit, surface=True)
        return text[max(0, found.start + shift) : max(0, found.end + shift)]
    except (ExtractionError, TypeError):
        return ""
