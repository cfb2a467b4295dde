"""Checks what a service answered, whatever its format. Pure.

`check_answer` checks the entities of any extractor. `alike` compares the text that a service gives for an
entity with the document, where the service writes it in its own way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from math import inf
from typing import Any
from unicodedata import normalize

from engine.errors import ImpossibleAnswer, WrongAnswer
from engine.extractors.redaction import redact
from engine.model import Entity

FORM = "the entities have another form than Entity(start, end, label, text)"
FIELDS = "give Entity(start, end, label, text) or a dict with these keys"

_JSON = (str, int, float, bool, type(None), list, dict)
"""The types of what a service can have sent. What has another type was made by one's own code."""


class _Impossible(TypeError):
    """What is wrong with an object that no service can have sent."""


_NUMBER = re.compile(r"-?\d+")


OTHER_NUMBER = "the answer has another number of results than texts"

NUMBER_BITS = 64
"""Integers of more bits cannot be stored in BSON, nor read by most readers of JSON."""


def check_answer(texts: Sequence[str], answer: Any) -> list[tuple[Entity, ...]]:
    """Returns the answer as tuples of entities, if it can be true for these texts (trap 27, docs/traps.md).

    Every document passes here, so the usual answer costs one condition an entity. The result has tuples,
    because documents with the same text share them.

    Raises:
        WrongAnswer: the answer breaks one of these rules: as many results as texts; offsets that are
            integers, in order and inside the text; labels that are strings; scores that are finite numbers
            or None; and an entity text that equals `text[start:end]`. The message says which text's answer
            is wrong, without showing the text.
        ImpossibleAnswer: it has an object that no service can have sent, such as a tuple for an entity.
    """
    if not isinstance(answer, Sequence) or isinstance(answer, str):
        raise ImpossibleAnswer(
            f"the service returned {type(answer).__name__} results for {len(texts)} texts: give a list that "
            "holds a list of entities for each text",
            reason=OTHER_NUMBER,
        )
    if len(answer) != len(texts):
        raise WrongAnswer(
            f"the service returned {len(answer)} results for {len(texts)} texts", reason=OTHER_NUMBER
        )
    return [
        () if type(entities) is list and not entities else _check_entities(text, entities, at)
        for at, (text, entities) in enumerate(zip(texts, answer, strict=True))
    ]


def _check_entities(text: str, entities: Any, at: int) -> tuple[Entity, ...]:
    size = len(text)
    problem: str | None = None
    try:
        checked = tuple(entities) if type(entities) is list else _listed(entities)
        for entity in checked:
            if not isinstance(entity, Entity):
                return _check_entities(text, as_entities(checked), at)
            start, end, label, surface, score = entity
            if not (
                type(start) is int
                and type(end) is int
                and 0 <= start <= end <= size
                and text[start:end] == surface
                and type(label) is str
                and (score is None or (type(score) is float and -inf < score < inf))
            ):
                problem = problem or _fault(text, start, end, label, surface, score)
    except WrongAnswer:
        raise
    except Exception as error:
        kind = ImpossibleAnswer if isinstance(error, _Impossible) else WrongAnswer
        raise _wrong(at, f"{FORM}: {redact(str(error), [text])}", FORM, kind) from error
    if problem:
        raise _wrong(at, problem, _NUMBER.sub("N", problem))
    return checked


def _wrong(at: int, problem: str, reason: str, kind: type[WrongAnswer] = WrongAnswer) -> WrongAnswer:
    return kind(
        f"the answer to text {at} of the request is wrong: {problem}", reason=f"a wrong answer: {reason}"
    )


def _listed(entities: Any) -> tuple[Any, ...]:
    if isinstance(entities, str | Mapping | Entity) or not isinstance(entities, Iterable):
        raise _Impossible(f"it is {_a(entities)}, give a list of entities")
    return tuple(entities)


def as_entities(found: Any) -> list[Entity]:
    """Returns entities that may be given as dicts of their fields.

    Raises:
        TypeError: they are neither.
    """
    return [entity if isinstance(entity, Entity) else _entity(entity) for entity in found]


def _entity(found: Any) -> Entity:
    if not isinstance(found, Mapping):
        raise _Impossible(f"an entity is {_a(found)}: {FIELDS}")
    try:
        return Entity(**found)
    except TypeError:
        keys = ", ".join(sorted(map(str, found)))[:100]
        raise _Impossible(f"an entity is a dict with the keys {keys}: {FIELDS}") from None


def _a(found: Any) -> str:
    return "nothing" if found is None else f"of type {type(found).__name__}"


def _fault(text: str, start: Any, end: Any, label: Any, surface: Any, score: Any) -> str | None:
    """Says what is wrong with an entity; None if it is only unusual, such as a score that is an integer.

    Raises:
        _Impossible: a field has a type that JSON does not have, such as `numpy.int64`.
    """
    for name, value in zip(Entity._fields, (start, end, label, surface, score), strict=True):
        if not isinstance(value, _JSON):
            raise _Impossible(f"{name} of an entity is {_a(value)}: give an int, a str or a float")
    if type(start) is not int or type(end) is not int:
        return f"offsets must be integers, got {type(start).__name__} and {type(end).__name__}"
    if not 0 <= start <= end <= len(text):
        return f"offsets {_shown(start)}..{_shown(end)} are outside a text of length {len(text)}"
    if text[start:end] != surface:
        return f"text[{start}:{end}] is not the entity's text: wrong unit of offsets?"
    if not isinstance(label, str):
        return f"the label must be a string, got {type(label).__name__}"
    return _fault_of_score(score)


def _fault_of_score(score: Any) -> str | None:
    if isinstance(score, int) and score.bit_length() >= NUMBER_BITS:
        return "what the service gave cannot be stored: the score is an integer of more than 64 bits"
    if score is None or (isinstance(score, int | float) and type(score) is not bool and -inf < score < inf):
        return None
    got = score if isinstance(score, float) else type(score).__name__
    return f"the score must be a finite number, got {got}"


def _shown(offset: int) -> str:
    return str(offset) if offset.bit_length() < NUMBER_BITS else "(more than 64 bits)"


# --- the text of an entity, as tokenizers write it ---

COMPARED_CHARS = 500
"""Characters of an entity's text that are compared, at most: the time for one is bounded."""

NEARBY_CHARS = 64
"""Characters before and after an entity in which its text is looked for, if it is not at its offsets."""

_UNKNOWN = re.compile(r"\[UNK\]|<unk>|\ufffd", re.IGNORECASE)
"""What tokenizers write for what they do not know, and decoders for half a character."""

_ESCAPES = re.compile(r"-[LR][RSC]B-")
"""Brackets as the Penn Treebank writes them."""

_LETTERS = str.maketrans(
    {"ł": "l", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "\u0131": "i", "Ġ": "", "Ċ": ""}
)
"""Letters that have no decomposition; and the marks of byte-level tokenizers for a blank and a line break."""

_BYTE_LEVEL = {
    **{chr(byte): byte for byte in (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))},
    **dict(zip(map(chr, range(0x100, 0x144)), (*range(0x21), *range(0x7F, 0xA1), 0xAD), strict=True)),
}
"""The bytes that byte-level tokenizers stand for by characters: `bytes_to_unicode` in GPT-2's encoder.py."""


def alike(given: str, text: str, start: int, end: int) -> bool:
    """Tells whether a service that gives this text for an entity can mean `text[start:end]`.

    Tokenizers drop blanks, cases and accents, and mark pieces of words (`##`, U+2581). So letters and digits
    are compared, without case and accents. Where these differ, it is a wrong answer if the given text stands
    beside the offsets, as it does if the service has trimmed or normalised its input, or if the two have
    nothing in common, as when a batch is answered in another order. What the tokenizer does not know
    (`[UNK]`) may be anything.
    """
    surface = text[start:end]
    if given == surface or given.casefold() == surface.casefold():
        return True
    given, form = given[:COMPARED_CHARS], _folded(surface[:COMPARED_CHARS])
    if _same(given, form) or _same(_from_bytes(given), form):
        return True
    word = _folded(given)
    nearby = text[max(0, start - NEARBY_CHARS) : min(end, start + COMPARED_CHARS) + NEARBY_CHARS]
    if not word or not form or word in _folded(nearby):
        return False
    pairs, others = set(pairwise(word)), set(pairwise(form))
    return 2 * len(pairs & others) >= max(1, min(len(pairs), len(others)))


def _same(given: str, form: str) -> bool:
    """Tells whether the known parts of what is given stand in the folded text of the document, in order."""
    parts = [_folded(part) for part in _UNKNOWN.split(given)]
    if len(parts) == 1:
        return parts[0] == form or (bool(parts[0]) and parts[0] in form)
    at = 0
    for part in parts:
        found = form.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return True


def _folded(text: str) -> str:
    """Returns the letters and digits of a text, without case and accents."""
    plain = _ESCAPES.sub("", text).translate(_LETTERS)
    return "".join(c for c in normalize("NFKD", plain).casefold().translate(_LETTERS) if c.isalnum())


def _from_bytes(given: str) -> str:
    """Returns what a byte-level tokenizer means by its token; half a character is U+FFFD."""
    if not all(c in _BYTE_LEVEL for c in given):
        return given
    return bytes(_BYTE_LEVEL[c] for c in given).decode("utf-8", "replace")
